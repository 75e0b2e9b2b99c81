"""Many terminals at lunch: open-loop traffic through the SDK, and what came of it.

Arrivals keep their times whether or not earlier ones have been answered, and waiting counts from
the arrival, so a server that stalls is seen to stall. Holders whose wallet is empty top up with
their phone, lost cards are found again: a simulation can go on for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final

import grpc.aio

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import account_service_pb2_grpc as accounts_grpc
from campuscard.v1 import card_office_service_pb2 as cards_pb
from campuscard.v1 import card_office_service_pb2_grpc as cards_grpc
from campuscard.v1 import terminal_service_pb2 as pb
from clients.terminal.errors import TerminalError
from clients.terminal.meter import Meter
from clients.terminal.receipts import Receipt, Result
from clients.terminal.store import Store
from clients.terminal.terminal import Terminal
from clients.terminal.traffic import Arrival, Campus, Holder, Tap, Traffic
from core.ids import make_request_id

WAITING_MAX: Final = 5_000  # taps under way or in line; more are turned away and counted
SIGN_INS_AT_ONCE: Final = 32
CALL_S: Final = 5.0
LOST_S: Final = 3.0  # a lost card is found again after
SETTLE_S: Final = 15.0  # how long the end waits for reversals


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to simulate. ``rate`` 0 goes as fast as possible; ``duration_s`` 0 goes on for ever."""

    rate: float = 100.0
    duration_s: float = 0.0
    seed: int = 1
    label: str = field(default_factory=lambda: f"{time.time_ns() // 1_000_000:x}")


class Simulation:
    """One run. ``stop`` ends it early; ``meter`` may be read at any time."""

    def __init__(
        self,
        campus: Campus,
        *,
        plan: Plan,
        channel: grpc.aio.Channel,
        office: grpc.aio.Channel,
        store: Store,
        on_receipt: Callable[[Receipt], None] | None = None,
    ) -> None:
        """Prepare. Terminals call over ``channel``; top-ups and losses go over ``office``, which
        sends a token; ``on_receipt`` is told every answer a customer got.
        """
        self._on_receipt = on_receipt
        self._campus = campus
        self._plan = plan
        self._traffic = Traffic(campus, seed=plan.seed, rate=plan.rate)
        self._people = random.Random(plan.seed + 1)
        self._accounts = accounts_grpc.AccountServiceStub(office)
        self._cards = cards_grpc.CardOfficeServiceStub(office)
        self._terminals = {
            terminal_id: Terminal(terminal_id, channel=channel, store=store)
            for terminal_id in campus.terminal_ids
        }
        self._lines = {terminal_id: asyncio.Lock() for terminal_id in self._terminals}
        # A card counter never goes back, also not over two simulations: count on from the clock.
        self._counter_base = int(time.time()) - 1_700_000_000
        self._counters: dict[str, int] = {}
        self._topping_up: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._top_up_number = 0
        self.stop = asyncio.Event()
        self.meter = Meter(started_s=asyncio.get_running_loop().time())

    @property
    def retries(self) -> tuple[int, int, int]:
        """Questions asked, payments given up, reversals acknowledged, over all terminals."""
        counters = [terminal.counters for terminal in self._terminals.values()]
        return (
            sum(counter.questions for counter in counters),
            sum(counter.given_up for counter in counters),
            sum(counter.reversals for counter in counters),
        )

    @property
    def background(self) -> int:
        """Reversals that are being repeated."""
        return sum(terminal.background for terminal in self._terminals.values())

    async def run(self) -> Meter:
        """Sign all terminals in, let people tap until the end, and settle what is open."""
        async with contextlib.AsyncExitStack() as stack:
            for terminal in self._terminals.values():
                await stack.enter_async_context(terminal)
            await self._sign_in()
            self.meter.started_s = asyncio.get_running_loop().time()
            if self._plan.duration_s:
                asyncio.get_running_loop().call_later(self._plan.duration_s, self.stop.set)
            await (self._arrivals() if self._plan.rate else self._flat_out())
            ended_s = asyncio.get_running_loop().time()
            await self._settle()
            self.meter.waiting = 0
            self.meter.ended_s = ended_s
        return self.meter

    async def _sign_in(self) -> None:
        gate = asyncio.Semaphore(SIGN_INS_AT_ONCE)

        async def one(terminal: Terminal) -> None:
            async with gate:
                try:
                    await terminal.sign_in()
                except TerminalError as error:
                    self.meter.failed(terminal.terminal_id, str(error))

        await asyncio.gather(*(one(terminal) for terminal in self._terminals.values()))

    async def _arrivals(self) -> None:
        """Open loop: start each tap when its time has come."""
        loop = asyncio.get_running_loop()
        while not self.stop.is_set():
            arrival = next(self._traffic)
            due_s = self.meter.started_s + arrival.at_s
            delay_s = due_s - loop.time()
            if delay_s > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay_s):
                        await self.stop.wait()
                    return
            if self.meter.waiting >= WAITING_MAX:
                self.meter.shed += 1
            else:
                self._begin(arrival, due_s)

    async def _flat_out(self) -> None:
        """Closed loop: every terminal is busy all the time."""
        loop = asyncio.get_running_loop()
        while not self.stop.is_set():
            while self.meter.waiting < len(self._terminals) and not self.stop.is_set():
                self._begin(next(self._traffic), loop.time())
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _settle(self) -> None:
        async def everything() -> None:
            while self._tasks:
                await asyncio.wait(set(self._tasks))
            for terminal in self._terminals.values():
                await terminal.settle()

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                await everything()
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- one tap ----------------------------------------------------------------------------

    def _begin(self, arrival: Arrival, due_s: float) -> None:
        self.meter.kinds[arrival.tap.value] += 1
        self.meter.waiting += 1
        self._spawn(self._tap(arrival, due_s))

    async def _tap(self, arrival: Arrival, due_s: float) -> None:
        terminal = self._terminals[arrival.terminal_id]
        try:
            async with self._lines[arrival.terminal_id]:
                if not self._plan.rate:  # nobody stood in line: the next customer just came
                    due_s = asyncio.get_running_loop().time()
                await self._serve(terminal, arrival, due_s)
        except TerminalError as error:
            self.meter.failed(arrival.terminal_id, str(error))
        finally:
            self.meter.waiting -= 1

    async def _serve(self, terminal: Terminal, arrival: Arrival, due_s: float) -> None:
        match arrival.tap:
            case Tap.HEARTBEAT:
                await terminal.heartbeat()
            case Tap.LOSS:
                self._spawn(self._lose(arrival.holder))
            case Tap.WATER:
                self._answered(await self._water(terminal, arrival), arrival, due_s)
            case Tap.BATH:
                medium = _card(arrival.holder)
                hold = await terminal.hold(medium, arrival.amount_fen)
                self._answered(hold, arrival, due_s)
                if hold.deliver:
                    used_fen = self._people.randrange(150, arrival.amount_fen)
                    await terminal.capture(hold, used_fen)
            case _:
                receipt = await self._purchase(terminal, arrival)
                self._answered(receipt, arrival, due_s)
                if arrival.tap is Tap.VOID and receipt.deliver:
                    await terminal.void(receipt)
                elif arrival.tap is Tap.TWICE and receipt.final:
                    self.meter.repeated(receipt, await terminal.repeat(receipt))

    async def _purchase(self, terminal: Terminal, arrival: Arrival) -> Receipt:
        holder = arrival.holder

        async def keypad(_: Receipt) -> str | None:
            chance = self._people.random()
            if chance < 0.02:
                return None  # walks away
            return "000000" if chance < 0.04 else holder.pin  # mistypes

        return await terminal.pay(_card(holder), arrival.amount_fen, ask_pin=keypad)

    async def _water(self, terminal: Terminal, arrival: Arrival) -> Receipt:
        account_no = arrival.holder.account_no
        counter = self._counters.get(account_no, self._counter_base)

        async def write_card(_: Receipt) -> bool | None:
            chance = self._people.random()
            written = None if chance < 0.03 else chance >= 0.06
            # Of those pulled away, half were written: the next tap's counter tells.
            if written or (written is None and self._people.random() < 0.5):
                self._counters[account_no] = counter + 1
            return written

        return await terminal.transfer_water(_card(arrival.holder), counter, write_card=write_card)

    def _answered(self, receipt: Receipt, arrival: Arrival, due_s: float) -> None:
        if self._on_receipt is not None:
            self._on_receipt(receipt)
        now_s = asyncio.get_running_loop().time()
        self.meter.answered(receipt, waited_us=int((now_s - due_s) * 1e6), now_s=now_s)
        if receipt.result is Result.DECLINED and receipt.reason == "INSUFFICIENT":
            self._spawn(self._top_up(arrival.holder))

    # -- what holders do with their phones ----------------------------------------------------

    async def _top_up(self, holder: Holder) -> None:
        if holder.account_no in self._topping_up:
            return
        self._topping_up.add(holder.account_no)
        self._top_up_number += 1
        request = accounts_pb.TopUpRequest(
            request_id=_request_id(),
            account_no=holder.account_no,
            source=accounts_pb.TOP_UP_SOURCE_WECHAT,
            channel_txn_id=f"SIM-{self._plan.label}-{self._top_up_number}",
            amount_fen=self._people.randrange(10, 31) * 1000,
        )
        try:
            await self._accounts.TopUp(request, timeout=CALL_S)
            self.meter.top_ups += 1
        except grpc.aio.AioRpcError as error:
            self.meter.trouble = f"top-up: {error.code().name}"
        finally:
            self._topping_up.discard(holder.account_no)

    async def _lose(self, holder: Holder) -> None:
        """Lose a card and find it again; outside the counter's hours a supervisor lets it pass."""
        account_no = holder.account_no
        try:
            lost = cards_pb.ReportLossRequest(request_id=_request_id(), account_no=account_no)
            await self._cards.ReportLoss(lost, timeout=CALL_S)
            self.meter.losses += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOST_S):
                    await self.stop.wait()
            leave = cards_pb.OverrideHoursRequest(
                request_id=_request_id(),
                account_no=account_no,
                operation=cards_pb.COUNTER_OPERATION_UNLOSS,
                reason="simulation",
            )
            await self._cards.OverrideHours(leave, timeout=CALL_S)
            found = cards_pb.UnlossRequest(
                request_id=_request_id(), account_no=account_no, medium=_card(holder)
            )
            await self._cards.Unloss(found, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            self.meter.trouble = f"loss report: {error.code().name}"

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _card(holder: Holder) -> pb.Medium:
    return pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=holder.uid)


def _request_id() -> str:
    return make_request_id(time.time_ns() // 1_000_000, os.urandom(10))
