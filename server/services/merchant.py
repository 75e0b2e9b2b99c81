"""MerchantService: merchants and terminals; the meals and rules in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from campuscard.v1 import merchant_service_pb2 as pb
from campuscard.v1 import merchant_service_pb2_grpc as pb_grpc
from core import merchants
from core.categories import categories_of
from core.merchants import WantedMerchant, WantedTerminal, check_etag, format_etag
from core.money import AMOUNT_MAX
from core.refusals import invalid, missing
from core.rows import KEYPAD, ServiceStatus
from server.facts import rules_fields
from server.services import fields
from server.services.own_merchants import (
    check_own,
    merchants_of,
    own_merchants,
    terminals_of,
)

if TYPE_CHECKING:
    import grpc.aio

    from core.facts import MerchantFacts, TerminalFacts
    from core.plans import Plan
    from server.office_lane import Desk
    from server.services.office import Office

    Context = grpc.aio.ServicerContext[Any, Any]


class MerchantService(pb_grpc.MerchantServiceServicer):
    """Keeps merchants and terminals; the rules are in ``core/merchants.py``."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def CreateMerchant(
        self, request: pb.CreateMerchantRequest, context: Context
    ) -> pb.CreateMerchantResponse:
        """Create a merchant; see the proto."""
        del context
        merchant_id = fields.short_name("merchant_id", request.merchant_id)
        name = fields.text("name", request.name, shortest=1, longest=64)
        category: int = request.category

        async def decide(desk: Desk) -> Plan:
            await _check_category(desk, category)
            known = await desk.read(lambda r: r.merchant(merchant_id))
            return merchants.create_merchant(
                merchant_id,
                number=desk.next_row("merchant"),
                name=name,
                category=category,
                known=known,
            )

        return await self._office.act(request, decide, response=pb.CreateMerchantResponse)

    async def GetMerchant(
        self, request: pb.GetMerchantRequest, context: Context
    ) -> pb.GetMerchantResponse:
        """Read a merchant; see the proto."""
        del context
        merchant_id = fields.short_name("merchant_id", request.merchant_id)
        check_own(merchant_id)
        merchant = await self._office.projector.look(lambda r: r.merchant(merchant_id))
        if merchant is None:
            raise missing("merchant")
        return pb.GetMerchantResponse(merchant=merchant_message(merchant))

    async def ListMerchants(
        self, request: pb.ListMerchantsRequest, context: Context
    ) -> pb.ListMerchantsResponse:
        """List merchants; see the proto."""
        del context
        category: int = request.category
        page = self._office.list_page(request)
        own = own_merchants()
        found, seq = await self._office.projector.read(
            lambda r: (
                merchants_of(r, own, category, after=page.place, limit=page.limit),
                r.position().applied_seq,
            )
        )
        merchants, token = page.cut(found, lambda m: m.merchant_id)
        return pb.ListMerchantsResponse(
            merchants=[merchant_message(m) for m in merchants],
            next_page_token=token,
            as_of_seq=seq,
        )

    async def UpdateMerchant(
        self, request: pb.UpdateMerchantRequest, context: Context
    ) -> pb.UpdateMerchantResponse:
        """Change a merchant; see the proto."""
        del context
        merchant_id = fields.short_name("merchant_id", request.merchant_id)
        name = (
            fields.text("name", request.name, shortest=1, longest=64)
            if request.HasField("name")
            else None
        )
        wanted = WantedMerchant(
            name=name,
            category=request.category or None,
            status=fields.optional_choice("status", request.status, ServiceStatus),
        )

        async def decide(desk: Desk) -> Plan:
            merchant = await _merchant(desk, merchant_id)
            check_etag(request.etag, changed_seq=merchant.changed_seq)
            if wanted.category is not None:
                await _check_category(desk, wanted.category)
            return merchants.update_merchant(merchant, wanted)

        return await self._office.act(request, decide, response=pb.UpdateMerchantResponse)

    async def CreateTerminal(
        self, request: pb.CreateTerminalRequest, context: Context
    ) -> pb.CreateTerminalResponse:
        """Create a terminal; see the proto."""
        del context
        terminal_id = fields.short_name("terminal_id", request.terminal_id)
        merchant_id = fields.short_name("merchant_id", request.merchant_id)
        maximum = fields.bounded("max_amount_fen", request.max_amount_fen, largest=AMOUNT_MAX)
        place = fields.text("place", request.place, longest=64)

        async def decide(desk: Desk) -> Plan:
            merchant = await _merchant(desk, merchant_id)
            known = await desk.read(lambda r: r.terminal(terminal_id))
            wanted = WantedTerminal(
                merchant=merchant, keypad=request.keypad, max_amount=maximum, place=place
            )
            return merchants.create_terminal(
                terminal_id, wanted, number=desk.next_row("terminal"), known=known
            )

        return await self._office.act(request, decide, response=pb.CreateTerminalResponse)

    async def GetTerminal(
        self, request: pb.GetTerminalRequest, context: Context
    ) -> pb.GetTerminalResponse:
        """Read a terminal; see the proto."""
        del context
        terminal_id = fields.short_name("terminal_id", request.terminal_id)
        signed = self._office.engine.head()["acknowledged_seq"]  # sign-ins are taps, not acts
        terminal = await self._office.projector.look(
            lambda r: r.terminal(terminal_id), after_seq=signed
        )
        if terminal is None:
            raise missing("terminal")
        check_own(terminal.merchant_id)
        return pb.GetTerminalResponse(
            terminal=terminal_message(terminal), batch_no=terminal.batch_no
        )

    async def ListTerminals(
        self, request: pb.ListTerminalsRequest, context: Context
    ) -> pb.ListTerminalsResponse:
        """List terminals; see the proto."""
        del context
        merchant_id = request.merchant_id
        if merchant_id:
            check_own(merchant_id)
        page = self._office.list_page(request)
        own = own_merchants()
        found, seq = await self._office.projector.read(
            lambda r: (
                terminals_of(r, own, merchant_id, after=page.place, limit=page.limit),
                r.position().applied_seq,
            )
        )
        terminals, token = page.cut(found, lambda t: t.terminal_id)
        return pb.ListTerminalsResponse(
            terminals=[terminal_message(t) for t in terminals],
            next_page_token=token,
            as_of_seq=seq,
        )

    async def UpdateTerminal(
        self, request: pb.UpdateTerminalRequest, context: Context
    ) -> pb.UpdateTerminalResponse:
        """Change a terminal; see the proto."""
        del context
        terminal_id = fields.short_name("terminal_id", request.terminal_id)
        maximum, place = None, None
        if request.merchant_id:
            fields.short_name("merchant_id", request.merchant_id)
        if request.HasField("max_amount_fen"):
            maximum = fields.bounded("max_amount_fen", request.max_amount_fen, largest=AMOUNT_MAX)
        if request.HasField("place"):
            place = fields.text("place", request.place, longest=64)
        status = fields.optional_choice("status", request.status, ServiceStatus)

        async def decide(desk: Desk) -> Plan:
            terminal = await desk.read(lambda r: r.terminal(terminal_id))
            if terminal is None:
                raise missing("terminal")
            check_etag(request.etag, changed_seq=terminal.changed_seq)
            wanted = WantedTerminal(
                merchant=await _merchant(desk, request.merchant_id)
                if request.merchant_id
                else None,
                keypad=request.keypad if request.HasField("keypad") else None,
                max_amount=maximum,
                place=place,
                status=status,
            )
            return merchants.update_terminal(terminal, wanted)

        return await self._office.act(request, decide, response=pb.UpdateTerminalResponse)

    async def GetMealPeriods(
        self, request: pb.GetMealPeriodsRequest, context: Context
    ) -> pb.GetMealPeriodsResponse:
        """Read the meal periods; see the proto."""
        del request, context
        meals, version = await self._office.projector.look(
            lambda r: (r.meals(), r.parameter_version("meals")), after_seq=self._head()
        )
        periods = [
            pb.MealPeriod(name=m.name, start_minute=m.start_minute, end_minute=m.end_minute)
            for m in meals
        ]
        return pb.GetMealPeriodsResponse(periods=periods, version=version)

    async def GetRules(self, request: pb.GetRulesRequest, context: Context) -> pb.GetRulesResponse:
        """Read the limit rules; see the proto."""
        del request, context
        rules = await self._office.projector.look(lambda r: r.rules(), after_seq=self._head())
        return pb.GetRulesResponse(rules=pb.Rules(**rules_fields(rules)))

    def _head(self) -> int:
        """What has taken effect by itself is no act: the registry must have seen it."""
        head: int = self._office.engine.head()["acknowledged_seq"]
        return head


def merchant_message(merchant: MerchantFacts) -> pb.Merchant:
    """Write a merchant."""
    return pb.Merchant(
        merchant_id=merchant.merchant_id,
        number=merchant.number,
        name=merchant.name,
        category=pb.MerchantCategory.ValueType(merchant.category),
        status=pb.ServiceStatus.ValueType(merchant.status),
        etag=format_etag(merchant.changed_seq),
    )


def terminal_message(terminal: TerminalFacts) -> pb.Terminal:
    """Write a terminal."""
    return pb.Terminal(
        terminal_id=terminal.terminal_id,
        number=terminal.number,
        merchant_id=terminal.merchant_id,
        keypad=bool(terminal.flags & KEYPAD),
        max_amount_fen=terminal.max_amount,
        status=pb.ServiceStatus.ValueType(terminal.status),
        place=terminal.place,
        etag=format_etag(terminal.changed_seq),
    )


async def _check_category(desk: Desk, number: int) -> None:
    """Refuse a category that is not in force."""
    if number not in categories_of(await desk.parameters()):
        raise invalid("category", "a number of ListCategories")


async def _merchant(desk: Desk, merchant_id: str) -> MerchantFacts:
    merchant = await desk.read(lambda r: r.merchant(merchant_id))
    if merchant is None:
        raise missing("merchant")
    return merchant
