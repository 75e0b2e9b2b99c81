"""The structs of the durable format have no holes, the sizes we promise, and one set of names."""

import re
import struct

import pytest

from tests.contract.layout import EXT, Layout, source, typedefs

SIZES = {
    "records.h": {
        "cc_record": 128,
        "cc_block_header": 128,
        "cc_block_trailer": 64,
        "cc_money_body": 56,
        "cc_account_body": 56,
        "cc_medium_body": 56,
        "cc_merchant_body": 56,
        "cc_terminal_body": 56,
        "cc_category_body": 56,
        "cc_rules_body": 56,
        "cc_meals_body": 56,
        "cc_scheduled_body": 56,
        "cc_document_body": 56,
        "cc_account": 64,
        "cc_account_cold": 64,
        "cc_medium": 32,
        "cc_merchant": 64,
        "cc_terminal": 128,
        "cc_hold": 64,
        "cc_undo": 32,
        "cc_ledger": 32,
        "cc_scheduled": 128,
        "cc_key": 16,
        "cc_request": 32,
    },
    "store.h": {"cc_identity": 256, "cc_key_file": 64},
}
PAGE = EXT.parent / "docs" / "reference" / "journal-format.md"
LAST_FOUR = {"crc32c", "stamp"}


@pytest.fixture(scope="module")
def layout():
    return Layout("records.h", "store.h")


@pytest.mark.parametrize("header", SIZES)
def test_sizes(layout, header):
    for called, size in SIZES[header].items():
        assert layout.size(called) == size, called
        assert struct.calcsize(layout.format(called)) == size, called


def test_checksums_and_stamps_stand_last(layout):
    for called, fields in layout.structs.items():
        for name, offset, size, _code in fields:
            if name in LAST_FOUR:
                assert offset + size == layout.size(called), f"{called}.{name}"
                assert size == 4


def test_offsets_that_others_rely_on(layout):
    where = {f"{s}.{name}": at for s, f in layout.structs.items() for name, at, *_ in f}
    assert where["cc_record.body"] == 64
    assert where["cc_record.crc32c"] == 124
    assert where["cc_block_header.first_seq"] == 24
    assert where["cc_block_header.last_seq"] == 32
    assert where["cc_block_header.payload_len"] == 56
    assert where["cc_block_header.prev_hash"] == 72
    assert where["cc_block_trailer.chain"] == 16
    assert where["cc_identity.rules"] == 72


@pytest.mark.parametrize("header", ["records.h", "commands.h", "tables.h", "store.h"])
def test_cython_declares_every_name_of_the_header(header):
    declared = set(re.findall(r"\w+", (EXT / header).with_suffix(".pxd").read_text()))
    constants = re.findall(r"\b(CC_\w+) =", source(header))
    constants += re.findall(r"^#define (CC_\w+) ", source(header), re.MULTILINE)
    fields = {
        name
        for body in typedefs(header).values()
        for name in re.findall(r"(\w+)(?:\[[^\]]*\])?\s*[,;]", body)
    }
    assert {*constants, *fields, *typedefs(header)} - declared == set()


def documented():
    """{struct: [(field, offset, size)]} as the reference page has them."""
    found, called = {}, None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"`cc_\w+`", cells[0]):
            called = cells[0].strip("`")
            found[called] = [("size", 0, int(cells[1]))]
        elif called and cells[0].isdigit() and len(cells) == 4:
            found[called].append((cells[2], int(cells[0]), int(cells[1])))
        elif not line.startswith("|"):
            called = None
    return found


def test_the_reference_page_has_every_field_at_its_place(layout):
    page = documented()
    for header, structs in SIZES.items():
        for called, size in structs.items():
            fields = [(name, at, n) for name, at, n, _code in layout.structs[called]]
            assert page.get(called) == [("size", 0, size), *fields], f"{header}: {called}"


def test_the_reference_page_names_every_type_and_flag():
    text = PAGE.read_text(encoding="utf-8")
    enums = re.findall(r"CC_([TFW])_(\w+) = (\d+)", source("records.h"))
    assert len(enums) > 40
    missing = [f"{n} {name}" for _, name, n in enums if f"{n} {name}" not in text]
    allowed = {"0 NONE", "8 MERCHANT", "16 SYSTEM_FIRST", "31 SYSTEM_LAST"}
    assert set(missing) <= allowed
