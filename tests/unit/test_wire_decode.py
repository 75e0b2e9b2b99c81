"""ext/wire accepts what the official protobuf library accepts, sees the same, then checks ranges."""

import hashlib
import random
import struct

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from campuscard.v1 import terminal_service_pb2 as pb
from ext import wire
from ext.digest import body_fingerprint
from ext.wire import METHODS, WireError

PARTIAL_OK, HAS_PIN, VOID, WATER, BY_SEQ = 1, 2, 4, 8, 32
REQUESTS = {name: getattr(pb, f"{name}Request") for name in METHODS}
UNDOS = {"Capture": "hold", "Release": "hold", "Reverse": "original", "Refund": "original"}

# ---- what a request must become, written from the proto ----


class BadField(Exception):
    pass


def need(condition, field):
    if not condition:
        raise BadField(field)


def check_terminal(message, parent=""):
    name = message.terminal_id
    need(1 <= len(name.encode()) <= 16, f"{parent}terminal_id")
    need(all(" " <= c <= "~" for c in name), f"{parent}terminal_id")


def check_seq(value, field):
    need(1 <= value <= 65535, field)


def medium_key(kind, token, type_field, token_field):
    need(1 <= kind <= 4, type_field)
    need(1 <= len(token) <= 64, token_field)
    need(kind != 1 or 4 <= len(token) <= 14, token_field)
    if len(token) <= 14:
        return bytes([kind, len(token)]) + token.ljust(14, b"\0")
    return bytes([kind | 0x80, len(token)]) + hashlib.sha256(token).digest()[:14]


def check_pin(pin):
    need(pin == "" or (len(pin) == 6 and pin.isascii() and pin.isdigit()), "pin")


def blank(op):
    return {
        "op": op,
        "flags": 0,
        "terminal_name": bytes(16),
        "batch_no": 0,
        "terminal_seq": 0,
        "medium_key": bytes(16),
        "amount": 0,
        "original_seq": 0,
        "original_batch": 0,
        "original_terminal_seq": 0,
        "card_counter": 0,
        "pin": b"",
    }


def finish(view):
    body = struct.pack(
        "<16sqQIIIHBx",
        view["medium_key"],
        view["amount"],
        view["original_seq"],
        view["original_batch"],
        view["original_terminal_seq"],
        view["card_counter"],
        view["flags"] & (PARTIAL_OK | VOID | WATER | BY_SEQ),
        view["op"],
    )
    return view | {"fingerprint": body_fingerprint(body)}


def expected_transaction(message):
    view = blank(33)
    key = message.key
    view["batch_no"], view["terminal_seq"] = key.batch_no, key.terminal_seq
    name = key.terminal_id.encode()
    view["terminal_name"] = name.ljust(16, b"\0") if len(name) <= 16 else bytes(16)
    if message.seq:
        return finish(view | {"flags": BY_SEQ, "original_seq": message.seq})
    check_terminal(key, "key.")
    need(key.batch_no, "key.batch_no")
    check_seq(key.terminal_seq, "key.terminal_seq")
    view["original_batch"], view["original_terminal_seq"] = key.batch_no, key.terminal_seq
    return finish(view)


def expected(name, message):
    """Return the command, or raise BadField with the first field that is wrong."""
    if name == "GetTransaction":
        return expected_transaction(message)
    view = blank(METHODS[name])
    check_terminal(message)
    view["terminal_name"] = message.terminal_id.encode().ljust(16, b"\0")
    if name == "SignIn":
        need(len(message.software) <= 64, "software")
        return finish(view)
    if name == "GetBalance":
        medium = message.medium
        view["medium_key"] = medium_key(medium.type, medium.token, "medium.type", "medium.token")
        return finish(view)
    need(message.batch_no, "batch_no")
    view["batch_no"] = message.batch_no
    if name == "SignOff":
        return finish(view)
    check_seq(message.terminal_seq, "terminal_seq")
    view["terminal_seq"] = message.terminal_seq
    if name != "Release":
        view["amount"] = message.amount_fen
    add = add_undo if name in UNDOS else add_medium
    add(name, message, view)
    return finish(view)


def add_medium(name, message, view):
    medium = message.medium
    view["medium_key"] = medium_key(medium.type, medium.token, "medium.type", "medium.token")
    check_pin(message.pin)
    view["pin"] = message.pin.encode()
    view["flags"] = PARTIAL_OK * message.partial_ok | HAS_PIN * bool(message.pin)
    if name == "Hold":
        view["flags"] |= WATER * message.water_transfer
        view["card_counter"] = message.card_counter


def add_undo(name, message, view):
    field = UNDOS[name]
    original = getattr(message, field)
    if not original.seq:
        need(original.batch_no, f"{field}.batch_no")
        check_seq(original.terminal_seq, f"{field}.terminal_seq")
    view["flags"] = BY_SEQ * bool(original.seq)
    if name == "Reverse":
        view["flags"] |= VOID * message.void_sale
    view["original_seq"] = original.seq
    view["original_batch"] = original.batch_no
    view["original_terminal_seq"] = original.terminal_seq


def agree(name, data):
    """Decode with both and require the same verdict and the same view."""
    try:
        message = REQUESTS[name].FromString(data)
    except DecodeError:
        with pytest.raises(WireError) as caught:
            wire.decode(METHODS[name], data)
        assert caught.value.reason == "REQUEST_MALFORMED"
        return "malformed"
    try:
        want = expected(name, message)
    except BadField as bad:
        field = str(bad)
        with pytest.raises(WireError) as caught:
            wire.decode(METHODS[name], data)
        assert (caught.value.reason, caught.value.field) == ("FIELD_INVALID", field)
        return "invalid"
    assert wire.decode(METHODS[name], data) == want
    return "decoded"


# ---- messages ----

names = st.sampled_from(sorted(METHODS))
terminals = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=16),
    st.text(max_size=18),
)
uint32s = st.one_of(st.integers(0, 3), st.sampled_from([65535, 65536, 2**32 - 1]))
seqs = st.one_of(st.integers(1, 65535), uint32s)
amounts = st.one_of(st.integers(-5, 10**8), st.integers(-(2**63), 2**63 - 1))
pins = st.one_of(st.just(""), st.from_regex(r"\A[0-9]{6}\Z"), st.text(max_size=7))
tokens = st.one_of(st.binary(min_size=4, max_size=14), st.binary(max_size=66))
kinds = st.one_of(st.integers(1, 4), st.integers(-1, 9))
originals = st.builds(
    pb.Original,
    seq=st.one_of(st.just(0), st.integers(0, 2**64 - 1)),
    batch_no=uint32s,
    terminal_seq=seqs,
)
VALUES = {
    "terminal_id": terminals,
    "batch_no": uint32s,
    "terminal_seq": seqs,
    "medium": st.builds(pb.Medium, type=kinds, token=tokens),
    "amount_fen": amounts,
    "pin": pins,
    "partial_ok": st.booleans(),
    "terminal_time_us": amounts,
    "water_transfer": st.booleans(),
    "card_counter": uint32s,
    "hold": originals,
    "original": originals,
    "void_sale": st.booleans(),
    "software": st.one_of(st.text(max_size=5), st.text(min_size=62, max_size=66)),
    "key": st.builds(pb.TransactionKey, terminal_id=terminals, batch_no=uint32s, terminal_seq=seqs),
    "seq": st.integers(0, 2**64 - 1),
}


@st.composite
def requests(draw):
    name = draw(names)
    kind = REQUESTS[name]
    fields = [f.name for f in kind.DESCRIPTOR.fields]
    chosen = draw(st.sets(st.sampled_from(fields))) if draw(st.booleans()) else fields
    return name, kind(**{field: draw(VALUES[field]) for field in fields if field in chosen})


@given(requests())
def test_messages_are_seen_as_the_official_library_sees_them(request):
    name, message = request
    agree(name, message.SerializeToString())


@given(requests(), st.data())
def test_mutations_are_accepted_exactly_when_the_official_library_accepts(request, data):
    name, message = request
    raw = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        act = data.draw(st.sampled_from(["set", "cut", "insert", "end"]))
        if act == "insert":
            raw[at:at] = data.draw(st.binary(min_size=1, max_size=3))
        elif act == "end":
            del raw[at:]
        elif act == "cut":
            del raw[at : at + 1]
        elif at < len(raw):
            raw[at] = data.draw(st.integers(0, 255))
    agree(name, bytes(raw))


@given(names, st.binary(max_size=64))
def test_noise_is_accepted_exactly_when_the_official_library_accepts(name, raw):
    agree(name, raw)


# ---- odd but legal encodings ----


def varint(value, width=0):
    """Encode with at least `width` bytes: longer forms are legal on the wire."""
    out = bytearray()
    while value > 0x7F or len(out) + 1 < width:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def odd_field(rng, depth):
    number = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 1000, 2**29 - 1])
    kind = rng.choice([0, 0, 0, 1, 2, 2, 2, 3, 5, 4, 6])
    tag = varint(number << 3 | kind, rng.choice([0, 0, 0, 2, 5, 6]))
    if kind == 0:
        value = rng.choice([0, 1, 127, 128, 65535, 2**32 - 1, 2**32 + 5, 2**63, 2**64 - 1])
        return tag + varint(value, rng.choice([0, 0, 0, 3, 10, 11]))
    if kind == 1:
        return tag + rng.randbytes(8)
    if kind == 5:
        return tag + rng.randbytes(4)
    if kind == 3:
        inner = odd_message(rng, depth - 1) if depth else b""
        return tag + inner + varint((number + (rng.random() < 0.05)) << 3 | 4)
    if kind == 2:
        choice = rng.random()
        inner = b"POS-1" if choice < 0.4 else b"123456" if choice < 0.5 else rng.randbytes(4)
        if choice > 0.7 and depth:
            inner = odd_message(rng, depth - 1)
        return tag + varint(len(inner), rng.choice([0, 0, 0, 2, 5, 6])) + inner
    return tag


def odd_message(rng, depth=3):
    return b"".join(odd_field(rng, depth) for _ in range(rng.choice([0, 1, 2, 4, 8])))


def test_odd_encodings_agree(seed):
    rng = random.Random(seed)
    ordered = sorted(METHODS)
    verdicts = [agree(rng.choice(ordered), odd_message(rng)) for _ in range(20_000)]
    assert verdicts.count("malformed") > 1000
    assert verdicts.count("invalid") > 1000


AUTHORIZE = pb.AuthorizeRequest(
    terminal_id="POS-0001",
    batch_no=7,
    terminal_seq=42,
    medium=pb.Medium(type=1, token=bytes.fromhex("04a1b2c3")),
    amount_fen=1250,
    pin="123456",
)
BASE = AUTHORIZE.SerializeToString()


@pytest.mark.parametrize(
    ("tail", "verdict"),
    [
        (b"\x10\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00", "decoded"),  # ten bytes for a 5
        (b"\x10\x85\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", "malformed"),  # eleven
        (b"\x90\x80\x80\x80\x00\x05", "decoded"),  # five bytes of tag
        (b"\x90\x80\x80\x80\x80\x00\x05", "malformed"),
        (b"\x0a\x85\x80\x80\x80\x00POS-2", "decoded"),  # five bytes of length
        (b"\x0a\x85\x80\x80\x80\x80\x00POS-2", "malformed"),
        (b"\x0a\x01\xff\x0a\x01A", "malformed"),  # not UTF-8, though overwritten
        (b"\x0a\x03\xed\xa0\x80", "malformed"),  # a surrogate
        (b"\x0a\x02\xc0\x80", "malformed"),  # not the shortest form
        (b"\x0a\x04\xf4\x90\x80\x80", "malformed"),  # above U+10FFFF
        (b"\x0a\x02\xc3\xa9", "invalid"),  # a letter, but not ASCII
        (b"\x00\x01", "malformed"),  # field number 0
        (b"\x0c", "malformed"),  # a group ends that never began
        (b"\xa3\x06" * 100 + b"\xa4\x06" * 100, "decoded"),
        (b"\xa3\x06" * 101 + b"\xa4\x06" * 101, "malformed"),
        (b"\xa3\x06\xac\x06", "malformed"),  # ended by another number
        (b"\xa3\x06\x0a\x01\xff\xa4\x06", "decoded"),  # nobody reads what a group holds
        (b"\xa3\x06\x00\x01\x03\x04\xa4\x06", "decoded"),  # not even its field numbers
        (b"\x0a\x7fshort", "malformed"),
        (b"\x22\x02\x08\x02\x22\x00", "decoded"),  # the medium is merged: type changes alone
        (b"\x12\x01A", "decoded"),  # a known number of another wire type is unknown
        (b"\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "decoded"),  # an amount of -1 passes on
        (b"\x18\x80\x80\x04", "invalid"),  # terminal_seq 65536
        (b"\x18\x80\x80\x80\x80\x10", "invalid"),  # 2^32 is 0 in 32 bits
    ],
)
def test_wire_format_by_example(tail, verdict):
    assert agree("Authorize", BASE + tail) == verdict


def test_every_prefix_agrees():
    verdicts = {agree("Authorize", BASE[:length]) for length in range(len(BASE) + 1)}
    assert verdicts == {"malformed", "invalid", "decoded"}


def test_last_value_wins_and_messages_merge():
    change = pb.AuthorizeRequest(amount_fen=1, medium=pb.Medium(token=b"\x09\x08\x07\x06"))
    view = wire.decode(METHODS["Authorize"], BASE + change.SerializeToString())
    assert view["amount"] == 1
    assert view["medium_key"] == b"\x01\x04\x09\x08\x07\x06" + bytes(10)


def test_the_fingerprint_leaves_out_password_clock_and_key():
    def fingerprint(**change):
        message = pb.AuthorizeRequest()
        message.CopyFrom(AUTHORIZE)
        message.MergeFrom(pb.AuthorizeRequest(**change))
        return wire.decode(METHODS["Authorize"], message.SerializeToString())["fingerprint"]

    same = fingerprint()
    assert fingerprint(pin="654321", terminal_time_us=5, terminal_seq=9, batch_no=1) == same
    assert fingerprint(terminal_id="OTHER") == same  # the key already tells terminals apart
    assert same != fingerprint(amount_fen=1251)
    assert same != fingerprint(partial_ok=True)
    assert same != fingerprint(medium=pb.Medium(type=2))
    hold = pb.HoldRequest.FromString(BASE).SerializeToString()
    assert same != wire.decode(METHODS["Hold"], hold)["fingerprint"]


def test_unknown_methods_are_refused():
    for method in (-1, 0, 9, 16, 31, 34, 255, 2**31 - 1):
        with pytest.raises(WireError):
            wire.decode(method, BASE)


# ---- streams and batches ----


@given(requests().filter(lambda r: r[0] == "Authorize"), st.binary(max_size=6))
def test_a_streamed_message_is_an_authorization(request, tail):
    raw = pb.AuthorizeStreamRequest(authorization=request[1]).SerializeToString() + tail
    try:
        message = pb.AuthorizeStreamRequest.FromString(raw)
        want = expected("Authorize", message.authorization)
    except (DecodeError, BadField):
        with pytest.raises(WireError):
            wire.decode_stream(raw)
    else:
        assert wire.decode_stream(raw) == want


items = st.builds(
    pb.AuthorizeItem,
    terminal_seq=seqs,
    medium_type=kinds,
    medium_token=tokens,
    amount_fen=amounts,
    pin=pins,
    partial_ok=st.booleans(),
)


def expected_item(head, item):
    view = blank(1)
    view["terminal_name"] = head.terminal_id.encode().ljust(16, b"\0")
    view["batch_no"] = head.batch_no
    check_seq(item.terminal_seq, "terminal_seq")
    view["terminal_seq"] = item.terminal_seq
    view["medium_key"] = medium_key(
        item.medium_type, item.medium_token, "medium_type", "medium_token"
    )
    check_pin(item.pin)
    view["pin"] = item.pin.encode()
    view["amount"] = item.amount_fen
    view["flags"] = PARTIAL_OK * item.partial_ok | HAS_PIN * bool(item.pin)
    return finish(view)


def agree_batch(raw):
    try:
        message = pb.AuthorizeBatchRequest.FromString(raw)
        check_terminal(message)
        need(message.batch_no, "batch_no")
        need(1 <= len(message.items) <= 8192, "items")
    except (DecodeError, BadField) as error:
        field = str(error) if type(error) is BadField else ""
        with pytest.raises(WireError) as caught:
            wire.decode_batch(raw)
        assert caught.value.field == field
        return
    found = wire.decode_batch(raw)
    assert len(found) == len(message.items)
    for index, (item, got) in enumerate(zip(message.items, found, strict=True)):
        try:
            want = expected_item(message, item)
        except BadField as bad:
            field = f"items[{index}].{bad}"
            assert (got.reason, got.field) == ("FIELD_INVALID", field)
        else:
            assert got == want


@given(
    st.builds(
        pb.AuthorizeBatchRequest,
        terminal_id=terminals,
        batch_no=uint32s,
        items=st.lists(items, max_size=6),
    ),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
    st.randoms(use_true_random=False),
)
def test_batches_agree_whatever_the_order_of_fields(message, changes, rng):
    parts = [
        pb.AuthorizeBatchRequest(terminal_id=message.terminal_id).SerializeToString(),
        pb.AuthorizeBatchRequest(batch_no=message.batch_no).SerializeToString(),
        *(pb.AuthorizeBatchRequest(items=[item]).SerializeToString() for item in message.items),
    ]
    rng.shuffle(parts)
    raw = bytearray(b"".join(parts))
    for at, value in changes:
        if at < len(raw):
            raw[at] = value
    agree_batch(bytes(raw))


@pytest.mark.parametrize("count", [0, 1, 8192, 8193])
def test_a_batch_has_1_to_8192_items(count):
    item = pb.AuthorizeItem(terminal_seq=1, medium_type=2, medium_token=b"q", amount_fen=1)
    message = pb.AuthorizeBatchRequest(terminal_id="T", batch_no=1, items=[item] * count)
    agree_batch(message.SerializeToString())
    assert wire.count_batch(message.SerializeToString()) == (count if 1 <= count <= 8192 else 0)


# ---- the tables against the schema ----

SLOTS = {
    "terminal_id": 13, "batch_no": 1, "terminal_seq": 2, "amount_fen": 3, "partial_ok": 4,
    "void_sale": 5, "water_transfer": 6, "card_counter": 7, "seq": 8, "type": 11,
    "medium_type": 11, "token": 12, "medium_token": 12, "pin": 14, "software": 15, "medium": 16,
    "hold": 17, "original": 17, "key": 18, "authorization": 19, "items": 20,
    "terminal_time_us": 0,
}  # fmt: skip
INNER = {9: pb.Medium, 10: pb.Original, 11: pb.TransactionKey, 12: pb.AuthorizeStreamRequest,
         13: pb.AuthorizeBatchRequest, 14: pb.AuthorizeItem}  # fmt: skip


def test_the_tables_are_the_proto():
    messages = INNER | {METHODS[name]: kind for name, kind in REQUESTS.items()}
    for number, row in enumerate(wire.SLOTS):
        want = [0] * 16
        for field in messages[number].DESCRIPTOR.fields if number in messages else ():
            slot = SLOTS[field.name]
            if number == 10 and field.name in {"batch_no", "terminal_seq"}:
                slot += 8  # of the original, not of the command
            want[field.number] = slot
        assert row == want, messages.get(number)
