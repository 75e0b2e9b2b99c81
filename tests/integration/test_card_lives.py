"""Random lives of cards through the server: the rules' promises hold there too."""

import itertools

import grpc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from campuscard.v1 import card_office_service_pb2 as pb
from tests.campus import Campus, refusal
from tests.cards import JPEG, CardDesk, rfid, uid

FRIDAY = "2024-03-15 14:30"
LIVE = {pb.CARD_STATE_PRODUCED, pb.CARD_STATE_IN_TRANSIT, pb.CARD_STATE_ACTIVE}
ACTS = ("issue", "activate", "lose", "unlose", "open", "papers", "make", "pick_up", "upgrade")
receipts = itertools.count()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with Campus(tmp_path_factory.mktemp("lives")) as campus:
        campus.set_time(FRIDAY)
        yield CardDesk(campus)


class Life:
    """One account; every act is tried, whatever the state."""

    def __init__(self, desk):
        self.desk = desk
        self.account_no = desk.campus.open_account(card=False).account_no
        desk.photo("张三", self.account_no)

    def cards(self):
        return self.desk("ListCards", account_no=self.account_no).cards

    def newest(self):
        return self.cards()[-1].uid

    def case_no(self):
        return self.desk("GetCase", account_no=self.account_no).case.case_no

    def issue(self):
        self.desk.issue((self.account_no, uid()))

    def activate(self):
        self.desk("ActivateCards", uids=[self.newest()])

    def lose(self):
        self.desk("ReportLoss", account_no=self.account_no)

    def unlose(self):
        self.desk("Unloss", account_no=self.account_no, medium=rfid(self.newest()))

    def open(self):
        self.desk("OpenReplacement", account_no=self.account_no)

    def papers(self):
        case_no = self.case_no()
        for paper in (pb.CASE_PAPER_FORM, pb.CASE_PAPER_PHOTO):
            self.desk("AttachDocument", case_no=case_no, paper=paper, content=JPEG)
        self.desk.pay(case_no, f"LIFE-{next(receipts)}")

    def make(self):
        self.desk("MakeCard", case_no=self.case_no(), uid=uid())

    def pick_up(self):
        self.desk("PickUp", case_no=self.case_no(), uid=self.newest())

    def upgrade(self):
        self.desk("UpgradeTemporary", account_no=self.account_no, uid=uid())


@example(["issue", "activate", "lose", "open", "papers", "make", "lose", "unlose", "open", "make"])
@example(["issue", "lose", "open", "papers", "make", "unlose", "issue", "activate", "pick_up"])
@example(["issue", "activate", "lose", "open", "papers", "unlose", "make", "upgrade", "issue"])
@given(st.lists(st.sampled_from(ACTS), min_size=4, max_size=14))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.clause("五.1")
def test_at_most_one_live_card_and_void_for_ever(desk, acts):
    life, void = Life(desk), {}
    for act in acts:
        try:
            getattr(life, act)()
        except grpc.RpcError as error:
            reason, _, _ = refusal(error)
            assert reason, "refused with a reason, never broken"
        except IndexError:
            assert not life.cards(), "no card yet"
        cards = life.cards()
        assert sum(card.state in LIVE for card in cards) <= 1
        states = {card.card_no: card.state for card in cards}
        assert void.items() <= states.items(), "void is for ever"
        void = {number: state for number, state in states.items() if state not in LIVE}
