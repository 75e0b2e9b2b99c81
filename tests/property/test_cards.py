"""The state tables: every cell decided, void for ever, at most one live card, over random lives."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import issuing, losses, media, replacement
from core.card_facts import CardFacts, CaseFacts
from core.cards import (
    ENGINE_STATE,
    LIVE,
    TABLE,
    VOID,
    CardEvent,
    CardState,
    CardType,
    legal_events,
    take,
    transition,
)
from core.counter import Moment
from core.facts import AccountFacts, MediumFacts
from core.fees import Receipt
from core.losses import LossScope
from core.parameters import Values
from core.refusals import Refusal
from core.replacement import CaseEvent, CaseState, FeeState, Paper
from core.rows import AccountStatus, MediumBody, MediumFlag, MediumState

ALL_FLAGS = [MediumFlag(value) for value in range(4)]
CELLS = list(itertools.product(CardState, ALL_FLAGS, CardEvent))
OPEN_US = 1_710_484_200_000_000
"""2024-03-15 14:30 in China: a Friday the counter is open."""


@pytest.mark.parametrize(("state", "flags", "event"), CELLS)
def test_every_cell_is_decided(state, flags, event):
    after = transition(state, flags, event)
    if after is None:
        with pytest.raises(Refusal) as caught:
            take(state, flags, event)
        metadata = caught.value.metadata
        legal = {name for name in str(metadata["legal"]).split(", ") if name != "-"}
        assert legal == {found.name for found in legal_events(state, flags)}
        assert event.name not in legal
        return
    assert take(state, flags, event) == after
    assert state not in VOID
    assert state is not CardState.RETURNED
    assert ENGINE_STATE[after[0]] is not MediumState.NONE


def test_the_tables_name_every_event_and_state():
    assert set(TABLE) == set(CardEvent)
    assert set(ENGINE_STATE) == set(CardState) == LIVE | VOID | {CardState.RETURNED}
    assert set(replacement.TABLE) == set(replacement.EVENT_NOTES) == set(CaseEvent)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(CaseState, CaseEvent)))
def test_every_cell_of_a_case_is_decided(state, event):
    after = replacement.TABLE[event].get(state)
    if after is not None:
        assert replacement.take(state, event) is after
        return
    with pytest.raises(Refusal) as caught:
        replacement.take(state, event)
    assert caught.value.reason.name == "CASE_STATE"
    legal = {found.name for found in replacement.legal_events(state)}
    assert set(str(caught.value.metadata["legal"]).split(", ")) == (legal or {"-"})


def test_what_is_over_stays_so():
    assert not replacement.legal_events(CaseState.PICKED_UP)
    assert replacement.legal_events(CaseState.CANCELLED) == (CaseEvent.REFUND_FEE,)
    for state, flags in itertools.product(VOID, ALL_FLAGS):
        assert not legal_events(state, flags)


@given(st.lists(st.sampled_from(CardEvent), max_size=30))
@settings(max_examples=300)
def test_void_is_for_ever_and_marks_follow_the_table(events):
    state, flags = CardState.PRODUCED, MediumFlag(0)
    for event in events:
        after = transition(state, flags, event)
        if after is None:
            continue
        assert state not in VOID, "nothing happens to what is void"
        state, flags = after


# ---- one account, by the rules, through random acts ----


class Life:
    """An account and its cards, kept as the registry keeps them, by the rules' plans alone."""

    def __init__(self):
        self.account = AccountFacts(
            number=7,
            account_no="007",
            kind=1,
            name="",
            class_name="",
            erased=False,
            status=AccountStatus.NORMAL,
            day_limit=None,
            meal_limit=None,
            must_change=False,
            open_time_us=0,
        )
        self.cards = {}
        self.case = None
        self.numbers = itertools.count(1)
        self.moment = Moment(
            time_us=OPEN_US,
            utc_offset_s=28_800,
            values=Values({}),
            channel="COUNTER",
            calendar={},
        )

    @property
    def live(self):
        found = [card for card in self.cards.values() if card.state in LIVE]
        assert len(found) <= 1, "at most one card that is not void"
        return found[0] if found else None

    def carrier(self, card):
        return None if card is None else media.carrier_of_card(card, self.moment.today)

    def apply(self, plan, *, void=None, card_type=CardType.FORMAL):
        for effect in plan.effects:
            if len(effect.body) != 56 or effect.kind.name not in {"MEDIUM_BIND", "MEDIUM_STATE"}:
                continue
            body = MediumBody.unpack(effect.body)
            state = MediumState(body.state)
            if effect.kind.name == "MEDIUM_BIND":
                self.add(body, card_type)
                continue
            card = self.cards[effect.row]
            before = card.medium
            assert (effect.expect_status, effect.expect_flags) == (before.state, before.flags)
            medium = replace(
                before, state=state, flags=MediumFlag(body.flags), expires_day=body.expires_day
            )
            known = {value: key for key, value in ENGINE_STATE.items() if key in LIVE}
            known[MediumState.ACTIVE] = CardState.ACTIVE
            known[MediumState.RETURNED] = CardState.RETURNED
            known[MediumState.VOID] = void
            self.cards[effect.row] = replace(card, state=known[state], medium=medium)

    def add(self, body, card_type):
        number = next(self.numbers)
        medium = MediumFacts(
            number=number,
            account_number=7,
            type=1,
            token=b"%04d" % number,
            key=body.key,
            state=MediumState(body.state),
            flags=MediumFlag(body.flags),
            expires_day=body.expires_day,
            lost_seq=0,
            lost_time_us=0,
        )
        self.cards[number] = CardFacts(
            card_no=number,
            account_number=7,
            card_seq=number,
            type=card_type,
            state=CardState.PRODUCED,
            batch=0,
            successor=0,
            made_us=0,
            ended_us=0,
            medium=medium,
        )

    def act(self, name):
        """Do it; returns why it was refused, empty when it was not."""
        try:
            getattr(self, name)()
        except Refusal as refusal:
            return refusal.reason.name
        return ""

    def issue(self):
        item = issuing.IssueItem(
            index=0, uid=b"uid0", account=self.account, live=self.live, bound=None, has_photo=False
        )
        plan = issuing.issue((item,), batch=0, first_card_no=1, moment=self.moment)
        self.apply(plan, card_type=CardType.TEMPORARY)

    def activate(self):
        item = issuing.ReadItem(index=0, card=self.carrier(self.live))
        self.apply(issuing.activate((item,)))

    def lose(self):
        card = self.carrier(self.live)
        plan = losses.report_loss((card,) if card else (), LossScope.CARD, self.moment)
        if plan is not None:
            self.apply(plan)

    def unlose(self):
        card = self.live
        mine = card and self.case and self.case.old_card_no == card.card_no
        case = self.case if mine else None
        plan = losses.unloss(self.carrier(card), case=case, moment=self.moment)
        self.apply(plan)
        if plan.document.case_no:
            self.case = replace(self.case, state=CaseState.CANCELLED)

    def open_case(self):
        card = self.carrier(self.live)
        plan = replacement.open_case(
            self.account, card, case_no=1, earlier=self.case, faulty=False, moment=self.moment
        )
        self.case = CaseFacts(
            case_no=1,
            account_number=7,
            state=CaseState.OPEN,
            old_card_no=plan.document.card_no,
            new_card_no=0,
            papers={},
            fee_fen=plan.document.fee_fen,
            fee_state=FeeState.DUE,
            proposed_by="",
            receipt_no="",
            early=False,
            faulty=False,
            opened_us=0,
            changed_us=0,
        )

    def papers(self):
        if self.case is None:
            return
        for paper in (Paper.FORM, Paper.PHOTO):
            plan = replacement.attach(self.case, paper, "f")
            papers = {**self.case.papers, paper: "f"}
            state = CaseState(plan.document.state)
            self.case = replace(self.case, papers=papers, state=state)
        receipt = Receipt(receipt_no="R", amount_fen=3_000, paid_us=OPEN_US, used=False)
        plan = replacement.confirm_fee(
            self.case, receipt, finance=True, lost_us=0, moment=self.moment
        )
        state = CaseState(plan.document.state)
        self.case = replace(self.case, fee_state=FeeState.PAID, state=state)

    def make(self):
        if self.case is None:
            return
        old = self.carrier(self.cards[self.case.old_card_no])
        plan = replacement.make_card(
            self.case, old, uid=b"new1", card_no=1, bound=None, moment=self.moment
        )
        self.apply(plan, void=CardState.VOID_REPLACED)
        self.case = replace(self.case, state=CaseState.CARD_MADE, new_card_no=max(self.cards))

    def pick_up(self):
        if self.case is None or not self.case.new_card_no:
            return
        new = self.cards[self.case.new_card_no]
        old = self.carrier(self.cards[self.case.old_card_no])
        plan = replacement.pick_up(
            self.case, self.carrier(new), old, uid=new.medium.token, moment=self.moment
        )
        self.apply(plan)
        self.case = replace(self.case, state=CaseState.PICKED_UP)

    def upgrade(self):
        plan = issuing.upgrade(
            self.live,
            self.carrier(self.live),
            uid=b"form",
            card_no=1,
            bound=None,
            has_photo=True,
            moment=self.moment,
        )
        self.apply(plan, void=CardState.VOID_UPGRADED)


ACTS = ["issue", "activate", "lose", "unlose", "open_case", "papers", "make", "pick_up", "upgrade"]
REFUSALS = {
    "",
    *("CARD_EXISTS", "CARD_STATE", "CARD_MISMATCH", "CARD_VOID", "CASE_EXISTS", "CASE_STATE"),
    *("DOCS_INCOMPLETE", "NOT_LOST", "NO_CARD", "NOT_TEMPORARY", "REPLACED"),
}


@given(st.lists(st.sampled_from(ACTS), max_size=40))
@settings(max_examples=300)
def test_an_account_never_has_two_live_cards(acts):
    life = Life()
    for act in acts:
        void = {n for n, card in life.cards.items() if card.state in VOID}
        assert life.act(act) in REFUSALS
        assert life.live is None or life.live.state in LIVE
        assert void <= {n for n, card in life.cards.items() if card.state in VOID}
