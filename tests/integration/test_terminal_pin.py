"""The transaction password at a terminal with a keypad."""

import grpc
import pytest

from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import staff_service_pb2 as staff_pb
from campuscard.v1 import terminal_service_pb2 as pb
from tests.campus import CALL_S, refusal

ID_NUMBER = "44070320050812123X"
INITIAL, PIN = "812123", "904617"


def change(campus, pos, medium, old, new, confirm=None, **fields):
    values = {
        "terminal_id": pos.terminal_id,
        "request_id": campus.request_id(),
        "medium": medium,
        "old_pin": old,
        "new_pin": new,
        "confirm_pin": new if confirm is None else confirm,
    }
    return campus.terminals.ChangePin(pb.ChangePinRequest(**(values | fields)), timeout=CALL_S)


def refused(reason, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        change(*arguments, **options)
    found, metadata, _ = refusal(caught.value)
    assert found == reason
    return metadata


@pytest.mark.clause("五.2a", "五.2b")
def test_a_first_change_at_the_terminal(campus, pos):
    holder = campus.open_account("200571040001", id_number=ID_NUMBER, top_up_fen=20_000)
    assert pos.pay(holder, 5_100, pin=INITIAL).must_change_pin
    for weak, rule in (("123456", "SEQUENCE"), ("050812", "PERSONAL"), ("710400", "ACCOUNT_NO")):
        found = refused("WEAK_PASSWORD", campus, pos, holder.medium, INITIAL, weak)
        assert found["rule"] == rule
    refused("PASSWORD_MISMATCH", campus, pos, holder.medium, INITIAL, PIN, "904618")
    refused("FIELD_INVALID", campus, pos, holder.medium, INITIAL, "９０４６１７")
    found = refused("PASSWORD_REFUSED", campus, pos, holder.medium, "111112", PIN)
    assert found == {"reason": "PIN_WRONG", "triesLeft": "2"}
    request_id = campus.request_id()
    first = change(campus, pos, holder.medium, INITIAL, PIN, request_id=request_id)
    again = change(campus, pos, holder.medium, INITIAL, PIN, request_id=request_id)
    assert (again.act.seq, again.act.replayed) == (first.act.seq, True)
    decision = pos.pay(holder, 5_100, pin=PIN)
    assert (decision.reason, decision.must_change_pin) == ("OK", False)
    request = staff_pb.ListActsRequest(account_no=holder.account_no, page_size=1)
    (act,) = campus.stub("StaffService").ListActs(request, timeout=CALL_S).acts
    assert (act.kind, act.actor, act.channel) == (
        "TransactionPasswordSet",
        f"terminal:{pos.terminal_id}",
        "TERMINAL",
    )


def test_where_and_with_what_it_is_not_changed(campus, pos):
    holder = campus.open_account(id_number=ID_NUMBER)
    arguments = (holder.medium, INITIAL, PIN)
    deaf = campus.terminal("NOKEYS", keypad=False)
    off = campus.terminal("OFF", sign_in=False)
    for terminal in (deaf, off):
        refused("CHANNEL_NOT_ALLOWED", campus, terminal, *arguments)
    suspended = campus.terminal("SUSP")
    request = merchants_pb.UpdateTerminalRequest(
        request_id=campus.request_id(),
        terminal_id="SUSP",
        status=merchants_pb.SERVICE_STATUS_SUSPENDED,
    )
    campus.merchants.UpdateTerminal(request, timeout=CALL_S)
    refused("CHANNEL_NOT_ALLOWED", campus, suspended, *arguments)
    refused("NOT_FOUND", campus, pos, *arguments, terminal_id="NOBODY")
    unknown = pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=b"\x04none")
    refused("NOT_FOUND", campus, pos, unknown, INITIAL, PIN)
    holder.lose()
    found = refused("CARD_STATE", campus, pos, *arguments)
    assert found["state"] == "ACTIVE+LOST"
    assert pos.pay(holder, 1).reason == "CARD_LOST"
