"""ext/wire writes the bytes the official protobuf library would write for what a reply says."""

import ctypes as c

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campuscard.v1 import terminal_service_pb2 as pb
from core.catalogue import BY_NAME, BY_NUMBER
from ext import wire
from ext.wire import METHODS

# ---- cc_reply, repeated from ext/commands.h ----


class Money(c.Structure):
    _fields_ = (
        ("prev_terminal_seq", c.c_uint64),
        *((name, c.c_int64) for name in ("amount", "debit_after", "credit_after", "held_after")),
        *((name, c.c_uint32) for name in ("day_used", "meal_used")),
        ("day_key", c.c_uint16),
        *((name, c.c_uint8) for name in ("meal_key", "debit_wallet", "credit_wallet")),
        *((name, c.c_uint8) for name in ("pin_fails", "original_part", "spare")),
    )


class Record(c.Structure):
    _fields_ = (
        ("seq", c.c_uint64),
        *((name, c.c_uint8) for name in ("type", "outcome")),
        *((name, c.c_uint16) for name in ("reason", "flags")),
        *((name, c.c_uint8) for name in ("part", "parts")),
        *((name, c.c_uint32) for name in ("account", "medium", "merchant", "terminal")),
        *((name, c.c_uint32) for name in ("batch_no", "terminal_seq")),
        *((name, c.c_uint64) for name in ("fingerprint", "original_seq", "prev_account_seq")),
        ("money", Money),
        *((name, c.c_uint32) for name in ("aux", "crc32c")),
    )


class Account(c.Structure):
    _fields_ = (
        *((name, c.c_int64) for name in ("online", "held", "subsidy")),
        ("last_seq", c.c_uint64),
        *((name, c.c_uint32) for name in ("day_used", "meal_used", "day_limit", "meal_limit")),
        ("rest", c.c_uint8 * 16),
    )


class Cold(c.Structure):
    _fields_ = (("water", c.c_int64), ("rest", c.c_uint8 * 56))


class Reply(c.Structure):
    _fields_ = (
        ("token", c.c_uint64),
        *((name, c.c_uint8) for name in ("op", "status", "replayed", "parts")),
        ("rule_version", c.c_uint32),
        ("as_of_seq", c.c_uint64),
        ("time_us", c.c_int64),
        *((name, c.c_uint32) for name in ("business_date", "conflict")),
        ("approved", c.c_int64),
        *((name, c.c_uint32) for name in ("limit_day", "limit_meal")),
        ("pin_left", c.c_uint8),
        ("spare", c.c_uint8 * 7),
        ("record", Record),
        ("account_row", Account),
        ("cold_row", Cold),
        *((name, c.c_uint32) for name in ("row", "spare2")),
        ("bytes", c.c_uint64),
        ("count", c.c_uint32),
        ("next_seq", c.c_uint64),
    )


def make(*, money=None, record=None, **fields):
    reply = Reply(**fields)
    for name, value in (record or {}).items():
        setattr(reply.record, name, value)
    for name, value in (money or {}).items():
        setattr(reply.record.money, name, value)
    return reply


def test_the_mirror_has_the_right_size():
    assert c.sizeof(Reply) == wire.REPLY_BYTES


# ---- what a reply must become, written from the proto ----

TYPES = {
    1: "PURCHASE", 2: "HOLD", 3: "CAPTURE", 4: "RELEASE", 5: "HOLD_EXPIRED", 6: "HOLD_GREY",
    7: "HOLD_RETIRED", 8: "REVERSAL", 9: "TOMBSTONE", 10: "REFUND", 11: "SIGN_IN", 12: "SIGN_OFF",
    13: "PIN_CHECK", 32: "TOP_UP", 33: "SUBSIDY", 34: "ADJUST", 64: "ACCOUNT", 65: "MEDIUM",
    66: "MERCHANT", 67: "TERMINAL", 68: "CATEGORY", 69: "RULES", 70: "MEALS", 71: "SCHEDULED", 72: "UNSCHEDULED",
    96: "DOCUMENT",
}  # fmt: skip
FLAGS = {4: "OVER_DAY", 8: "OVER_MEAL", 16: "PARTIAL", 256: "EXCESS", 128: "LATE", 64: "FORCED"}
MUST_CHANGE, KEY_IS_REQUEST = 8192, 16384
HOLDER = (pb.WALLET_ONLINE, pb.WALLET_WATER, pb.WALLET_SUBSIDY)


def yuan(fen):
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02}"


def wallet(record):
    """The holder's wallet and its balance."""
    money, ok = record.money, record.outcome in (1, 4)
    if record.type >= 64:
        return 0, 0
    if not ok or record.type in (2, 4):
        return pb.WALLET_ONLINE, money.debit_after
    debit, credit = money.debit_wallet, money.credit_wallet
    if credit in HOLDER and (record.type in (8, 10) or debit not in HOLDER):
        return credit, money.credit_after
    if debit in HOLDER:
        return debit, money.debit_after
    return (pb.WALLET_ONLINE if record.account else 0), money.debit_after


def subsidy(reply):
    record = reply.record
    if record.outcome not in (1, 4) or record.type >= 64:
        return 0
    if wallet(record)[0] == pb.WALLET_SUBSIDY:
        return record.money.amount
    if record.parts == 2 and record.type in (1, 8):
        return reply.approved - record.money.amount
    return 0


def numbers(reply):
    record, money = reply.record, reply.record.money
    found, name = {}, BY_NUMBER[record.reason].name
    if record.type >= 64:
        return found
    if record.aux not in (0, 2**32 - 1):
        found["askedFen"] = record.aux
    if name == "INSUFFICIENT" and record.type in (1, 2):
        subsidies = money.credit_after if record.type == 1 else 0
        found["availableFen"] = money.debit_after - money.held_after + subsidies
    if name == "WATER_CAP":
        found["waterCapFen"] = money.credit_after
    if name == "REFUND_EXCEEDS_ORIGINAL":
        found["refundableFen"] = money.credit_after
    if name in {"PIN_REQUIRED", "PIN_WRONG", "PIN_LOCKED"}:
        limits = money.credit_after % 2**64
        if record.flags & 4:
            found |= {"dayLimitFen": limits % 2**32, "dayUsedFen": money.day_used}
        if record.flags & 8:
            found |= {"mealLimitFen": limits >> 32, "mealUsedFen": money.meal_used}
        if name != "PIN_REQUIRED":
            found["triesLeft"] = reply.pin_left
    return found


def limits_text(found, words):
    return "; ".join(
        f"{words[kind]}{yuan(found[f'{kind}LimitFen'])}{words[0]}{yuan(found[f'{kind}UsedFen'])}"
        + words[1]
        for kind in ("meal", "day")
        if f"{kind}LimitFen" in found
    )


def refusal(reply):
    reason, found, record = BY_NUMBER[reply.record.reason], numbers(reply), reply.record
    money = record.type < 64

    def fen(number):
        return yuan(found[number]) if number in found else "-"

    values = {
        "asked": fen("askedFen"),
        "available": fen("availableFen"),
        "balance": yuan(record.money.debit_after if money else 0),
        "left": str(found["triesLeft"]) if "triesLeft" in found else fen("refundableFen"),
        "limit": fen("waterCapFen"),
    }
    zh = {"meal": "餐消费限额 ", "day": "日消费限额 ", 0: " 元: 已用 ", 1: ""}
    en = {"meal": "meal limit ", "day": "day limit ", 0: ": ", 1: " used"}
    return pb.Refusal(
        clause=reason.clause,
        text_zh=reason.zh.format(**values, limits=limits_text(found, zh)),
        text_en=reason.en.format(**values, limits=limits_text(found, en)),
        numbers=found,
    )


def auth_code(seq):
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(alphabet[seq >> shift & 31] for shift in range(25, -1, -5))


def decision(reply, *, unary=True, replayed=None):
    record, money = reply.record, reply.record.money
    ok = record.outcome in (1, 4)
    kind, balance = wallet(record)
    counted = record.type < 64
    return pb.Decision(
        outcome=1 if ok else record.outcome,
        reason=BY_NUMBER[record.reason].name,
        approved_fen=reply.approved,
        balance_fen=balance,
        wallet=kind,
        day_used_fen=money.day_used * counted,
        meal_used_fen=money.meal_used * counted,
        held_fen=money.held_after * counted,
        seq=record.seq,
        auth_code=auth_code(record.seq) if ok else "",
        rule_version=reply.rule_version,
        replayed=bool(reply.replayed) if replayed is None else replayed,
        time_us=reply.time_us,
        business_date=reply.business_date,
        must_change_pin=bool(record.flags & MUST_CHANGE),
        refusal=refusal(reply) if unary and not ok else None,
        subsidy_fen=subsidy(reply),
        flags=[name for bit, name in FLAGS.items() if record.flags & bit],
    )


def transaction(reply, terminal):
    record = reply.record
    key = None
    if record.batch_no and not record.flags & KEY_IS_REQUEST:
        key = pb.TransactionKey(
            terminal_id=terminal, batch_no=record.batch_no, terminal_seq=record.terminal_seq
        )
    return pb.GetTransactionResponse(
        decision=decision(reply, replayed=True),
        key=key,
        type=TYPES[record.type],
        original_seq=0 if record.type in (9, 11) else record.original_seq,
        as_of_seq=reply.as_of_seq,
    )


def response(name, reply):
    if name == "GetTransaction":
        return transaction(reply, "")
    if name == "GetBalance":
        row = reply.account_row
        return pb.GetBalanceResponse(
            online_fen=row.online,
            held_fen=row.held,
            subsidy_fen=row.subsidy,
            water_fen=reply.cold_row.water,
            day_used_fen=row.day_used,
            meal_used_fen=row.meal_used,
            day_limit_fen=reply.limit_day,
            meal_limit_fen=reply.limit_meal,
            as_of_seq=reply.as_of_seq,
        )
    more = {}
    if name == "SignIn":
        more["batch_no"] = reply.record.batch_no
    if name == "Hold" and reply.record.outcome in (1, 4):
        more["expire_time_s"] = reply.record.money.credit_after
    return getattr(pb, f"{name}Response")(decision=decision(reply), **more)


def streamed(reply, terminal_seq):
    return pb.AuthorizeStreamResponse(
        decision=decision(reply, unary=False), terminal_seq=terminal_seq
    )


def batch(found, seqs):
    results = [
        pb.AuthorizeResult(
            terminal_seq=seq,
            outcome=reply.record.outcome,
            reason=reply.record.reason,
            approved_fen=reply.approved,
            balance_fen=reply.record.money.debit_after,
            seq=reply.record.seq,
            day_used_fen=reply.record.money.day_used,
            meal_used_fen=reply.record.money.meal_used,
            replayed=bool(reply.replayed),
            auth_code=auth_code(reply.record.seq) if reply.record.outcome == 1 else "",
            rule_version=reply.rule_version,
        )
        for seq, reply in zip(seqs, found, strict=True)
    ]
    return pb.AuthorizeBatchResponse(results=results)


def same(raw, message):
    """The bytes are the message's, and the ones the official library writes."""
    assert type(message).FromString(raw) == message
    assert raw == message.SerializeToString(deterministic=True)


# ---- replies ----

small = st.integers(0, 300)
u64 = st.one_of(small, st.integers(0, 2**64 - 1))
u32 = st.one_of(small, st.integers(0, 2**32 - 1))
fen = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1))
balance = st.one_of(st.integers(-300, 300), st.integers(-(10**15), 10**15))
wallets = st.sampled_from([0, 1, 2, 3, 8, 16, 19])
numbers_of_outcomes = st.sampled_from([r.number for r in BY_NUMBER.values() if r.number < 100])

replies = st.builds(
    make,
    replayed=st.integers(0, 1),
    rule_version=u32,
    as_of_seq=u64,
    time_us=fen,
    business_date=u32,
    approved=balance,
    limit_day=u32,
    limit_meal=u32,
    pin_left=st.integers(0, 255),
    account_row=st.builds(Account, online=fen, held=fen, subsidy=fen, day_used=u32, meal_used=u32),
    cold_row=st.builds(Cold, water=fen),
    record=st.fixed_dictionaries(
        {
            "seq": u64,
            "type": st.sampled_from(sorted(TYPES)),
            "outcome": st.integers(1, 4),
            "reason": numbers_of_outcomes,
            "flags": st.integers(0, 2**16 - 1),
            "parts": st.integers(1, 2),
            "account": st.integers(0, 2),
            "batch_no": st.integers(0, 2**32 - 1),
            "terminal_seq": st.integers(0, 65535),
            "original_seq": u64,
            "aux": u32,
        }
    ),
    money=st.fixed_dictionaries(
        {
            "amount": balance,
            "debit_after": balance,
            "credit_after": st.one_of(balance, fen),
            "held_after": balance,
            "day_used": u32,
            "meal_used": u32,
            "debit_wallet": wallets,
            "credit_wallet": wallets,
        }
    ),
)


@given(st.sampled_from(sorted(METHODS)), replies)
def test_responses_are_what_the_official_library_writes(name, reply):
    if abs(numbers(reply).get("availableFen", 0)) < 2**63:
        same(wire.encode(METHODS[name], bytes(reply)), response(name, reply))


@given(replies, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=16))
def test_a_transaction_names_its_terminal(reply, name):
    if abs(numbers(reply).get("availableFen", 0)) < 2**63:
        raw = wire.encode(METHODS["GetTransaction"], bytes(reply), name.encode())
        same(raw, transaction(reply, name))


@given(replies, st.integers(0, 65535))
def test_streams_answer_without_words(reply, terminal_seq):
    same(wire.encode_stream(bytes(reply), terminal_seq), streamed(reply, terminal_seq))


STATUSES = {
    1: ("KEY_LOADING", 50), 2: ("QUEUE_FULL", 50), 3: ("SHUTTING_DOWN", 1000),
    4: ("DEADLINE_EXCEEDED", 0), 5: ("STORAGE_NEARLY_FULL", 5000), 6: ("NOT_FOUND", 0),
    7: ("CONFLICT", 0), 8: ("FIELD_INVALID", 0), 9: ("TABLE_FULL", 5000),
    10: ("REQUEST_ID_REUSED", 0), 11: ("KEY_LOADING", 50), 99: ("INTERNAL", 0),
}  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
def test_without_a_decision_there_is_a_reason(status):
    reply = bytes(make(op=1, status=status))
    name, wait = STATUSES[status]
    error = pb.ItemError(reason=name, retry_after_ms=wait)
    same(wire.encode_stream(reply, 7), pb.AuthorizeStreamResponse(error=error, terminal_seq=7))
    result = pb.AuthorizeResult(terminal_seq=7, reason=BY_NAME[name].number)
    want = pb.AuthorizeBatchResponse(results=[result])
    same(wire.encode_batch(reply, memoryview(b"\7\0\0\0").cast("I")), want)
    assert wire.encode(1, reply) == b""


def test_a_transaction_that_is_not_there_says_so():
    reply = bytes(make(op=33, status=6))
    answer = pb.AuthorizeStreamResponse.FromString(wire.encode_stream(reply, 0))
    assert answer.error.reason == "TRANSACTION_NOT_FOUND"


@given(st.lists(replies, min_size=1, max_size=8))
def test_batches_answer_in_numbers(found):
    seqs = range(1, len(found) + 1)
    raw = b"".join(map(bytes, found))
    echo = memoryview(b"".join(seq.to_bytes(4, "little") for seq in seqs)).cast("I")
    same(wire.encode_batch(raw, echo), batch(found, seqs))


# ---- by example: what a cashier and a holder read ----


def refused(reason, *, flags=0, aux=0, pin_left=0, kind=1, **money):
    record = {
        "type": kind, "outcome": 2, "reason": BY_NAME[reason].number, "flags": flags, "aux": aux,
    }  # fmt: skip
    raw = wire.encode(1, bytes(make(pin_left=pin_left, record=record, money=money)))
    return pb.AuthorizeResponse.FromString(raw).decision.refusal


def test_a_password_is_asked_for_with_both_limits():
    words = refused(
        "PIN_REQUIRED",
        flags=4 | 8,
        aux=800,
        day_used=9500,
        meal_used=5000,
        credit_after=10000 | 5000 << 32,
    )
    assert words.clause == "四.3"
    assert words.text_zh == (
        "餐消费限额 50.00 元: 已用 50.00; 日消费限额 100.00 元: 已用 95.00, "
        "本笔 8.00, 请输入交易密码"
    )
    assert words.text_en == (
        "meal limit 50.00: 50.00 used; day limit 100.00: 95.00 used, this one 8.00: "
        "enter the transaction password"
    )
    assert dict(words.numbers) == {
        "askedFen": 800,
        "dayLimitFen": 10000,
        "dayUsedFen": 9500,
        "mealLimitFen": 5000,
        "mealUsedFen": 5000,
    }


def test_a_short_balance_says_what_there_is():
    words = refused("INSUFFICIENT", aux=1250, debit_after=1000, held_after=300, credit_after=105)
    assert words.text_zh == "余额不足: 可用 8.05, 本笔 12.50"
    assert dict(words.numbers) == {"askedFen": 1250, "availableFen": 805}


def test_a_wrong_password_says_how_many_tries_are_left():
    words = refused("PIN_WRONG", flags=4, aux=800, pin_left=2, day_used=1, credit_after=0)
    assert words.text_en == "Wrong transaction password (2 tries left)"
    assert words.numbers["triesLeft"] == 2


def test_a_refund_says_what_is_left_of_it():
    words = refused("REFUND_EXCEEDS_ORIGINAL", kind=10, aux=700, credit_after=0)
    assert words.text_en == "Refund exceeds the original: 0.00 left"
    assert dict(words.numbers) == {"askedFen": 700, "refundableFen": 0}


def test_a_full_water_purse_says_its_cap():
    words = refused("WATER_CAP", kind=2, flags=4096, aux=200, credit_after=10_000)
    assert words.text_zh == "热水钱包超过上限 100.00"
    assert dict(words.numbers) == {"askedFen": 200, "waterCapFen": 10_000}


def test_a_debt_is_a_negative_balance():
    assert refused("ACCOUNT_DEBT", debit_after=-305).text_zh == "账户欠款 -3.05"


def test_the_authorization_code_is_six_characters_of_the_seq():
    raw = wire.encode(1, bytes(make(record={"type": 1, "outcome": 1, "seq": 2**30 + 33})))
    assert pb.AuthorizeResponse.FromString(raw).decision.auth_code == "000011"
