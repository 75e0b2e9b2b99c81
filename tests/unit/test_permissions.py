"""Every RPC names a permission of the table, and the table decides."""

import pytest

from core.permissions import PERMISSIONS, PUBLIC, SCOPED, SIGNED_IN, TABLE, Role, allowing, ground
from server.app import proto_files
from server.interceptors.identity import permissions_of
from server.services.fields import REASON_MAX

METHODS = permissions_of(proto_files())


@pytest.mark.clause("一.2", "七.3")
def test_every_rpc_names_a_permission_of_the_table():
    assert METHODS
    unknown = {method: name for method, name in METHODS.items() if name not in PERMISSIONS}
    assert not unknown, "an RPC without a permission of the table is closed to everybody"


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_a_role_of_the_row_allows_and_no_other_does(permission):
    for role in Role:
        expected = role if role in PERMISSIONS[permission] else None
        assert allowing(permission, {role}) is expected


def test_nobody_has_a_permission_that_is_not_there():
    assert allowing("card.invent", Role) is None
    assert allowing("", Role) is None


def test_a_role_granted_for_something_allows_only_where_no_wider_one_does():
    for permission, roles in PERMISSIONS.items():
        found = allowing(permission, Role)
        assert found not in SCOPED or roles <= SCOPED.keys()


@pytest.mark.clause("八.3")
@pytest.mark.parametrize("permission", sorted(TABLE))
def test_an_act_has_an_ordinary_reason_or_asks_for_one(permission):
    row = TABLE[permission]
    assert row.acts == bool(row.ground or row.why_stated)
    assert not (row.ground and row.why_stated)
    assert ground(permission) == row.ground
    assert len(row.ground) <= REASON_MAX
    assert not row.ground or row.ground.endswith(")"), "a ground names its clause"


def test_what_nobody_needs_a_session_for_is_little():
    assert {"session.open"} <= PUBLIC <= {"session.open", "loss.report"}
    assert {"session.own", "session.read"} == SIGNED_IN


def test_the_security_administrator_has_no_business():
    mine = {name for name, roles in PERMISSIONS.items() if Role.SEC_ADMIN in roles}
    assert mine - PUBLIC == SIGNED_IN | {"calendar.read", "staff.read", "staff.change"}
