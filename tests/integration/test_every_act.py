"""No act without its record: every method that makes one is called, and who, as what, how, why stand there."""

import grpc
import pytest

import tests.every_act_office
import tests.every_act_others  # noqa: F401 - both register their requests
from campuscard.v1 import ops_service_pb2 as ops_pb
from campuscard.v1 import staff_service_pb2 as staff_pb
from core.permissions import PERMISSIONS, PUBLIC, SELF, SIGNED_IN, TABLE, Channel
from server.app import proto_files
from server.interceptors.identity import permissions_of
from server.services.office import REASON_FIELDS
from tests.campus import CALL_S, Campus, refusal
from tests.every_act import BUILDERS, METHODS, World

PERMISSION_OF = {
    path.removeprefix("/campuscard.v1.").replace("/", "."): permission
    for path, permission in permissions_of(proto_files()).items()
}
ACTING = sorted(name for name, permission in PERMISSION_OF.items() if TABLE[permission].acts)
REFUSES = {
    "HolderService.Unloss": "CHANNEL_NOT_ALLOWED",  # 三.3: never by self-service
    "StaffService.EnrolTotp": "SIGN_IN_REFUSED",  # offers a secret; its act is a wrong password
}
"""What is refused, though it may be asked."""
COUNTED = {"StaffService.EnrolTotp"}
"""Refusals that are acts."""
WHY = "依据 2024-17 号文"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("acts")) as campus:
        campus.set_time("2024-03-13 15:00")
        yield World(campus)
        campus.stop()
        assert not campus.anonymous_acts(), "every act says who, as what, by which way and why"


def head(world):
    return world.campus.ops.GetHead(ops_pb.GetHeadRequest(), timeout=CALL_S).acknowledged_seq


def acts_after(world, seq):
    """Return the acts after a seq, without those the system does by itself meanwhile."""
    request = staff_pb.ListActsRequest(page_size=50)
    found = world.campus.stub("StaffService").ListActs(request, timeout=CALL_S).acts
    return [act for act in found if act.seq > seq and act.actor != "system"]


def refused(ask, **options):
    """Demand a refusal; returns its reason and the field it names."""
    with pytest.raises(grpc.RpcError) as caught:
        ask.send(**options)
    reason, metadata, details = refusal(caught.value)
    if reason == "REASON_REQUIRED":
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert details["BadRequest"].field_violations[0].field == metadata["field"]
    return reason, metadata.get("field", "")


def asked(world, name):
    """Build a request and look at the head, which no other act moves meanwhile."""
    assert name in BUILDERS, f"{name} makes acts and nobody has tried whether it says why"
    return BUILDERS[name](world), head(world)


def act_of(world, name, ask, before, **options):
    """Make a call and return its acts, each with who, as what and by which way."""
    if name in REFUSES:
        assert refused(ask, **options)[0] == REFUSES[name]
    else:
        ask.send(**options)
    acts, permission = acts_after(world, before), PERMISSION_OF[name]
    assert bool(acts) == (name not in REFUSES or name in COUNTED)
    for act in acts:
        assert act.actor
        assert act.channel in {channel.value for channel in Channel}
        assert act.role in ({SELF} if permission in SIGNED_IN | PUBLIC else set()) | {
            role.name for role in PERMISSIONS[permission]
        }
    return acts


def test_every_method_that_acts_has_a_request_here():
    assert sorted(BUILDERS) == ACTING


def test_what_has_a_request_id_acts():
    """A request_id is there to do something once: its method stands in the table as an act."""
    named = {name for name, m in METHODS.items() if "request_id" in m.input_type.fields_by_name}
    assert len(named) > 70
    assert named <= set(ACTING)


@pytest.mark.clause("八.3", "六.3a")
@pytest.mark.parametrize("name", ACTING)
def test_its_act_says_who_as_what_how_and_why(world, name):
    ask, before = asked(world, name)
    row = TABLE[PERMISSION_OF[name]]
    if row.ground:
        reasons = {act.reason for act in act_of(world, name, ask, before)}
        assert reasons <= {row.ground}
        return
    names = ask.requests[0].DESCRIPTOR.fields_by_name
    field = next((field for field in REASON_FIELDS if field in names), "")
    assert field, "who must say why has a field for it"
    assert refused(ask) == ("REASON_REQUIRED", field)
    assert not acts_after(world, before), "nothing happens without a reason"
    setattr(ask.requests[0], field, WHY)
    acts = act_of(world, name, ask, before, reason="what the request says comes first")
    assert {act.reason for act in acts} == {WHY}


@pytest.mark.clause("八.3")
@pytest.mark.parametrize("name", sorted(set(ACTING) - set(REFUSES)))
def test_a_reason_may_come_with_any_call(world, name):
    ask, before = asked(world, name)
    acts = act_of(world, name, ask, before, reason=WHY)
    assert {act.reason for act in acts} == {WHY}


def test_a_reason_is_a_short_text(world):
    ask, before = asked(world, "AccountService.TopUp")
    assert refused(ask, reason="x" * 201) == ("FIELD_INVALID", "reason")
    assert not acts_after(world, before)


@pytest.mark.clause("八.3")
@pytest.mark.parametrize(
    ("name", "field", "actor"),
    [
        ("AccountService.SetTransactionPassword", "old_pin", "staff:"),
        ("HolderService.ChangeTransactionPassword", "old_password", "holder:"),
        ("TerminalService.ChangePin", "old_pin", "terminal"),
    ],
)
def test_a_refused_password_names_who_tried(world, name, field, actor):
    """Nothing was done, so the journal has no paper of it; its record has the number of who tried."""
    ask, before = asked(world, name)
    setattr(ask.requests[0], field, "111112")
    assert refused(ask)[0] == "PASSWORD_REFUSED"
    (act,) = acts_after(world, before)
    assert act.refusal == "PIN_WRONG"
    assert act.actor.startswith(actor)
