"""Rules of staff."""

import pytest

from core import staff
from core.permissions import Role
from core.refusals import Refusal
from core.staff import Grant, OneTime, StaffFacts, parse_grant, read_grant

SECRET = OneTime(mac=b"\x07", until_us=9)
ADMIN = Grant(Role.SEC_ADMIN)
OFFICER = Grant(Role.CARD_OFFICER)


def member(number=2, *grants, **changes):
    return StaffFacts(number=number, name=f"m{number}", grants=grants, **changes)


def refused(reason, function, *arguments, **options):
    with pytest.raises(Refusal) as caught:
        function(*arguments, **options)
    assert caught.value.reason.name == reason


def test_nobody_decides_about_themselves():
    me = member(2, OFFICER)
    refused("NOT_ABOUT_ONESELF", staff.grant_role, me, Grant(Role.AUDITOR), actor="staff:2")
    refused("NOT_ABOUT_ONESELF", staff.revoke_role, me, OFFICER, actor="staff:2", other_admins=1)
    refused("NOT_ABOUT_ONESELF", staff.disable, me, actor="staff:2", other_admins=1)
    refused("NOT_ABOUT_ONESELF", staff.enable, me, actor="staff:2")
    refused("NOT_ABOUT_ONESELF", staff.reset, me, SECRET, actor="staff:2")


def test_the_last_administrator_stays():
    last = member(1, ADMIN)
    refused("LAST_ADMIN", staff.disable, last, actor="staff:1", other_admins=0)
    refused("LAST_ADMIN", staff.disable, last, actor="staff:2", other_admins=0)
    refused("LAST_ADMIN", staff.revoke_role, last, ADMIN, actor="staff:2", other_admins=0)
    assert staff.disable(last, actor="staff:2", other_admins=1).document.staff == 1


def test_the_security_administrator_has_no_other_role():
    refused("ROLE_EXCLUSIVE", staff.grant_role, member(2, ADMIN), OFFICER, actor="staff:1")
    refused("ROLE_EXCLUSIVE", staff.grant_role, member(2, OFFICER), ADMIN, actor="staff:1")
    refused("ROLE_EXCLUSIVE", staff.create, "x", (ADMIN, OFFICER), SECRET, known=None, number=2)


def test_a_grant_is_given_and_taken_back_as_it_is():
    teacher = Grant(Role.CLASS_TEACHER, "高一(3)班")
    given = staff.grant_role(member(2), teacher, actor="staff:1").document
    assert (given.staff, given.role, given.scope) == (2, "CLASS_TEACHER", "高一(3)班")
    refused("ALREADY_EXISTS", staff.grant_role, member(2, teacher), teacher, actor="staff:1")
    other = Grant(Role.CLASS_TEACHER, "高一(4)班")
    options = {"actor": "staff:1", "other_admins": 1}
    refused("NOT_FOUND", staff.revoke_role, member(2, teacher), other, **options)
    assert staff.revoke_role(member(2, teacher), teacher, **options).document.scope == teacher.scope


@pytest.mark.parametrize("text", ["OPS", "CLASS_TEACHER:高一(3)班", "MERCHANT:a:b"])
def test_grants_read_back(text):
    assert str(parse_grant(text)) == text


@pytest.mark.parametrize(
    ("role", "scope"),
    [
        ("HOLDER", ""),
        ("TERMINAL", ""),
        ("ops", ""),
        ("", ""),
        ("OPS", "M1"),
        ("MERCHANT", ""),
        ("CLASS_TEACHER", " x"),
        ("CLASS_TEACHER", "x" * 65),
        ("CLASS_TEACHER", "a\nb"),
    ],
)
def test_what_is_no_grant_is_refused(role, scope):
    refused("FIELD_INVALID", read_grant, role, scope)


def test_a_member_has_so_many_grants_and_no_more():
    classes = [Grant(Role.CLASS_TEACHER, f"{n}班") for n in range(staff.GRANTS_MAX + 1)]
    last = classes.pop()
    full = member(2, *classes)
    refused("TABLE_FULL", staff.grant_role, full, last, actor="staff:1")
    assert staff.create("m3", tuple(classes), SECRET, known=None, number=3).document.grants
    everything = (*classes, last)
    refused("TABLE_FULL", staff.create, "m3", everything, SECRET, known=None, number=3)


def test_states():
    refused("STATE_TRANSITION", staff.enable, member(2), actor="staff:1")
    gone = member(2, disabled=True)
    refused("STATE_TRANSITION", staff.disable, gone, actor="staff:1", other_admins=1)
    assert staff.enable(gone, actor="staff:1").document.staff == 2
    refused("ALREADY_EXISTS", staff.create, "m2", (), SECRET, known=member(2), number=3)
    refused("TABLE_FULL", staff.create, "m2", (), SECRET, known=None, number=staff.STAFF_MAX + 1)


def test_wrong_tries_count_up_to_the_lock_and_begin_again_after_it():
    facts, counted = member(2), []
    for _ in range(5):
        document = staff.fail(facts, now_us=1_000_000, tries=5, lock_seconds=900).document
        counted.append((document.fails, document.locked_until_us))
        facts = member(2, fails=document.fails, locked_until_us=document.locked_until_us)
    assert counted == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 901_000_000)]
    assert facts.locked_at(900_999_999)
    assert not facts.locked_at(901_000_000)
    document = staff.fail(facts, now_us=901_000_000, tries=5, lock_seconds=900).document
    assert (document.fails, document.locked_until_us) == (1, 0)


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("ninechars", "TOO_SHORT"),
        ("x" * 129, "TOO_LONG"),
        ("2017001.clerk", "THE_NAME"),
        ("2017001.CLERK", "THE_NAME"),
        ("2017001.clerk2017001.clerk", "THE_NAME"),
        ("ababababababab", "FEW_CHARACTERS"),
        ("ten chars!", ""),
        ("一二三四五六七八九十", ""),
    ],
)
def test_passwords(password, fault):
    assert staff.password_fault(password, "2017001.clerk", shortest=10) == fault


@pytest.mark.parametrize("name", ["a", "2017001", "wang.li", "a-b_c", "x" * 32])
def test_names(name):
    assert staff.is_name(name)


@pytest.mark.parametrize("name", ["", "A", ".a", "x" * 33, "a b", "王", "a/b", "a\n"])
def test_what_is_no_name(name):
    assert not staff.is_name(name)


def test_secrets_do_not_show():
    shown = repr(member(2, password=b"pw", totp=b"tt", secret_mac=b"mm"))
    assert "pw" not in shown
    assert "tt" not in shown
    assert "mm" not in shown
