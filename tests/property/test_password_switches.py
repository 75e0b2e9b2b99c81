"""Days, password sessions and locks under any of their switches, on engine, model and verify at once.

`CC_EXAMPLES=2000` makes a long run of it; CC_SEED repeats one.
"""

import os
import shutil
import tempfile
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from server.offline import verify
from tests.model.numbers import AccountStatus, EffectKind, Event, MediumFlag, MediumState, Op
from tests.model.office import Effect
from tests.model.rig import PIN, WRONG, bind, card, fund, furnish, medium_state, rules
from tests.property.campus_life import IN_MEMORY
from tests.property.engine_rig import OPTIONS, EngineRig

EXAMPLES = int(os.environ.get("CC_EXAMPLES", "40"))
EVENING = "2024-03-13 23:20:00"
PAPERS = (
    Effect(kind=EffectKind.ACCOUNT_STATUS, row=1, event=Event.STATUS, status=AccountStatus.NORMAL),
    Effect(kind=EffectKind.PIN_SET, row=1, event=Event.PIN_SET, pin=PIN),
    Effect(kind=EffectKind.PIN_RESET, row=1, event=Event.PIN_RESET, pin=PIN),
    Effect(kind=EffectKind.ACCOUNT_LIMITS, row=1, event=Event.LIMITS, day_limit=0, meal_limit=900),
    medium_state(MediumState.ACTIVE, MediumFlag.LOST, event=Event.LOSS),
    medium_state(MediumState.ACTIVE),
    fund(EffectKind.TOP_UP, 1, 100),
)
switches = st.fixed_dictionaries(
    {
        "day_limit": st.sampled_from((0, 0, 1_000)),
        "meal_limit": st.sampled_from((5_000, 500)),
        "business_days": st.booleans(),
        "fails_until_reset": st.booleans(),
        "pin_session_seconds": st.sampled_from((0, 3, 120, 3_600)),
        "day_cut_minutes": st.sampled_from((0, 1_410, 30, 719, 720)),
        "pin_max": st.sampled_from((2, 3)),
    }
)
payments = st.tuples(
    st.sampled_from(("POS-07", "POS-07", "POS-07", "SHOP-1", "B-1")),
    st.sampled_from((1, 1, 1, 4)),
    st.sampled_from((100, 400)),
    st.sampled_from((None, None, PIN, PIN, WRONG)),
)
steps = st.one_of(
    st.tuples(st.just("pay"), payments),
    st.tuples(st.just("pay"), payments),
    st.tuples(st.just("pay"), payments),
    st.tuples(st.just("together"), st.lists(payments, min_size=2, max_size=4)),
    st.tuples(st.just("pass"), st.sampled_from((1, 2, 3, 60, 600, 1_800, 40_000, 90_000))),
    st.tuples(st.just("switch"), switches),
    st.tuples(st.just("later"), st.tuples(switches, st.integers(1, 15))),
    st.tuples(st.just("paper"), st.sampled_from(PAPERS)),
    st.tuples(st.just("ask"), st.sampled_from((PIN, WRONG))),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("checkpoint"), st.none()),
)


def pay(rig, payment):
    """Make a tap; at the bath meter it is a reservation."""
    name, number, amount, pin = payment
    make = rig.make_tap
    op = Op.HOLD if name == "B-1" else Op.AUTHORIZE
    return make(op, name, medium=card(number), amount=amount, pin=pin)


def take(rig, step, given_):
    """Do one step on engine and model."""
    if step == "pay":
        rig.send(pay(rig, given_))
    elif step == "together":
        rig.send_all([pay(rig, payment) for payment in given_])
    elif step == "pass":
        rig.after(given_)
    elif step == "switch":
        rig.do([rules(**given_)])
    elif step == "later":
        fields, mask = given_
        due_s = rig.now_us // 1_000_000 + 1
        rig.do([replace(rules(**fields), mask=mask << 12, due_s=due_s)])
    elif step == "paper":
        rig.do([given_])
    elif step == "ask":
        rig.perform([], pin_account=1, pin=given_)
    elif step == "restart":
        rig.restart(without_state=given_)
    else:
        rig.checkpoint()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=switches, played=st.lists(steps, min_size=25, max_size=60))
def test_engine_model_and_verify_agree(first, played):
    folder = tempfile.mkdtemp(prefix="campuscard-passwords-", dir=IN_MEMORY)
    rig = EngineRig(folder)
    try:
        furnish(rig)
        rig.do([bind(4, 1), rules(**first), fund(EffectKind.TOP_UP, 1, 100_000)])
        rig.at(EVENING)
        for step, given_ in played:
            take(rig, step, given_)
        rig.after(5_000)
        rig.settle()
        rig.compare_rows()
        rig.shut()
        requests_max = OPTIONS["requests_max"]
        verdict = verify.run(rig.folder / "data", state_hash="every", requests_max=requests_max)
        assert verdict.ok, f"seq {verdict.bad_seq}: {verdict.difference}"
    finally:
        rig.close()
        shutil.rmtree(folder)
