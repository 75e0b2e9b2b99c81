"""The card office as the tests call it.

desk = CardDesk(campus)
desk.issue((account_no, uid), …)
desk("MakeCard", teacher, case_no=1, uid=b"…")
"""

import io
import os

import grpc
import pytest
from PIL import Image

from campuscard.v1 import card_office_service_pb2 as pb
from campuscard.v1 import roster_pb2 as roster_pb
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from tests.campus import CALL_S, refusal

JPEG = b"\xff\xd8\xff\xe0form"
PDF = b"%PDF-1.7 receipt"


def uid():
    """Return the UID of a blank card."""
    return b"\x05" + os.urandom(6)


def rfid(token):
    """Return what a reader presents."""
    return terminal_pb.Medium(type=terminal_pb.MEDIUM_TYPE_RFID_CARD, token=token)


class CardDesk:
    """Calls CardOfficeService, as the default member unless another is given."""

    def __init__(self, campus):
        self.campus = campus

    def request(self, method, /, **values):
        """Build a request under a new request_id."""
        made = getattr(pb, f"{method}Request")(**values)
        if "request_id" in made.DESCRIPTOR.fields_by_name and not made.request_id:
            made.request_id = self.campus.request_id()
        return made

    def send(self, method, request, member=None):
        stub = (member or self.campus.staff).stub("CardOfficeService")
        return getattr(stub, method)(request, timeout=3 * CALL_S)

    def __call__(self, method, member=None, /, **values):
        return self.send(method, self.request(method, **values), member)

    def refused(self, name, method, member=None, /, **values):
        """Demand a refusal; returns its metadata."""
        return refused(name, self, method, member, **values)

    def issue(self, *items, **options):
        made = [pb.IssueItem(account_no=account_no, uid=token) for account_no, token in items]
        return self("IssueCards", items=made, **options)

    def card(self, account_no):
        """Return the newest card of an account."""
        return self("GetCard", account_no=account_no).card

    def ready_case(self, account_no, receipt_no, teacher=None):
        """Open a case for a lost card and bring all its papers; returns its number."""
        case_no = self("OpenReplacement", teacher, account_no=account_no).case_no
        for paper in (pb.CASE_PAPER_FORM, pb.CASE_PAPER_PHOTO):
            self("AttachDocument", teacher, case_no=case_no, paper=paper, content=JPEG)
        self.pay(case_no, receipt_no)
        return case_no

    def photo(self, name, account_no):
        """Upload a photo of a holder."""
        picture = io.BytesIO()
        Image.new("RGB", (480, 640), "white").save(picture, "JPEG")
        request = roster_pb.UploadPhotoRequest(
            request_id=self.campus.request_id(),
            file_name=f"{name}{account_no}.jpg",
            content=picture.getvalue(),
            recent_frontal=True,
        )
        return self.send("UploadPhoto", request)

    def pay(self, case_no, receipt_no, fen=3_000, **options):
        paid = {"paid_time_us": self.campus.now_us(), **options}
        return self("ConfirmFee", case_no=case_no, receipt_no=receipt_no, amount_fen=fen, **paid)


def refused(name, call, /, *args, **kwargs):
    """Demand that a call is refused with a reason; returns its metadata."""

    with pytest.raises(grpc.RpcError) as caught:
        call(*args, **kwargs)
    found, metadata, _ = refusal(caught.value)
    assert found == name, (found, metadata, caught.value.details())
    return metadata


def state_of(card):
    """Name a card's state with its marks."""
    marks = (name for name in ("lost", "frozen") if getattr(card, name))
    return "+".join([pb.CardState.Name(card.state).removeprefix("CARD_STATE_"), *marks])
