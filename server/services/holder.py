"""HolderService: what holders see and do of their own. Whom a call is about says its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import holder_service_pb2 as pb
from campuscard.v1 import holder_service_pb2_grpc as pb_grpc
from core import accounts, losses
from core import password_changes as rules
from core.accounts import WantedLimits
from core.cards import PHYSICAL_CARD, CardEvent
from core.documents import passwords as documents
from core.losses import LossScope
from core.plans import Plan
from core.refusals import Refusal, invalid
from server.identity import caller
from server.interceptors.identity import token_of
from server.registers import acts as acts_register
from server.registers import passwords as register
from server.registers.cards import CardFilter, list_cards
from server.registry import MEDIA_MAX
from server.services import card_acts, fields, qr
from server.services.account import wanted_limit
from server.services.account_messages import account_message, medium_message, wallets_message
from server.services.card_messages import card_message
from server.services.staff import act_message
from server.services.transactions import TransactionPages

if TYPE_CHECKING:
    import grpc.aio

    from core.facts import AccountFacts
    from server.office_lane import Desk
    from server.registry import AnsweredRequest, Registry
    from server.services.holder_sign_in import HolderDoor
    from server.services.office import Office
    from server.services.password_acts import PasswordActs
    from server.sessions import Sessions

    Context = grpc.aio.ServicerContext[Any, Any]


class HolderService(pb_grpc.HolderServiceServicer):
    """Self-service.

    Args:
        office: decides the acts.
        door: checks query passwords.
        passwords: changes them.
        sessions: of everybody.
    """

    def __init__(
        self, office: Office, door: HolderDoor, passwords: PasswordActs, sessions: Sessions
    ) -> None:
        self._office = office
        self._door = door
        self._passwords = passwords
        self._sessions = sessions
        self._pages = TransactionPages(office)

    async def SignIn(
        self, request: pb.HolderServiceSignInRequest, context: Context
    ) -> pb.HolderServiceSignInResponse:
        """Open a session; see the proto."""
        del context
        response = await self._door.sign_in(request.account_no, request.query_password)
        response.must_change.CopyFrom(await self._must_change())
        return response

    async def SignOut(
        self, request: pb.HolderServiceSignOutRequest, context: Context
    ) -> pb.HolderServiceSignOutResponse:
        """End the session; see the proto."""
        del request
        principal = caller()

        async def decide(_: Desk) -> Plan:
            document = documents.HolderSignedOut(account=principal.account_number)
            return Plan(document=document, effects=())

        await self._office.record("HolderSignedOut", decide)
        self._sessions.close(token_of(context))
        return pb.HolderServiceSignOutResponse()

    async def GetMyAccount(
        self, request: pb.GetMyAccountRequest, context: Context
    ) -> pb.GetMyAccountResponse:
        """Read the account; see the proto."""
        del request, context
        account = await self._own()
        now_us = self._office.clock.now_us()
        wanted = CardFilter(account_no=account.account_no)
        cards, media, moment, rules_body = await self._office.projector.look(
            lambda r: (
                list_cards(r.connection, wanted, after=0, limit=MEDIA_MAX),
                r.media_of(account.number),
                card_acts.moment_at(r, now_us),
                r.rules(),
            )
        )
        wallets = await self._office.wallets(account.number)
        return pb.GetMyAccountResponse(
            account=account_message(account, now_us=now_us),
            wallets=wallets_message(wallets, pin_max=rules_body.pin_max),
            cards=[card_message(row, moment.today) for row in reversed(cards)],
            media=[
                medium_message(medium, account.account_no)
                for medium in media
                if medium.type != PHYSICAL_CARD
            ],
            must_change=await self._must_change(),
        )

    async def ListMyTransactions(
        self, request: pb.ListMyTransactionsRequest, context: Context
    ) -> pb.ListMyTransactionsResponse:
        """List what happened to the account; see the proto."""
        del context
        account = await self._own()
        page = await self._pages.page(
            accounts_pb.ListTransactionsRequest(
                account_no=account.account_no,
                page_size=request.page_size,
                page_token=request.page_token,
            )
        )
        return pb.ListMyTransactionsResponse(
            transactions=page.transactions,
            next_page_token=page.next_page_token,
            as_of_seq=page.as_of_seq,
        )

    async def ReportLoss(
        self, request: pb.HolderServiceReportLossRequest, context: Context
    ) -> pb.HolderServiceReportLossResponse:
        """Report a loss; see the proto."""
        del context
        scope = fields.optional_choice("scope", request.scope, LossScope)
        if request.query_password or not caller().account_number:
            async with self._door.proven(request.account_no, request.query_password) as state:
                return await self._report_loss(request, state.account_no, scope)
        account_no = (await self._own()).account_no
        if request.account_no not in {"", account_no}:
            raise invalid("account_no", "your own, or empty")
        return await self._report_loss(request, account_no, scope)

    async def Unloss(
        self, request: pb.HolderServiceUnlossRequest, context: Context
    ) -> pb.HolderServiceUnlossResponse:
        """Refuse to take a loss back; see the proto."""
        del context
        principal = caller()

        def read(registry: Registry, now_us: int) -> Plan:
            moment = card_acts.moment_at(
                registry,
                now_us,
                channel=principal.channel,
                event=CardEvent.UNLOSS,
                account_number=principal.account_number,
            )
            # Self-service has no reader: nothing was presented.
            return losses.unloss(None, case=None, moment=moment)

        async def decide(desk: Desk) -> Plan:
            return await desk.read(lambda r: read(r, desk.now_us))

        return await self._office.act(request, decide, response=pb.HolderServiceUnlossResponse)

    async def ChangeQueryPassword(
        self, request: pb.ChangeQueryPasswordRequest, context: Context
    ) -> pb.ChangeQueryPasswordResponse:
        """Change the query password; see the proto."""
        del context
        rules.check_query_form(request.new_password)
        rules.check_repeated(request.new_password, request.confirm_password)
        async with self._door.proven_again(caller().account_number, request.old_password) as state:
            response = await self._passwords.change_query(
                request,
                state.account_no,
                sealed_now=state.sealed,
                response=pb.ChangeQueryPasswordResponse,
            )
        response.must_change.CopyFrom(await self._must_change())
        return response

    async def ChangeTransactionPassword(
        self, request: pb.ChangeTransactionPasswordRequest, context: Context
    ) -> pb.ChangeTransactionPasswordResponse:
        """Change the transaction password; see the proto."""
        del context
        rules.check_repeated(request.new_password, request.confirm_password)
        for name in ("old_password", "new_password"):
            rules.check_six_digits(name, getattr(request, name))
        account = await self._own()
        response = await self._passwords.change_transaction(
            request,
            account.account_no,
            old=request.old_password,
            new=request.new_password,
            response=pb.ChangeTransactionPasswordResponse,
        )
        response.must_change.CopyFrom(await self._must_change())
        return response

    async def SetMyLimits(
        self, request: pb.SetMyLimitsRequest, context: Context
    ) -> pb.SetMyLimitsResponse:
        """Set personal limits; see the proto."""
        del context
        wanted = WantedLimits(
            day=wanted_limit(request, "day_limit_fen", default=request.default_day_limit),
            meal=wanted_limit(request, "meal_limit_fen", default=request.default_meal_limit),
        )
        if request.transaction_password:
            rules.check_six_digits("transaction_password", request.transaction_password)
        number = caller().account_number

        async def decide(desk: Desk) -> Plan:
            account, limits = await desk.read(lambda r: (_present(r, number), r.rules()))
            return accounts.set_limits(
                account, wanted, rules=limits, pin=request.transaction_password
            )

        response = await self._office.act(request, decide, response=pb.SetMyLimitsResponse)
        response.must_change.CopyFrom(await self._must_change())
        return response

    async def ListMyActs(
        self, request: pb.ListMyActsRequest, context: Context
    ) -> pb.ListMyActsResponse:
        """List acts about the account; see the proto."""
        del context
        account = await self._own()
        page = self._office.list_page(request, whose=account.number)
        found = await self._office.projector.read(
            lambda r: acts_register.list_acts(
                r.connection,
                before_seq=page.number,
                limit=page.limit,
                account_number=account.number,
            )
        )
        rows, token = page.cut(found, lambda act: act.seq)
        return pb.ListMyActsResponse(
            acts=[act_message(act, account.account_no) for act in rows],
            next_page_token=token,
        )

    async def IssueQr(self, request: pb.IssueQrRequest, context: Context) -> pb.IssueQrResponse:
        """Make a dynamic QR for the holder's phone; see the proto."""
        del request, context
        issued = await qr.issue(self._office, caller().account_number)
        return pb.IssueQrResponse(qr=issued.text, until_time_us=issued.until_us)

    # ---- what they share ----

    async def _own(self) -> AccountFacts:
        number = caller().account_number
        return await self._office.projector.look(lambda r: _present(r, number))

    async def _must_change(self) -> pb.MustChange:
        """Say which of the caller's passwords are still the initial ones."""
        number = caller().account_number
        account, state = await self._office.projector.look(
            lambda r: (_present(r, number), register.query_state_by_number(r.connection, number))
        )
        return pb.MustChange(
            query_password=state is None or state.initial,
            transaction_password=account.must_change,
        )

    async def _report_loss(
        self,
        request: pb.HolderServiceReportLossRequest,
        account_no: str,
        scope: LossScope | None,
    ) -> pb.HolderServiceReportLossResponse:
        async def decide(desk: Desk) -> Plan | AnsweredRequest:
            return await card_acts.report_loss(desk, account_no=account_no, scope=scope)

        response = await self._office.act(
            request, decide, response=pb.HolderServiceReportLossResponse
        )
        response.must_change.CopyFrom(await self._must_change())
        return response


def _present(registry: Registry, number: int) -> AccountFacts:
    account = registry.account_by_number(number)
    if account is None:
        raise Refusal("SESSION_REQUIRED")
    return account
