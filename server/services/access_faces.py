"""AccessService, the part of faces; rules in ``core/faces.py``."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

from campuscard.v1 import access_service_pb2 as pb
from core import faces
from core.access import MediumType
from core.permissions import Role
from core.ports import Person
from core.refusals import Refusal, invalid, missing
from core.service_hours import local_time
from server.identity import caller, calling_as
from server.services import fields

if TYPE_CHECKING:
    import grpc.aio

    from core.facts import AccountFacts
    from core.plans import Plan
    from server.office_lane import Desk
    from server.registry import Registry
    from server.services.carriers import Carriers
    from server.services.office import Office

    Context = grpc.aio.ServicerContext[Any, Any]

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_VERSION_MAX: Final = 32
_NAME_MAX: Final = 64
_PHONE: Final = re.compile(r"\d{0,20}", re.ASCII)
_EPOCH: Final = dt.date(1970, 1, 1)


class FaceMethods:
    """Enrolment of faces, and their withdrawal."""

    _office: Office
    _carriers: Carriers

    async def EnrolFace(
        self, request: pb.EnrolFaceRequest, context: Context
    ) -> pb.EnrolFaceResponse:
        """Bind a face; see the proto."""
        del context
        account_no = fields.account_no(request.account_no)
        token = self._carriers.face_hash(request.face_token)
        born = _date("birth_date", request.birth_date)
        sent = request.consent
        version = fields.text(
            "consent.text_version", sent.text_version, shortest=1, longest=_VERSION_MAX
        )
        guardian = _guardian(sent)

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                account = registry.account(account_no)
                if account is None:
                    raise missing("account")
                offset = registry.rules().utc_offset_seconds
                today = local_time(desk.now_us, offset).date()
                consent = faces.Consent(
                    given_us=sent.given_time_us,
                    text_version=version,
                    minor=faces.is_minor(born, today),
                    guardian=_sealed(desk, account, guardian),
                )
                return faces.enrol(
                    account,
                    token,
                    consent,
                    media=registry.media_of(account.number),
                    bound=registry.bound_medium(MediumType.FACE, token),
                    now_us=desk.now_us,
                    today=(today - _EPOCH).days,
                )

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.EnrolFaceResponse)

    async def WithdrawFace(
        self, request: pb.WithdrawFaceRequest, context: Context
    ) -> pb.WithdrawFaceResponse:
        """Take a face off; see the proto."""
        del context
        own = caller().account_number if calling_as() is Role.HOLDER else 0
        account_no = fields.account_no(request.account_no) if request.account_no else ""
        if not own and not account_no:
            raise invalid("account_no", "whose face")

        async def decide(desk: Desk) -> Plan:
            def read(registry: Registry) -> Plan:
                account = (
                    registry.account(account_no) if account_no else registry.account_by_number(own)
                )
                if account is None:
                    raise missing("account")
                if own and account.number != own:
                    raise Refusal("FORBIDDEN", permission="face.withdraw", roles=Role.CARD_OFFICER)
                return faces.withdraw(account, registry.media_of(account.number))

            return await desk.read(read)

        return await self._office.act(request, decide, response=pb.WithdrawFaceResponse)


def _guardian(sent: pb.FaceConsent) -> Person | None:
    if not sent.guardian_name:
        if sent.guardian_phone:
            raise invalid("consent.guardian_name", "with the guardian's telephone")
        return None
    if _PHONE.fullmatch(sent.guardian_phone) is None:
        raise invalid("consent.guardian_phone", "at most 20 digits")
    name = fields.text("consent.guardian_name", sent.guardian_name, shortest=1, longest=_NAME_MAX)
    return Person(name=name, class_name="", phone=sent.guardian_phone)


def _sealed(desk: Desk, account: AccountFacts, guardian: Person | None) -> bytes:
    """Seal a guardian under the key of the child: erased with it."""
    if guardian is None or account.erased:
        return b""
    return desk.keys.seal(account.number, guardian)


def _date(field: str, text: str) -> dt.date:
    if _DATE.fullmatch(text) is not None:
        with contextlib.suppress(ValueError):
            return dt.date.fromisoformat(text)
    raise invalid(field, "a day as YYYY-MM-DD")
