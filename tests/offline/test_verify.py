"""verify against journals made from the model's records: it agrees, and misses nothing it can see.

The journals of the engine itself are verified in test_verify_engine.py.
"""

import random
import struct
import time

import pytest

from ext import blocks
from server.offline import layout as at
from server.offline.chain import Chain
from server.offline.checksums import crc32c, first_bad_row, key_mix, row_mix
from server.offline.findings import Difference
from server.offline.verify import Walk
from tests.model.rig import furnish
from tests.offline.model_journal import ModelJournal
from tests.offline.scenario import play_day


@pytest.fixture(scope="module")
def day():
    return play_day(ModelJournal()).sealed


def walk(sealed):
    """Verify sealed blocks; the state hash is not the model's to know."""

    def lookup(seq):
        for raw in sealed:
            header = head_of(raw)
            if header.first_seq <= seq <= header.last_seq:
                return record_at(raw, seq - header.first_seq)
        raise Difference(seq, "no such record")

    found = Walk(lookup, state_hash="off")
    for raw in sealed:
        found.take(raw)
    found.end(found.chain.next_seq - 1)
    return found


def take_alone(previous, first_seq, raw):
    chain = Chain(previous, first_seq)
    chain.take(raw)
    chain.settle()


def notices(sealed):
    try:
        walk(sealed)
    except Difference:
        return True
    return False


def head_of(raw):
    return at.Header._make(at.HEADER.unpack_from(raw))


def record_at(raw, index):
    return at.Entry._make(at.RECORD.unpack_from(raw, at.ROW_BYTES * (1 + index)))


def forge(sealed, number, index, record):
    """Put another record into a block and make all checksums and hashes right again."""
    changed = sealed[:number]
    previous = changed[-1][-48:-16] if changed else bytes(32)
    for place, raw in enumerate(sealed[number:], start=number):
        header = head_of(raw)
        area = bytearray(raw[at.ROW_BYTES : at.ROW_BYTES * (1 + header.record_count)])
        if place == number:
            area[at.ROW_BYTES * index : at.ROW_BYTES * (1 + index)] = record
        changed.append(
            blocks.seal(
                bytes(area),
                first_seq=header.first_seq,
                previous=previous,
                time_us=header.time_us,
                business_date=header.business_date,
                rule_version=header.rule_version,
                debits_fen=header.debits,
            )
        )
        previous = changed[-1][-48:-16]
    return changed


def test_a_day_with_everything_in_it_is_right(day):
    found = walk(day)
    assert found.chain.blocks == len(day)
    assert found.books.total() == 0
    kinds = set(found.books.kinds)
    assert kinds == {*range(1, 14), 32, 33, 34, *range(64, 73), 96}


@pytest.mark.clause("八.2")
def test_every_flipped_byte_is_named(day):
    previous = bytes(32)
    for raw in day:
        header = head_of(raw)
        for place in range(len(raw)):
            broken = bytearray(raw)
            broken[place] ^= 0x10
            with pytest.raises(Difference) as found:
                take_alone(previous, header.first_seq, bytes(broken))
            record = min(max(place // at.ROW_BYTES - 1, 0), header.record_count - 1)
            in_a_record = at.ROW_BYTES <= place < at.ROW_BYTES * (1 + header.record_count)
            assert found.value.seq == header.first_seq + record * in_a_record
        previous = raw[-48:-16]


def test_flipped_files_are_refused_by_the_whole_walk(day, seed):
    rng = random.Random(seed)
    for _ in range(40):
        number = rng.randrange(len(day))
        broken = bytearray(day[number])
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        with pytest.raises(Difference) as found:
            walk([*day[:number], bytes(broken), *day[number + 1 :]])
        header = head_of(day[number])
        assert header.first_seq <= found.value.seq <= header.last_seq


def test_missing_doubled_and_exchanged_blocks_are_named(day):
    for sealed in (day[:5] + day[6:], day[:6] + day[5:], [*day[:5], day[6], day[5], *day[7:]]):
        with pytest.raises(Difference) as found:
            walk(sealed)
        assert found.value.seq in {head_of(day[5]).first_seq, head_of(day[6]).first_seq}


# What only the record itself knows: nothing else in the journal says it again.
ALONE = {"fingerprint", "aux", "terminal_seq", "reason", "type"}
FIELDS = [name for name in at.Entry._fields if name not in {"crc32c", *ALONE}]
ALONE_SOMETIMES = {
    ("flags", "office"),  # PIN_OK on papers
    ("flags", "settled at the office"),  # the same
    ("batch_no", "office"),  # a key without KEY_IS_REQUEST
    ("original_seq", "refused"),
    ("original_part", "refused"),
    ("original_part", "hold reversed"),
    ("merchant", "office"),
    ("medium", "office"),
    ("credit_wallet", "office"),  # from one system account to another
    ("flags", "PIN_OK"),
}


def kind_of(record):
    if record.type >= at.TOP_UP or record.type == at.PIN_CHECK:
        return "office"
    if record.outcome in {at.DECLINED, at.PIN_REQUIRED}:
        return "refused"
    if record.outcome == at.EFFECT and record.flags & at.F_KEY_IS_REQUEST:
        return "settled at the office"
    return "hold reversed" if record.type == at.REVERSAL and not record.debit_wallet else "settled"


def test_no_number_can_be_changed_even_with_right_checksums(day, seed):
    rng = random.Random(seed)
    places = [(n, i) for n, raw in enumerate(day) for i in range(head_of(raw).record_count)]
    for number, index in rng.sample(places, 30):
        record = record_at(day[number], index)
        for field in FIELDS:
            if record.type >= at.ACCOUNT and 16 <= at.Entry._fields.index(field) <= 29:
                continue  # another body
            if (field, kind_of(record)) in ALONE_SOMETIMES:
                continue
            try:
                other = at.RECORD.pack(*record._replace(**{field: getattr(record, field) + 1}))
            except struct.error:
                other = at.RECORD.pack(*record._replace(**{field: 0}))
            assert notices(forge(day, number, index, other)), f"{field} of {record}"


def test_no_byte_of_what_waits_can_be_changed_even_with_right_checksums(day):
    waits = {at.SCHEDULED, at.UNSCHEDULED}
    for number, raw in enumerate(day):
        for index in range(head_of(raw).record_count):
            record = record_at(raw, index)
            due = record.type >= at.ACCOUNT and record.flags & at.F_DUE
            if record.type not in waits and not due:
                continue
            packed = at.RECORD.pack(*record)
            for place in range(64, 120):
                if place == 69 and record.type == at.SCHEDULED:
                    continue  # of a mask: water_cap is 0 before and after
                other = bytearray(packed)
                other[place] ^= 1
                where = f"byte {place - 64} of {record}"
                assert notices(forge(day, number, index, bytes(other))), where


def test_a_balance_that_is_off_by_one_is_named_at_its_record(day):
    for number, raw in enumerate(day):
        record = record_at(raw, 0)
        if record.type == at.PURCHASE and record.outcome == at.APPROVED:
            other = at.RECORD.pack(*record._replace(debit_after=record.debit_after - 1))
            with pytest.raises(Difference) as found:
                walk(forge(day, number, 0, other))
            assert found.value.seq == record.seq
            assert "debit_after" in found.value.what


def test_checksums_agree_with_the_specification():
    assert crc32c(b"123456789") == 0xE3069283
    rows = [bytes([n]) * 60 for n in range(256)]
    area = b"".join(row + crc32c(row).to_bytes(4, "little") for row in rows)
    assert first_bad_row(area, 64) == -1
    assert first_bad_row(area[: 64 * 10], 64) == -1
    for bad in (0, 100, 255):
        broken = bytearray(area)
        broken[64 * bad + 7] ^= 1
        assert first_bad_row(bytes(broken), 64) == bad
    assert row_mix(1, 1, bytes(60)) == 0
    assert key_mix(1, 1, 1, 0, 0) == 0


@pytest.mark.serial
def test_a_hundred_thousand_records_in_a_few_seconds(day):
    # A floor far below what it does, so that a mistake in the method shows and a busy machine not.
    journal = ModelJournal()
    furnish(journal)
    for _ in range(2_000):
        journal.buy(1, "SHOP-1")
    began = time.monotonic()
    found = walk(journal.sealed)
    assert found.chain.records / (time.monotonic() - began) > 5_000
