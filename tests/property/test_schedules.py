"""Acts for later in any order, on engine, model and verify at once.

`CC_EXAMPLES=2000` makes a long run of it; CC_SEED repeats one.
"""

import os
import shutil
import tempfile
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from server.offline import verify
from tests.model.numbers import (
    AccountStatus,
    Counts,
    EffectKind,
    Event,
    MediumFlag,
    MediumState,
)
from tests.model.office import Effect
from tests.model.rig import furnish, medium_state, rules
from tests.property.campus_life import IN_MEMORY
from tests.property.engine_rig import OPTIONS, EngineRig

EXAMPLES = int(os.environ.get("CC_EXAMPLES", "40"))
STATUS = Effect(kind=EffectKind.ACCOUNT_STATUS, row=1, event=Event.STATUS)
NORMAL, SUSPENDED = AccountStatus.NORMAL, AccountStatus.SUSPENDED
FROZEN = MediumFlag.FROZEN
CARD = medium_state(MediumState.ACTIVE)
LATER = (
    replace(STATUS, status=NORMAL, expect_status=SUSPENDED),
    replace(STATUS, status=NORMAL, expect_status=SUSPENDED, unchanged=True),
    replace(STATUS, status=SUSPENDED, expect_status=NORMAL),
    replace(CARD, status=0, mask=FROZEN, expect_status=0, expect_flags=FROZEN, unchanged=True),
    replace(CARD, status=0, flags=FROZEN, mask=FROZEN, expect_status=MediumState.ACTIVE),
    replace(rules(day_limit=700), mask=0b1),
    replace(rules(meal_limit=350, pin_max=5), mask=0b100_0000_0010),
    replace(rules(utc_offset_seconds=0), mask=0b10_0000_0000),
    rules(),
    Effect(kind=EffectKind.MEALS, meals=((0, 1440),)),
    Effect(kind=EffectKind.MEALS, meals=()),
    Effect(kind=EffectKind.CATEGORY, category=1, flags=Counts.SPEND | Counts.DAY),
    Effect(kind=EffectKind.CATEGORY, category=1, flags=Counts(0)),
)
NOW = (
    replace(STATUS, status=SUSPENDED),
    replace(STATUS, status=NORMAL),
    replace(CARD, flags=FROZEN),
    replace(CARD, flags=FROZEN | MediumFlag.LOST),
    CARD,
    rules(day_limit=900),
)
steps = st.one_of(
    st.tuples(
        st.just("later"),
        st.lists(st.tuples(st.sampled_from(LATER), st.integers(0, 5)), min_size=1, max_size=4),
    ),
    st.tuples(st.just("now"), st.sampled_from(NOW)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("pass"), st.sampled_from((1, 1, 2, 5, 100))),
    st.tuples(st.just("pay"), st.sampled_from((100, 400, 800))),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("checkpoint"), st.none()),
)


def take(rig, step, given_):
    """Do one step on engine and model."""
    if step == "later":
        now_s = rig.now_us // 1_000_000
        rig.do([replace(effect, due_s=now_s + seconds) for effect, seconds in given_])
    elif step == "now":
        rig.do([given_])
    elif step == "cancel":
        known = [*rig.model.books.scheduled, 1]
        rig.perform([Effect(kind=EffectKind.CANCEL, scheduled_seq=known[given_ % len(known)])])
    elif step == "pass":
        rig.after(given_)
    elif step == "pay":
        rig.buy(given_)
    elif step == "restart":
        rig.restart(without_state=given_)
    else:
        rig.checkpoint()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=5, max_size=40))
def test_engine_model_and_verify_agree(played):
    folder = tempfile.mkdtemp(prefix="campuscard-schedules-", dir=IN_MEMORY)
    rig = EngineRig(folder)
    try:
        furnish(rig)
        for step, given_ in played:
            take(rig, step, given_)
        rig.after(1_000)
        rig.settle()
        rig.compare_rows()
        assert not rig.model.books.scheduled
        rig.shut()
        requests_max = OPTIONS["requests_max"]
        verdict = verify.run(rig.folder / "data", state_hash="every", requests_max=requests_max)
        assert verdict.ok, f"seq {verdict.bad_seq}: {verdict.difference}"
    finally:
        rig.close()
        shutil.rmtree(folder)
