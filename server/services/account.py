"""AccountService: the counter's door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from campuscard.v1 import account_service_pb2 as pb
from campuscard.v1 import account_service_pb2_grpc as pb_grpc
from core import accounts, documents, media
from core.accounts import Money, NewAccount, WantedLimits
from core.ids import InitialPassword
from core.password_changes import check_six_digits
from core.permissions import allowing
from core.refusals import invalid, missing
from core.roster import HOLDS_ID, derive_person, holds_id
from core.rows import LIMIT_DEFAULT, AccountStatus, MediumState
from core.water_transfers import transfer_in
from server.identity import caller
from server.registry import AccountFilter
from server.services import fields
from server.services.account_messages import (
    account_message,
    medium_message,
    transfer_message,
    wallets_message,
)
from server.services.transactions import TransactionPages

if TYPE_CHECKING:
    import grpc.aio

    from core.facts import AccountFacts, MediumFacts
    from core.plans import Plan
    from ext.engine import AccountReply
    from server.office_lane import Desk
    from server.registry import Registry
    from server.services.office import Office
    from server.services.password_acts import PasswordActs

    Context = grpc.aio.ServicerContext[Any, Any]

_Credited = TypeVar("_Credited", pb.TopUpResponse, pb.GrantSubsidyResponse)


class AccountService(pb_grpc.AccountServiceServicer):
    """Opens and keeps accounts; the rules are in ``core/accounts.py`` and ``core/media.py``.

    Args:
        office: decides the acts.
        passwords: changes and resets passwords.
    """

    def __init__(self, office: Office, passwords: PasswordActs) -> None:
        self._office = office
        self._passwords = passwords
        self._pages = TransactionPages(office)

    async def OpenAccount(
        self, request: pb.OpenAccountRequest, context: Context
    ) -> pb.OpenAccountResponse:
        """Open an account; see the proto."""
        del context
        account_no = fields.account_no(request.account_no)
        kind = request.kind
        if kind not in pb.HolderKind.values() or kind == pb.HOLDER_KIND_UNSPECIFIED:
            raise invalid("kind", "a known kind of holder")
        name = fields.text("name", request.name, shortest=1, longest=64)
        class_name = fields.text("class_name", request.class_name, longest=64)
        id_number = fields.id_number(request.id_number).strip().upper()
        kept = {"account_no": account_no, "name": name, "class_name": class_name}
        for field, text in kept.items():
            if holds_id(text, id_number):
                raise invalid(field, HOLDS_ID)
        medium_type, token = 0, b""
        if request.HasField("medium"):
            medium_type, token = fields.medium("medium", request.medium)

        async def decide(desk: Desk) -> Plan:
            known, bound = await desk.read(
                lambda r: (r.account(account_no), r.bound_medium(medium_type, token))
            )
            number = desk.next_row("account")
            rule = (await desk.parameters()).text("initial_password_rule")
            person, password = derive_person(
                account_no=account_no,
                name=name,
                class_name=class_name,
                id_number=id_number,
                rule=InitialPassword(rule),
                key=desk.keys.derive("passwords"),
            )
            new = NewAccount(
                number=number,
                account_no=account_no,
                kind=kind,
                sealed=b"" if known else desk.keys.seal(number, person),
                password=password,
                medium_type=medium_type,
                medium_token=token,
                medium_key=media.medium_key(medium_type, token) if medium_type else b"",
            )
            return accounts.open_account(new, known=known, bound=bound)

        return await self._office.act(request, decide, response=pb.OpenAccountResponse)

    async def GetAccount(
        self, request: pb.GetAccountRequest, context: Context
    ) -> pb.GetAccountResponse:
        """Read an account; see the proto."""
        del context
        if bool(request.account_no) == request.HasField("medium"):
            raise invalid("account_no", "either account_no or medium")
        account_no, medium = "", (0, b"")
        if request.account_no:
            account_no = fields.account_no(request.account_no)
        else:
            medium = fields.medium("medium", request.medium)

        def find(registry: Registry) -> tuple[AccountFacts, tuple[MediumFacts, ...]]:
            if account_no:
                account = registry.account(account_no)
            else:
                bound = registry.bound_medium(*medium)
                account = registry.account_by_number(bound.account_number) if bound else None
            if account is None:
                raise missing("account" if account_no else "medium")
            return account, registry.media_of(account.number)

        account, bound_media = await self._office.projector.look(find)
        wallets = await self._office.wallets(account.number)
        response = pb.GetAccountResponse(
            account=account_message(account, now_us=self._office.clock.now_us()),
            wallets=wallets_message(wallets, pin_max=await self._pin_max()),
            media=[medium_message(m, account.account_no) for m in bound_media],
        )
        seq = wallets["water_hold_seq"]
        transfer = transfer_in(self._office.block_of(seq), seq) if seq else None
        if transfer is not None:
            names = await self._office.projector.look(lambda r: r.terminal_ids())
            message = transfer_message(transfer, grey=wallets["water_hold_grey"])
            message.terminal_id = names.get(transfer.terminal_number, "")
            response.open_transfer.CopyFrom(message)
        return response

    async def ListAccounts(
        self, request: pb.ListAccountsRequest, context: Context
    ) -> pb.ListAccountsResponse:
        """List accounts; see the proto."""
        del context
        wanted = AccountFilter(
            class_name=request.class_name,
            name_prefix=request.name_prefix,
            account_no_prefix=request.account_no_prefix,
            status=fields.optional_choice("status", request.status, AccountStatus),
        )
        page = self._office.list_page(request)
        now_us = self._office.clock.now_us()
        found, seq = await self._office.projector.read(
            lambda r: (
                r.accounts(wanted, after=page.place, limit=page.limit),
                r.position().applied_seq,
            )
        )
        accounts, token = page.cut(found, lambda a: a.account_no)
        return pb.ListAccountsResponse(
            accounts=[account_message(a, now_us=now_us) for a in accounts],
            next_page_token=token,
            as_of_seq=seq,
        )

    async def BindMedium(
        self, request: pb.BindMediumRequest, context: Context
    ) -> pb.BindMediumResponse:
        """Bind a medium; see the proto."""
        del context
        account_no = fields.account_no(request.account_no)
        medium_type, token = fields.medium("medium", request.medium)
        expires_day = fields.bounded("expires_day", request.expires_day, largest=fields.DAY_MAX)
        state = fields.optional_choice("state", request.state, MediumState) or MediumState.ACTIVE
        if state not in media.FIRST_STATES:
            raise invalid("state", "PRODUCED, IN_TRANSIT or ACTIVE")
        body = media.medium_body(
            media.medium_key(medium_type, token), state, expires_day=expires_day
        )

        async def decide(desk: Desk) -> Plan:
            account = await _account(desk, account_no)
            bound, others = await desk.read(
                lambda r: (r.bound_medium(medium_type, token), r.media_of(account.number))
            )
            document = documents.MediumBound(medium_type=medium_type, medium_token=token)
            return accounts.bind_medium(account, document, body=body, bound=bound, others=others)

        return await self._office.act(request, decide, response=pb.BindMediumResponse)

    async def UnbindMedium(
        self, request: pb.UnbindMediumRequest, context: Context
    ) -> pb.UnbindMediumResponse:
        """Take a medium off; see the proto."""
        del context
        wanted = fields.medium("medium", request.medium)

        async def decide(desk: Desk) -> Plan:
            return media.unbind(await _medium(desk, *wanted))

        return await self._office.act(request, decide, response=pb.UnbindMediumResponse)

    async def SetAccountStatus(
        self, request: pb.SetAccountStatusRequest, context: Context
    ) -> pb.SetAccountStatusResponse:
        """Change an account's status; see the proto."""
        del context
        account_no = fields.account_no(request.account_no)
        status = fields.choice("status", request.status, AccountStatus)
        note = fields.text("note", request.note, longest=200)

        async def decide(desk: Desk) -> Plan:
            account = await _account(desk, account_no)
            money = _money(await desk.wallets(account.number))
            return accounts.set_status(account, status, note=note, money=money, now_us=desk.now_us)

        return await self._office.act(request, decide, response=pb.SetAccountStatusResponse)

    async def SetPersonalLimits(
        self, request: pb.SetPersonalLimitsRequest, context: Context
    ) -> pb.SetPersonalLimitsResponse:
        """Set personal limits; see the proto."""
        del context
        account_no = fields.account_no(request.account_no)
        wanted = WantedLimits(
            day=wanted_limit(request, "day_limit_fen", default=request.default_day_limit),
            meal=wanted_limit(request, "meal_limit_fen", default=request.default_meal_limit),
        )
        pin = request.pin

        async def decide(desk: Desk) -> Plan:
            account = await _account(desk, account_no)
            rules = await desk.read(lambda r: r.rules())
            return accounts.set_limits(account, wanted, rules=rules, pin=pin)

        return await self._office.act(request, decide, response=pb.SetPersonalLimitsResponse)

    async def SetTransactionPassword(
        self, request: pb.SetTransactionPasswordRequest, context: Context
    ) -> pb.SetTransactionPasswordResponse:
        """Change the transaction password; see the proto."""
        del context
        account_no = fields.account_no(request.account_no)
        for name in ("old_pin", "new_pin"):
            check_six_digits(name, getattr(request, name))
        return await self._passwords.change_transaction(
            request,
            account_no,
            old=request.old_pin,
            new=request.new_pin,
            response=pb.SetTransactionPasswordResponse,
        )

    async def ResetTransactionPassword(
        self, request: pb.ResetTransactionPasswordRequest, context: Context
    ) -> pb.ResetTransactionPasswordResponse:
        """Give back an initial transaction password; see the proto."""
        del context
        return await self._passwords.reset_transaction(
            request, response=pb.ResetTransactionPasswordResponse
        )

    async def ResetQueryPassword(
        self, request: pb.ResetQueryPasswordRequest, context: Context
    ) -> pb.ResetQueryPasswordResponse:
        """Give back an initial query password; see the proto."""
        del context
        return await self._passwords.reset_query(request, response=pb.ResetQueryPasswordResponse)

    async def TopUp(self, request: pb.TopUpRequest, context: Context) -> pb.TopUpResponse:
        """Credit money of a channel; see the proto. FINANCE sees no balance (六.2)."""
        del context
        account_no = fields.account_no(request.account_no)
        source = request.source
        if source not in accounts.TOP_UP_SIDES:
            raise invalid("source", "a known channel")
        channel_txn_id = fields.channel_txn_id(request.channel_txn_id)
        amount_fen = fields.amount("amount_fen", request.amount_fen)

        async def decide(desk: Desk) -> Plan:
            credited = await desk.read(lambda r: r.credited_seq(source, channel_txn_id))
            return accounts.top_up(
                await _account(desk, account_no),
                source=source,
                channel_txn_id=channel_txn_id,
                amount_fen=amount_fen,
                credited_seq=credited,
            )

        response = await self._office.act(request, decide, response=pb.TopUpResponse)
        return _without_balance(response, "online_fen")

    async def GrantSubsidy(
        self, request: pb.GrantSubsidyRequest, context: Context
    ) -> pb.GrantSubsidyResponse:
        """Credit a subsidy; see the proto. FINANCE sees no balance (六.2)."""
        del context
        account_no = fields.account_no(request.account_no)
        amount_fen = fields.amount("amount_fen", request.amount_fen)
        label = fields.text("label", request.label, longest=64)

        async def decide(desk: Desk) -> Plan:
            account = await _account(desk, account_no)
            return accounts.grant_subsidy(account, amount_fen=amount_fen, label=label)

        response = await self._office.act(request, decide, response=pb.GrantSubsidyResponse)
        return _without_balance(response, "subsidy_fen")

    async def EraseHolder(
        self, request: pb.EraseHolderRequest, context: Context
    ) -> pb.EraseHolderResponse:
        """Erase who a closed account was of; see the proto."""
        del context
        account_no = fields.account_no(request.account_no)
        number = 0

        async def decide(desk: Desk) -> Plan:
            nonlocal number
            account = await _account(desk, account_no)
            number = account.number
            return accounts.erase_holder(account, now_us=desk.now_us)

        response = await self._office.act(request, decide, response=pb.EraseHolderResponse)
        self._passwords.end_sessions(number)
        return response

    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        """List what happened to an account; see the proto."""
        del context
        return await self._pages.page(request)

    async def _pin_max(self) -> int:
        return (await self._office.projector.look(lambda r: r.rules())).pin_max


def _without_balance(response: _Credited, field: str) -> _Credited:
    """Clear a balance where the caller may not read accounts, as the finance office may not."""
    if allowing("account.read", caller().roles) is None:
        response.ClearField(field)  # type: ignore[arg-type] # one of both
    return response


async def _account(desk: Desk, account_no: str) -> AccountFacts:
    account = await desk.read(lambda r: r.account(account_no))
    if account is None:
        raise missing("account")
    return account


async def _medium(desk: Desk, medium_type: int, token: bytes) -> MediumFacts:
    medium = await desk.read(lambda r: r.bound_medium(medium_type, token))
    if medium is None:
        raise missing("medium")
    return medium


def _money(reply: AccountReply) -> Money:
    return Money(
        online=reply["online_fen"],
        held=reply["held_fen"],
        subsidy=reply["subsidy_fen"],
        water=reply["water_fen"],
        last_seq=reply["last_seq"],
        transfer_seq=reply["water_hold_seq"],
    )


def wanted_limit(request: Any, name: str, *, default: bool) -> int | None:
    """Read one limit of a request; None: as it is, ``LIMIT_DEFAULT``: the system's.

    Args:
        request: with the optional field.
        name: of the field.
        default: the system's limit is asked for.
    """
    given = request.HasField(name)
    if given and default:
        raise invalid(name, "not together with the system's default")
    if default:
        return LIMIT_DEFAULT
    value: int = getattr(request, name)
    if given and not 0 <= value < LIMIT_DEFAULT:
        raise invalid(name, "fen, 0 or more")
    return value if given else None
