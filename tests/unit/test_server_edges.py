"""Small parts around the calls: rates, a look at bytes, redaction, fields, fingerprints."""

import subprocess
import sys

import pytest

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import terminal_service_pb2 as pb
from core.refusals import Refusal
from server.interceptors.limits import BUCKETS_MAX, TokenBuckets
from server.logs import REDACTED, redact
from server.services import fields
from server.wire_peek import terminal_of

AUTHORIZE = "/campuscard.v1.TerminalService/Authorize"
BY_KEY = "/campuscard.v1.TerminalService/GetTransaction"


def test_a_burst_then_the_rate():
    rates = TokenBuckets(rate=1, burst=3)
    assert [rates.take(b"A") for _ in range(3)] == [0, 0, 0]
    assert 0 < rates.take(b"A") <= 1_000
    assert rates.take(b"B") == 0, "every terminal has its own"


def test_the_number_of_buckets_is_bounded():
    rates = TokenBuckets(rate=1_000_000, burst=1)
    for number in range(BUCKETS_MAX + 10):
        rates.take(str(number).encode())
    assert len(rates._buckets) <= BUCKETS_MAX


@pytest.mark.parametrize("length", [1, 7, 16, 127, 128, 300])
def test_the_terminal_is_seen_without_decoding(length):
    request = pb.AuthorizeRequest(terminal_id="T" * length, batch_no=1)
    assert terminal_of(AUTHORIZE, request.SerializeToString()) == b"T" * length
    by_key = pb.GetTransactionRequest(key=pb.TransactionKey(terminal_id="T" * length))
    assert terminal_of(BY_KEY, by_key.SerializeToString()) == b"T" * length


@pytest.mark.parametrize("raw", [b"", b"\x0a", b"\x10\x01", b"\x0a\xff\xff\xff", b"\x0a\x05ab"])
def test_anything_may_be_looked_at(raw):
    assert isinstance(terminal_of(AUTHORIZE, raw), bytes)


def test_secrets_never_reach_the_log():
    event = {"event": "x", "pin": "739184", "inner": {"id_number": "44070320050812123X", "seq": 1}}
    out = redact(None, "info", event)
    assert out["pin"] == REDACTED
    assert out["inner"] == {"id_number": REDACTED, "seq": 1}


@pytest.mark.parametrize(
    ("function", "arguments", "field"),
    [
        (fields.request_id, ("",), "request_id"),
        (fields.account_no, ("a b",), "account_no"),
        (fields.id_number, ("440703200508121230",), "id_number"),
        (fields.id_number, ("x" * 33,), "id_number"),
        (fields.channel_txn_id, ("a b",), "channel_txn_id"),
        (fields.channel_txn_id, ("微信",), "channel_txn_id"),
        (fields.amount, ("amount_fen", 0), "amount_fen"),
        (fields.amount, ("amount_fen", 100_000_001), "amount_fen"),
        (fields.page_size, (-1,), "page_size"),
        (fields.page_size, (1_001,), "page_size"),
        (fields.medium, ("medium", pb.Medium(type=0, token=b"1234")), "medium.type"),
        (fields.medium, ("medium", pb.Medium(type=9, token=b"1234")), "medium.type"),
        (fields.medium, ("medium", pb.Medium(type=1, token=b"123")), "medium.token"),
        (fields.medium, ("medium", pb.Medium(type=1, token=bytes(15))), "medium.token"),
        (fields.medium, ("medium", pb.Medium(type=4, token=b"")), "medium.token"),
        (fields.medium, ("medium", pb.Medium(type=2, token=bytes(65))), "medium.token"),
    ],
)
def test_fields_that_are_refused(function, arguments, field):
    with pytest.raises(Refusal) as caught:
        function(*arguments)
    assert caught.value.reason.name == "FIELD_INVALID"
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize(
    "bad", ["", "x" * 65, " x", "x ", "a\nb", "a\x00b", "\u202eabc", "a\u200bb"]
)
def test_texts_for_people_are_printable(bad):
    with pytest.raises(Refusal):
        fields.text("name", bad, shortest=1, longest=64)
    assert fields.text("name", "阿依古丽·买买提 A.", shortest=1, longest=64)


def test_page_sizes():
    assert [fields.page_size(n) for n in (0, 1, 1_000)] == [50, 1, 1_000]


def test_secrets_are_no_part_of_the_body_compared():
    from server.services.office import compared_body

    def body(**changes):
        values = {"request_id": "1", "account_no": "7", "old_pin": "1", "new_pin": "2", **changes}
        return compared_body(accounts_pb.SetTransactionPasswordRequest(**values))

    assert body() == body(request_id="2", old_pin="3", new_pin="4")
    assert body() != body(account_no="8")
    opened = accounts_pb.OpenAccountRequest(account_no="7", id_number="44070320050812123X")
    assert b"44070320050812123X" not in compared_body(opened)


def test_what_the_start_has_loaded_is_out_of_the_collectors_rounds():
    program = (
        "import gc, sys; from server.app import SWITCH_S, keep_short_pauses; keep_short_pauses();"
        "print(gc.get_freeze_count(), len(gc.get_objects()), sys.getswitchinterval() == SWITCH_S)"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    frozen, looked_at, switches = int(told[0]), int(told[1]), told[2]
    assert frozen > 50_000
    assert looked_at < frozen // 50
    assert switches == "True"
