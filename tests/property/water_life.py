"""What becomes of taps at the water machine: the rules of its transfers, for ``campus_life``."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.model.numbers import EffectKind, Op
from tests.model.office import Effect
from tests.model.rig import card

pins = st.sampled_from(("none", "none", "right", "wrong"))


class WaterLife(RuleBasedStateMachine):
    """Cards at W-1, and the office where no word comes; ``rig``, ``keep`` and ``pin`` are the heir's."""

    @rule(
        number=st.sampled_from((1, 1, 1, 2, 5)),
        counter=st.sampled_from((0, 1, 1, 2, 2, 3)),
        pin=pins,
    )
    def water_tap(self, number, counter, pin):
        typed = self.pin(pin, number)
        self.keep(
            self.rig.make_tap(
                Op.HOLD, "W-1", medium=card(number), water=True, card_counter=counter, pin=typed
            )
        )

    @rule(number=st.sampled_from((1, 1, 2)))
    def torn_tap(self, number):
        """No word comes about a transfer."""
        self.rig.water(3, medium=card(number), pin=self.pin("right", number))
        self.rig.after(300)
        self.rig.settle()

    @rule(row=st.integers(0, 30), written=st.booleans(), twice=st.integers(0, 6))
    def settle_at_the_office(self, row, written, twice):
        """A grey transfer if there is one; now and then of another account, or twice."""
        holds = [*self.rig.model.books.holds.values()]
        for hold in sorted(holds, key=lambda hold: hold.state != "GREY")[:1]:
            settle = Effect(
                kind=EffectKind.SETTLE,
                row=row if 0 < row < 4 else hold.account,
                hold_seq=hold.seq,
                written=written,
            )
            self.rig.perform([settle] * (2 if twice == 0 else 1))
