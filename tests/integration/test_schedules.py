"""Effects that wait for their time, in the engine itself: when they happen, how, and after a crash."""

import asyncio
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from core import documents
from core.blocks import DUE, Block, Outcome, RecordType
from core.calendar import DEFAULT_MEALS, MealPeriod
from core.catalogue import BY_NAME
from core.plans import EffectKind, Expect
from core.rows import (
    AccountBody,
    AccountStatus,
    MealsBody,
    MediumBody,
    MediumFlag,
    RulesBody,
    RulesField,
    ScheduledBody,
)
from ext.engine import Effect, Refused
from server.keys import Keyring
from server.offline import verify
from server.offline.copies import make_copy, open_copy
from server.projection import NO_DOCUMENT, Projection
from server.registry import Registry
from tests.contract import encoder
from tests.integration.engine_desk import ACTIVE, CANTEEN, LOST, START_US, Desk, card

START_S = START_US // 1_000_000
LATER_S = START_S + 600
SECOND_US = 1_000_000
SCHEDULED = 13
GOLDEN = Path(encoder.__file__).parent / "golden"
SOON_S = 1.0
REQUESTS_MAX = 4096


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path) as desk:
        yield desk


def status(row, new, **fields):
    body = AccountBody(status=new).pack()
    return Effect(EffectKind.ACCOUNT_STATUS, row=row, event=2, body=body, **fields)


def until_normal(row, due_s=LATER_S, expect=Expect.STATUS | Expect.UNCHANGED):
    return status(
        row, AccountStatus.NORMAL, due_s=due_s, expect=expect, expect_status=AccountStatus.SUSPENDED
    )


def rules(due_s=LATER_S, mask=0, **fields):
    return Effect(EffectKind.RULES, due_s=due_s, mask=mask, body=RulesBody(**fields).pack())


def cancel(seq):
    return Effect(EffectKind.CANCEL, scheduled_seq=seq)


def blocks(desk, from_seq=1):
    return [Block(raw) for raw in desk.engine.read_blocks(from_seq, 1 << 24)]


def records(desk, *types):
    found = (record for block in blocks(desk) for record in block.records())
    return [record for record in found if record.type in types]


def rules_in_force(desk):
    return RulesBody.unpack(records(desk, RecordType.RULES)[-1].body)


def alone_at(desk, due_s, until, within_s=SOON_S):
    """Move the clock and send nothing: the engine must wake by itself."""
    desk.set_time(due_s * SECOND_US)
    ends = time.monotonic() + within_s
    while not until():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.005)


def waiting(desk):
    """Seqs of the rows in use."""
    raw = desk.engine.state_dump(SCHEDULED)
    seqs = (int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 128))
    return {seq for seq in seqs if seq}


def refusal(desk, *effects):
    with pytest.raises(Refused) as refused:
        desk.act(*effects)
    return refused.value.reason


# ---- at their time ----


def test_without_traffic_it_happens_within_a_second(desk):
    number = desk.open_account()
    desk.act(status(number, AccountStatus.SUSPENDED), until_normal(number))
    (scheduled,) = records(desk, RecordType.SCHEDULED)
    assert (scheduled.account, ScheduledBody.unpack(scheduled.body).due_s) == (number, LATER_S)
    head = desk.engine.head()["acknowledged_seq"]
    desk.set_time(LATER_S * SECOND_US - 1)
    time.sleep(0.05)
    assert desk.engine.head()["acknowledged_seq"] == head
    alone_at(desk, LATER_S, lambda: desk.engine.head()["acknowledged_seq"] == head + 1)
    last = records(desk, RecordType.ACCOUNT)[-1]
    assert AccountBody.unpack(last.body).status == AccountStatus.NORMAL
    assert (last.flags, last.outcome) == (DUE, Outcome.EFFECT)
    assert (last.original_seq, last.prev_account_seq) == (scheduled.seq, scheduled.seq)
    assert desk.account(number)["status"] == AccountStatus.NORMAL
    assert waiting(desk) == set()


def test_on_the_real_clock_too(tmp_path):
    with Desk(tmp_path) as desk:
        desk.shut()
        desk.options.pop("clock_path")
        desk.open()
        desk.now_us = time.time_ns() // 1000
        number = desk.open_account()
        due_s = int(time.time()) + 2
        desk.act(status(number, AccountStatus.SUSPENDED), until_normal(number, due_s))
        head = desk.engine.head()["acknowledged_seq"]
        while desk.engine.head()["acknowledged_seq"] == head:
            assert time.time() < due_s + SOON_S
            time.sleep(0.005)
        assert blocks(desk)[-1].header.time_us >= due_s * SECOND_US
        assert desk.account(number)["status"] == AccountStatus.NORMAL


def test_changes_of_rules_add_up_in_any_order(desk):
    before = rules_in_force(desk)
    desk.act(
        rules(LATER_S + 1, RulesField.MEAL_LIMIT | RulesField.PIN_MAX, meal_limit=7, pin_max=9)
    )
    desk.act(rules(LATER_S, RulesField.DAY_LIMIT, day_limit=8, meal_limit=1_234))
    desk.act(rules(LATER_S + 2, 0))
    assert rules_in_force(desk) == before
    alone_at(desk, LATER_S + 5, lambda: desk.engine.head()["rule_version"] == 4)
    now = rules_in_force(desk)
    assert (now.day_limit, now.meal_limit, now.pin_max, now.version) == (8, 7, 9, 4)
    assert now.day_ceiling == before.day_ceiling
    versions = [block.header.rule_version for block in blocks(desk)[-3:]]
    assert versions == [1, 2, 3], "each change ends its block"


def test_nothing_is_decided_between_two_changes_of_one_time(desk):
    desk.open_account(50_000)
    desk.open_terminal("POS-1", CANTEEN)
    desk.act(
        rules(mask=RulesField.DAY_LIMIT, day_limit=100),
        Effect(EffectKind.MEALS, due_s=LATER_S, body=MealsBody(()).pack()),
        Effect(EffectKind.CATEGORY, due_s=LATER_S, body=bytes([CANTEEN, 0]).ljust(56, b"\0")),
    )
    desk.set_time(LATER_S * SECOND_US - 1)
    assert desk.pay(1, 150).reason == "OK"
    desk.set_time(LATER_S * SECOND_US)
    assert desk.pay(1, 150).reason == "CATEGORY_NOT_ALLOWED"
    *_, last = blocks(desk)
    assert last.header.rule_version == 3
    assert last.record(0).type == RecordType.CATEGORY
    assert verified(desk).ok


def test_what_is_due_comes_before_every_decision_however_much(tmp_path):
    count = 4_500
    with Desk(tmp_path, schedules_max=5_000) as desk:
        desk.open_account(50_000)
        desk.open_terminal("POS-1", CANTEEN)
        for start in range(0, count, 8):
            desk.act(
                *(
                    Effect(
                        EffectKind.CATEGORY,
                        due_s=LATER_S,
                        body=bytes([CANTEEN, 16 if start + i < count - 1 else 0]).ljust(56, b"\0"),
                    )
                    for i in range(min(8, count - start))
                )
            )
        desk.set_time(LATER_S * SECOND_US)
        assert desk.pay(1, 150).reason == "CATEGORY_NOT_ALLOWED"
        fired = [b.header.count for b in blocks(desk) if b.header.time_us >= LATER_S * SECOND_US]
        assert sum(fired) == count + 1
        assert max(fired) <= 4_096 + 1


def test_the_engine_writes_the_golden_bytes(desk):
    number = desk.open_account()
    midnight = encoder.MIDNIGHT_S
    desk.act(status(number, AccountStatus.SUSPENDED))
    desk.act(
        rules(midnight, RulesField.DAY_LIMIT, day_limit=20_000, meal_limit=9),
        until_normal(number, midnight),
    )
    golden = Block(bytes.fromhex((GOLDEN / "scheduled.hex").read_text().split()[0]))
    written = [record.body for record in records(desk, RecordType.SCHEDULED)]
    assert written == [golden.record(0).body, golden.record(1).body]


# ---- what it expects ----


def test_a_later_suspension_outlives_the_end_of_the_first(desk):
    number = desk.open_account()
    desk.act(status(number, AccountStatus.SUSPENDED), until_normal(number))
    desk.act(status(number, AccountStatus.NORMAL))
    desk.act(status(number, AccountStatus.SUSPENDED))
    alone_at(desk, LATER_S, lambda: not waiting(desk))
    assert desk.account(number)["status"] == AccountStatus.SUSPENDED
    (lapsed,) = records(desk, RecordType.UNSCHEDULED)
    (scheduled,) = records(desk, RecordType.SCHEDULED)
    assert (lapsed.outcome, lapsed.reason) == (Outcome.DECLINED, BY_NAME["CONFLICT"].number)
    assert (lapsed.original_seq, lapsed.body) == (scheduled.seq, scheduled.body)


def test_without_unchanged_the_status_alone_counts(desk):
    number = desk.open_account()
    desk.act(status(number, AccountStatus.SUSPENDED), until_normal(number, expect=Expect.STATUS))
    desk.act(status(number, AccountStatus.NORMAL))
    desk.act(status(number, AccountStatus.SUSPENDED))
    alone_at(desk, LATER_S, lambda: not waiting(desk))
    assert desk.account(number)["status"] == AccountStatus.NORMAL


def test_a_freeze_ends_and_a_loss_reported_meanwhile_stays(desk):
    number = desk.open_account()

    def medium(flags, **fields):
        body = MediumBody(key=card(number), state=ACTIVE, flags=flags).pack()
        return Effect(EffectKind.MEDIUM_STATE, row=1, event=7, body=body, **fields)

    unfreeze = Effect(
        EffectKind.MEDIUM_STATE,
        row=1,
        event=7,
        due_s=LATER_S,
        mask=MediumFlag.FROZEN,
        expect=Expect.STATUS | Expect.UNCHANGED,
        expect_flags=MediumFlag.FROZEN,
        body=MediumBody().pack(),
    )
    desk.act(medium(MediumFlag.FROZEN), unfreeze)
    desk.act(medium(MediumFlag.FROZEN | LOST))
    alone_at(desk, LATER_S, lambda: not waiting(desk))
    last = MediumBody.unpack(records(desk, RecordType.MEDIUM)[-1].body)
    assert (last.state, last.flags, last.key) == (ACTIVE, LOST, card(number))


# ---- cancelled, refused ----


def test_a_cancelled_one_never_happens(desk):
    before = rules_in_force(desk)
    desk.act(rules(mask=RulesField.DAY_LIMIT, day_limit=1))
    (scheduled,) = records(desk, RecordType.SCHEDULED)
    assert refusal(desk, cancel(scheduled.seq), cancel(scheduled.seq)) == "CONFLICT"
    assert waiting(desk) == {scheduled.seq}
    desk.act(cancel(scheduled.seq))
    assert refusal(desk, cancel(scheduled.seq)) == "CONFLICT"
    (ended,) = records(desk, RecordType.UNSCHEDULED)
    assert (ended.outcome, ended.original_seq) == (Outcome.EFFECT, scheduled.seq)
    desk.set_time((LATER_S + 1) * SECOND_US)
    desk.open_account()
    assert rules_in_force(desk) == before


def test_what_cannot_wait_is_refused(desk):
    number = desk.open_account()
    suspended = AccountStatus.SUSPENDED
    invalid = [
        Effect(EffectKind.TOP_UP, row=1, amount_fen=1, debit_wallet=16, credit_wallet=1, due_s=1),
        status(number, AccountStatus.NORMAL, due_s=LATER_S),
        status(99, AccountStatus.NORMAL, due_s=LATER_S, expect=1, expect_status=suspended),
        status(number, 9, due_s=LATER_S, expect=1, expect_status=suspended),
        until_normal(number, expect=Expect.STATUS | Expect.LAST_SEQ),
        rules(mask=RulesField.LIMIT_DAY | RulesField.DAY_LIMIT),
        rules(mask=RulesField.PIN_MAX, pin_max=0),
        Effect(EffectKind.MEALS, due_s=LATER_S, body=bytes([9]).ljust(56, b"\0")),
        Effect(EffectKind.CATEGORY, due_s=LATER_S, mask=1, body=bytes(56)),
    ]
    head = desk.engine.head()["acknowledged_seq"]
    assert [refusal(desk, effect) for effect in invalid] == ["FIELD_INVALID"] * len(invalid)
    assert desk.engine.head()["acknowledged_seq"] == head


def test_a_full_table_refuses_until_one_ends(tmp_path):
    with Desk(tmp_path, schedules_max=4) as desk:
        desk.act(*[rules()] * 3)
        assert refusal(desk, *[rules()] * 2) == "TABLE_FULL"
        desk.act(rules(LATER_S + 1))
        assert refusal(desk, rules()) == "TABLE_FULL"
        desk.act(cancel(min(waiting(desk))))
        desk.act(rules(LATER_S + 2))
        alone_at(desk, LATER_S + 9, lambda: not waiting(desk))
        assert desk.engine.head()["rule_version"] == 5


# ---- after a crash ----


def verified(desk):
    """The verdict of the independent books on a copy."""
    copy = desk.folder / "verified"
    shutil.copytree(desk.data, copy)
    (copy / "lock").unlink(missing_ok=True)
    verdict = verify.run(copy, state_hash="every", requests_max=REQUESTS_MAX)
    shutil.rmtree(copy)
    return verdict


@pytest.mark.parametrize("without_state", [False, True])
def test_what_waits_is_there_after_a_start(desk, without_state):
    number = desk.open_account()
    desk.act(status(number, AccountStatus.SUSPENDED), until_normal(number))
    desk.engine.checkpoint()
    desk.act(rules(mask=RulesField.DAY_LIMIT, day_limit=8), rules(LATER_S + 1))
    desk.act(cancel(max(waiting(desk))))
    before = desk.picture()
    recovered = desk.restart(without_state=without_state)
    assert recovered["discarded"] == ""
    assert desk.picture() == before
    assert len(waiting(desk)) == 2
    alone_at(desk, LATER_S, lambda: not waiting(desk))
    assert desk.account(number)["status"] == AccountStatus.NORMAL
    assert rules_in_force(desk).day_limit == 8
    assert verified(desk).ok


def test_a_crash_between_two_of_one_time_ends_the_same(tmp_path):
    """A journal cut after each of its blocks goes on to the same rows."""
    with Desk(tmp_path / "whole") as desk:
        number = desk.open_account()
        desk.act(status(number, AccountStatus.SUSPENDED), until_normal(number))
        desk.act(
            rules(mask=RulesField.DAY_LIMIT, day_limit=8),
            Effect(EffectKind.MEALS, due_s=LATER_S, body=MealsBody(()).pack()),
            rules(mask=RulesField.MEAL_LIMIT, meal_limit=7),
        )
        alone_at(desk, LATER_S, lambda: not waiting(desk))
        sealed = desk.engine.read_blocks(1, 1 << 24)
        whole = {table: desk.engine.state_dump(table) for table in (1, 3, SCHEDULED)}
        begins = next(i for i, raw in enumerate(sealed) if Block(raw).record(0).flags & DUE)
        assert len(sealed) - begins == 3
        identity = (tmp_path / "whole/data/campuscard").read_bytes()
    for count in range(begins, len(sealed) + 1):
        data = tmp_path / f"cut-{count}"
        make_copy(data, identity)
        with open_copy(data) as copy:
            for raw in sealed[:count]:
                copy.append(raw)
        desk.data, desk.loop = str(data), asyncio.new_event_loop()
        desk.open()
        with desk:
            ends = time.monotonic() + SOON_S
            while waiting(desk):
                assert time.monotonic() < ends, "it did not happen in time"
                time.sleep(0.005)
            assert {table: desk.engine.state_dump(table) for table in whole} == whole
            assert desk.engine.head()["rule_version"] == 4
            assert (rules_in_force(desk).day_limit, rules_in_force(desk).meal_limit) == (8, 7)
            assert verified(desk).ok


# ---- in the registry ----


def test_the_registry_shows_what_waits_and_what_became_of_it(desk):
    desk.document_kind = NO_DOCUMENT
    number = desk.open_account()
    desk.act(status(number, AccountStatus.SUSPENDED), until_normal(number))
    names = documents.parameters.ChangeApproved(
        proposal=1, key="meals", value="SUPPER 16:40-18:20", effective_us=0, version=1
    )
    supper = MealsBody((MealPeriod("SUPPER", 1_000, 1_100),)).pack()
    desk.act(
        Effect(EffectKind.MEALS, due_s=LATER_S, body=supper),
        payload=names.encode(),
        document_kind=names.KIND,
    )
    desk.act(rules(mask=RulesField.DAY_LIMIT, day_limit=8), rules(LATER_S + 1))
    desk.act(cancel(max(waiting(desk))), status(number, AccountStatus.NORMAL))
    with projected(desk) as (registry, states):
        assert states == {2: [0], 11: [0, 2], 12: [0]}
        assert registry.rules().day_limit == 10_000
        assert [meal.name for meal in registry.meals()] == [meal.name for meal in DEFAULT_MEALS]
    alone_at(desk, LATER_S, lambda: not waiting(desk))
    with projected(desk) as (registry, states):
        assert states == {2: [3], 11: [1, 2], 12: [1]}
        assert registry.rules().day_limit == 8
        assert [meal.name for meal in registry.meals()] == ["SUPPER"]
        ended = registry.connection.execute("SELECT ended_seq, ended_time_us FROM scheduled")
        assert all(seq and time_us for seq, time_us in ended)


@contextmanager
def projected(desk):
    """A registry made from the journal, and the states of what was scheduled by kind."""
    path = desk.folder / "registry.db"
    registry = Registry(path)
    try:
        projection = Projection(registry.connection, Keyring(desk.folder / "keys"))
        for block in blocks(desk):
            projection.apply(block)
        states = {}
        rows = registry.connection.execute("SELECT kind, state FROM scheduled ORDER BY seq")
        for kind, state in rows:
            states.setdefault(kind, []).append(state)
        yield registry, states
    finally:
        registry.close()
        path.unlink()
