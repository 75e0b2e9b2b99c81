"""Holders: statuses, changes, and what a row makes of a known holder."""

import itertools

import pytest

from core.facts import HolderFacts
from core.holders import (
    LEFT,
    STATUS_TRANSITIONS,
    WEAK_MAX,
    HolderKind,
    HolderStatus,
    NewHolder,
    RowChange,
    WantedChange,
    add,
    change,
    changed,
    check_change,
    legal_statuses,
    merge,
)
from core.plans import EFFECTS_MAX, EffectKind, Expect
from core.ports import Person
from core.refusals import Refusal
from core.rows import AccountBody, AccountStatus

KEPT = Person(
    name="张三",
    class_name="A班",
    phone="13800138000",
    id_hash=b"i" * 16,
    weak_hashes=(b"1" * 8, b"2" * 8),
    query_tag=b"q" * 16,
)


def facts(**other):
    values = {
        "number": 7,
        "account_no": "200571020316",
        "kind": HolderKind.STUDENT,
        "name": "张三",
        "class_name": "A班",
        "phone": "13800138000",
        "status": HolderStatus.ENROLLED,
        "erased": False,
        "photo_version": 0,
        "account_status": AccountStatus.NORMAL,
        "open_time_us": 1,
        "changed_seq": 0x1F,
        "held_for_leave": False,
    }
    return HolderFacts(**(values | other))


def person(**other):
    values = {
        "name": "张三",
        "class_name": "A班",
        "phone": "13800138000",
        "id_hash": b"i" * 16,
        "weak_hashes": (b"1" * 8, b"2" * 8),
        "query_tag": b"other tag of row",
    }
    return Person(**(values | other))


def merged(row, known=None, **other):
    values = {"kept": KEPT, "kind": HolderKind.STUDENT, "classes": None, "heading": "学号"}
    return merge(known or facts(), row, **(values | other))


def test_every_pair_of_statuses_is_decided():
    """The table by hand: rows are what is, columns what may follow, for students and for staff."""
    expected = {
        "ENROLLED": ("ON_LEAVE GRADUATED WITHDRAWN", "ON_LEAVE STAFF_LEFT"),
        "ON_LEAVE": ("ENROLLED WITHDRAWN", "ENROLLED STAFF_LEFT"),
        "GRADUATED": ("ENROLLED", "ENROLLED"),
        "WITHDRAWN": ("ENROLLED", "ENROLLED"),
        "STAFF_LEFT": ("ENROLLED", "ENROLLED"),
    }
    assert set(STATUS_TRANSITIONS) == set(HolderStatus)
    for (before, after), place in itertools.product(
        itertools.product(HolderStatus, repeat=2), (0, 1)
    ):
        kind = (HolderKind.STUDENT, HolderKind.STAFF)[place]
        legal = after.name in expected[before.name][place].split()
        assert (after in legal_statuses(kind, before)) == legal
        known = facts(kind=kind, status=before)
        wanted = WantedChange(status=after, reason="毕业")
        if legal or after is before:
            assert check_change(known, wanted) is after
        else:
            with pytest.raises(Refusal) as refused:
                check_change(known, wanted)
            assert refused.value.reason.name == "HOLDER_STATUS"
            names = refused.value.metadata["legal"]
            assert set(filter(None, names.split(", "))) == set(expected[before.name][place].split())


def test_leaving_and_coming_back_need_a_reason():
    pairs = [(HolderStatus.ENROLLED, HolderStatus.GRADUATED)]
    pairs += [(left, HolderStatus.ENROLLED) for left in sorted(LEFT)]
    for before, after in pairs:
        kind = HolderKind.STAFF if HolderStatus.STAFF_LEFT in {before, after} else 1
        with pytest.raises(Refusal, match="reason"):
            check_change(facts(kind=kind, status=before), WantedChange(status=after))
    wanted = WantedChange(status=HolderStatus.ON_LEAVE)
    assert check_change(facts(), wanted) is HolderStatus.ON_LEAVE


def test_changes_are_refused_for_the_erased_the_stale_and_the_empty():
    for known, wanted, reason in (
        (facts(erased=True), WantedChange(name="李四"), "HOLDER_ERASED"),
        (facts(), WantedChange(name="李四", etag="1e"), "CONFLICT"),
        (facts(), WantedChange(), "FIELD_INVALID"),
    ):
        with pytest.raises(Refusal) as refused:
            check_change(known, wanted)
        assert refused.value.reason.name == reason
    assert check_change(facts(), WantedChange(name="李四", etag="1f")) is HolderStatus.ENROLLED


def test_a_change_keeps_what_it_does_not_name():
    after = changed(KEPT, WantedChange(phone="13900139000"), phone_hashes=(b"3" * 8,))
    assert (after.name, after.class_name, after.phone) == ("张三", "A班", "13900139000")
    assert (after.id_hash, after.query_tag) == (KEPT.id_hash, KEPT.query_tag)
    assert set(after.weak_hashes) == {b"1" * 8, b"2" * 8, b"3" * 8}
    assert changed(KEPT, WantedChange(name="李四"), phone_hashes=()).weak_hashes == KEPT.weak_hashes


def test_forbidden_numbers_do_not_pile_up():
    person = KEPT
    for at in range(100):
        hashes = tuple(b"%08d" % (at * 10 + digit) for digit in range(7))
        person = changed(person, WantedChange(phone=str(at)), phone_hashes=hashes)
        assert set(hashes) <= set(person.weak_hashes)
    assert len(person.weak_hashes) == WEAK_MAX


def test_the_same_row_changes_nothing():
    assert merged(person()).change is RowChange.UNCHANGED
    blank = person(phone="", id_hash=b"", weak_hashes=(b"1" * 8,))
    assert merged(blank).change is RowChange.UNCHANGED, "blank cells take nothing away"


@pytest.mark.parametrize(
    "other",
    [{"name": "张三丰"}, {"class_name": "B班"}, {"phone": "13900139000"}, {"id_hash": b"j" * 16}],
)
def test_another_row_changes_what_differs_and_no_password(other):
    found = merged(person(**other, weak_hashes=(b"1" * 8, b"9" * 8)))
    assert found.change is RowChange.CHANGED
    (name,) = other
    assert getattr(found.person, name) == other[name]
    assert found.person.query_tag == KEPT.query_tag, "an import never touches a password in use"
    assert {b"1" * 8, b"2" * 8} <= set(found.person.weak_hashes)
    new_numbers = bool(other.keys() & {"phone", "id_hash"})
    assert (b"9" * 8 in found.person.weak_hashes) == new_numbers


def test_an_account_opened_at_the_counter_gets_its_secrets():
    bare = Person(name="张三", class_name="A班")
    found = merged(person(), kept=bare)
    assert found.change is RowChange.CHANGED
    assert found.person == person()


@pytest.mark.parametrize(
    ("known", "other", "reason"),
    [
        (facts(kind=HolderKind.STAFF), {}, "ROW_NUMBER_TAKEN"),
        (facts(erased=True), {}, "HOLDER_ERASED"),
        (facts(account_status=AccountStatus.CLOSED), {}, "ACCOUNT_CLOSED"),
        (facts(class_name="B班"), {"classes": frozenset({"A班"})}, "NOT_YOUR_CLASS"),
        (facts(), {"kept": None}, "HOLDER_ERASED"),
    ],
)
def test_rows_that_must_not_touch_a_holder(known, other, reason):
    found = merged(person(name="李四"), known, **other)
    assert (found.change, found.fault.reason) == (RowChange.REFUSED, reason)
    assert found.person is None


def test_new_holders_open_accounts_in_one_command():
    new = [
        NewHolder(number=10 + at, account_no=f"00{at}", sealed=b"s%d" % at, password="812123")
        for at in range(EFFECTS_MAX)
    ]
    plan = add(new, kind=HolderKind.STAFF, roster=b"h" * 32)
    assert plan.document.account_nos == tuple(f"00{at}" for at in range(8))
    assert plan.document.sealed == tuple(b"s%d" % at for at in range(8))
    assert [effect.row for effect in plan.effects] == list(range(10, 18))
    for effect in plan.effects:
        assert (effect.kind, effect.expect, effect.pin) == (
            EffectKind.ACCOUNT_OPEN,
            Expect.ROW_FREE,
            "812123",
        )
        body = AccountBody.unpack(effect.body)
        assert (body.status, body.kind) == (AccountStatus.NORMAL, HolderKind.STAFF)


# ---- leave (D19) ----

NORMAL, SUSPENDED, CLOSED = AccountStatus.NORMAL, AccountStatus.SUSPENDED, AccountStatus.CLOSED
LEAVE, BACK = HolderStatus.ON_LEAVE, HolderStatus.ENROLLED


@pytest.mark.clause("八.1")
@pytest.mark.parametrize(
    ("before", "after", "account", "held", "spending", "becomes", "holds"),
    [
        (BACK, LEAVE, NORMAL, False, "UNTIL_EXPIRY", None, False),
        (BACK, LEAVE, NORMAL, False, "NONE", SUSPENDED, True),
        # A sanction stays one, and no longer ends by itself.
        (BACK, LEAVE, SUSPENDED, False, "NONE", SUSPENDED, False),
        (BACK, LEAVE, CLOSED, False, "NONE", None, False),
        (LEAVE, LEAVE, NORMAL, False, "NONE", None, False),
        (LEAVE, BACK, SUSPENDED, True, "NONE", NORMAL, False),
        # Whatever the parameter says by then, who is back spends again.
        (LEAVE, BACK, SUSPENDED, True, "UNTIL_EXPIRY", NORMAL, False),
        (LEAVE, BACK, SUSPENDED, False, "NONE", None, False),
        (LEAVE, BACK, NORMAL, False, "NONE", None, False),
        (LEAVE, HolderStatus.WITHDRAWN, SUSPENDED, True, "NONE", None, False),
        (HolderStatus.WITHDRAWN, BACK, SUSPENDED, True, "NONE", NORMAL, False),
        (BACK, HolderStatus.GRADUATED, NORMAL, False, "NONE", None, False),
    ],
)
def test_what_a_leave_does_to_the_account(before, after, account, held, spending, becomes, holds):
    known = facts(status=before, account_status=account, held_for_leave=held)
    plan = change(known, after, b"sealed", spending=spending)
    assert plan.document.statuses == (after,)
    assert plan.document.held == ((7,) if holds else ())
    if becomes is None:
        assert not plan.effects
        return
    (effect,) = plan.effects
    assert (effect.kind, effect.row, effect.expect) == (EffectKind.ACCOUNT_STATUS, 7, Expect.STATUS)
    assert effect.expect_status is account
    assert AccountBody.unpack(effect.body).status == becomes
