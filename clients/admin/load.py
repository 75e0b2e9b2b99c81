"""Loads a campus from files through the public API, row by row.

Every row ends as CREATED, UNCHANGED or FAILED with its line and the reason; a bad row never stops
the others. What is there already is compared, not written again, and an opening top-up carries its
account's number as its receipt, which the server credits once for ever: so loading twice changes
nothing, and a load that was cut short is completed by the next.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc
import grpc.aio

from campuscard.v1 import account_service_pb2 as accounts_pb
from campuscard.v1 import account_service_pb2_grpc as accounts_grpc
from campuscard.v1 import merchant_service_pb2 as merchants_pb
from campuscard.v1 import merchant_service_pb2_grpc as merchants_grpc
from campuscard.v1 import parameter_service_pb2 as parameters_pb
from campuscard.v1 import parameter_service_pb2_grpc as parameters_grpc
from campuscard.v1 import terminal_service_pb2 as terminal_pb
from clients import campus
from clients.admin.calls import PAGE
from clients.admin.rules import wanted_values
from clients.campus import Card, Fault, MerchantRow, Person, Source, TerminalRow
from clients.terminal.backoff import Backoff
from clients.terminal.link import details
from core.catalogue import BY_NAME
from core.ids import make_request_id

AT_ONCE: Final = 128  # calls under way
TRIES: Final = 12
CALL_S: Final = 20.0
RULES_FILE: Final = "rules.toml"
REASON: Final = "rules.toml"

Progress = Callable[[str, int, int], None]
Row = TypeVar("Row", Person, MerchantRow, TerminalRow)
Listed = TypeVar("Listed")


class Outcome(StrEnum):
    """What became of a row."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """One row's end; ``reason`` only for failures."""

    source: Source
    key: str
    outcome: Outcome
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Report:
    """All rows' ends; rules changed, and proposed but not approved yet."""

    results: list[RowResult] = field(default_factory=list)
    rules_changed: int = 0
    rules_waiting: int = 0
    seconds: float = 0.0

    @property
    def failures(self) -> list[RowResult]:
        """Rows to correct, in order of file and line."""
        failed = (result for result in self.results if result.outcome is Outcome.FAILED)
        return sorted(failed, key=lambda result: (result.source.file, result.source.line))

    def counts(self) -> dict[str, Counter[str]]:
        """File to outcome to number of rows."""
        found: dict[str, Counter[str]] = {}
        for result in self.results:
            found.setdefault(result.source.file, Counter())[result.outcome.value] += 1
        return found


class _RowError(Exception):
    """This row cannot be loaded; the text says why."""


class Loader:
    """One load over one channel."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        progress: Progress,
        checker: grpc.aio.Channel | None = None,
    ) -> None:
        """``progress`` is told a file's name, rows done and rows in all.

        ``checker`` is the channel of another person, who approves the rules; None: they wait.
        """
        self._accounts = accounts_grpc.AccountServiceStub(channel)
        self._merchants = merchants_grpc.MerchantServiceStub(channel)
        self._parameters = parameters_grpc.ParameterServiceStub(channel)
        self._checker = None if checker is None else parameters_grpc.ParameterServiceStub(checker)
        self._progress = progress
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._report = Report()

    async def load(self, directory: Path) -> Report:
        """Load every file of a directory that is there.

        Raises:
            FileFormatError: a file cannot be used at all.
            grpc.aio.AioRpcError: the server went away.
        """
        started_s = time.monotonic()
        if (directory / RULES_FILE).exists():
            await self._load_rules(campus.read_rules(directory / RULES_FILE))
        if (directory / "merchants.csv").exists():
            await self._load_merchants(campus.read_merchants(directory / "merchants.csv"))
        if (directory / "terminals.csv").exists():
            await self._load_terminals(campus.read_terminals(directory / "terminals.csv"))
        await self._load_people(directory)
        self._report.seconds = time.monotonic() - started_s
        return self._report

    # -- files ------------------------------------------------------------------------------

    async def _load_rules(self, wanted: Mapping[str, Any]) -> None:
        """Propose what the server has otherwise; what another change must precede comes again."""
        there = await self._call(
            self._parameters.ListParameters, parameters_pb.ListParametersRequest()
        )
        values = {parameter.key: parameter.value for parameter in there.parameters}
        values["meals"] = there.meals
        request = parameters_pb.ListProposalsRequest(state=parameters_pb.PROPOSAL_STATE_OPEN)
        waiting = await self._all(
            self._parameters.ListProposals, request, lambda page: page.proposals
        )
        proposed = {(proposal.key, proposal.value): proposal.proposal for proposal in waiting}
        left = [pair for pair in wanted_values(wanted).items() if values.get(pair[0]) != pair[1]]
        for last in (False, True):
            tried, left = left, []
            for key, value in tried:
                if not await self._change(key, value, proposed.get((key, value), 0), last=last):
                    left.append((key, value))

    async def _change(self, key: str, value: str, proposal: int, *, last: bool) -> bool:
        """Propose one value and have it approved; False: other changes must come first."""
        try:
            if not proposal:
                request = parameters_pb.ProposeChangeRequest(key=key, value=value, reason=REASON)
                proposal = (await self._act(self._parameters.ProposeChange, request)).proposal
            if self._checker is None:
                self._report.rules_waiting += 1
                return True
            approval = parameters_pb.ApproveChangeRequest(proposal=proposal, reason=REASON)
            await self._act(self._checker.ApproveChange, approval)
            self._report.rules_changed += 1
        except grpc.aio.AioRpcError as error:
            if not details(error).reason:
                raise  # not about this value: the server is gone or broken
            if details(error).reason == "PARAMETER_ORDER" and not last:
                return False
            source = Source(file=RULES_FILE, line=0)
            self._fail(source, key, f"{error.details()} ({details(error).reason})")
        return True

    async def _load_merchants(self, table: campus.Table[MerchantRow]) -> None:
        merchants: list[merchants_pb.Merchant] = await self._all(
            self._merchants.ListMerchants,
            merchants_pb.ListMerchantsRequest(),
            lambda page: page.merchants,
        )
        known = {merchant.merchant_id: merchant for merchant in merchants}
        listed = await self._call(
            self._parameters.ListCategories, parameters_pb.ListCategoriesRequest()
        )
        categories = {category.code: category.number for category in listed.categories}

        async def one(row: MerchantRow) -> Outcome:
            category = categories.get(row.category)
            if category is None:
                raise _RowError(f"类别: {row.category!r} is none of {', '.join(categories)}")
            there = known.get(row.merchant_id)
            if there is not None:
                return _compare(
                    {"名称": (there.name, row.name), "类别": (there.category, category)}
                )
            request = merchants_pb.CreateMerchantRequest(merchant_id=row.merchant_id, name=row.name)
            request.category = category
            await self._act(self._merchants.CreateMerchant, request)
            return Outcome.CREATED

        await self._rows(table.rows, table.faults, lambda row: row.merchant_id, one)

    async def _load_terminals(self, table: campus.Table[TerminalRow]) -> None:
        terminals: list[merchants_pb.Terminal] = await self._all(
            self._merchants.ListTerminals,
            merchants_pb.ListTerminalsRequest(),
            lambda page: page.terminals,
        )
        known = {terminal.terminal_id: terminal for terminal in terminals}

        async def one(row: TerminalRow) -> Outcome:
            there = known.get(row.terminal_id)
            if there is not None:
                return _compare(
                    {
                        "商户号": (there.merchant_id, row.merchant_id),
                        "密码键盘": (there.keypad, row.keypad),
                        "单笔上限": (there.max_amount_fen, row.max_amount_fen),
                    }
                )
            request = merchants_pb.CreateTerminalRequest(
                terminal_id=row.terminal_id,
                merchant_id=row.merchant_id,
                keypad=row.keypad,
                max_amount_fen=row.max_amount_fen,
                place=row.place,
            )
            await self._act(self._merchants.CreateTerminal, request)
            return Outcome.CREATED

        await self._rows(table.rows, table.faults, lambda row: row.terminal_id, one)

    async def _load_people(self, directory: Path) -> None:
        paths = [directory / name for name in ("roster.csv", "staff.csv")]
        tables = [campus.read_roster(path) for path in paths if path.exists()]
        cards: dict[str, Card] = {}
        if (directory / "cards.csv").exists():
            cards = self._cards(campus.read_cards(directory / "cards.csv"))
        accounts: list[accounts_pb.Account] = await self._all(
            self._accounts.ListAccounts,
            accounts_pb.ListAccountsRequest(),
            lambda page: page.accounts,
        )
        known = {account.account_no: account for account in accounts}

        async def one(row: Person) -> Outcome:
            return await self._person(row, cards.get(row.account_no), known.get(row.account_no))

        for table in tables:
            await self._rows(table.rows, table.faults, lambda row: row.account_no, one)
        people = {row.account_no for table in tables for row in table.rows} | set(known)
        for account_no, card in cards.items():
            if account_no not in people:
                self._fail(card.source, account_no, "学工号 is in no roster")

    def _cards(self, table: campus.Table[Card]) -> dict[str, Card]:
        self._faults(table.faults)
        cards: dict[str, Card] = {}
        for card in table.rows:
            first = cards.setdefault(card.account_no, card)
            if first is not card:
                self._fail(card.source, card.account_no, f"also in line {first.source.line}")
        return cards

    async def _person(
        self, row: Person, card: Card | None, there: accounts_pb.Account | None
    ) -> Outcome:
        outcome = Outcome.UNCHANGED
        if there is not None:
            _compare({"姓名": (there.name, row.name), "班级/部门": (there.class_name, row.group)})
        else:
            kind = accounts_pb.HOLDER_KIND_STAFF if row.staff else accounts_pb.HOLDER_KIND_STUDENT
            request = accounts_pb.OpenAccountRequest(
                account_no=row.account_no,
                kind=kind,
                name=row.name,
                class_name=row.group,
                id_number=row.id_number,
            )
            if card is not None:
                request.medium.type = terminal_pb.MEDIUM_TYPE_RFID_CARD
                request.medium.token = card.uid
            await self._act(self._accounts.OpenAccount, request)
            outcome = Outcome.CREATED
        if card is not None and card.opening_fen:
            await self._open_with(card)
        return outcome

    async def _open_with(self, card: Card) -> None:
        """Credit the opening amount under a receipt number that is the account's own."""
        request = accounts_pb.TopUpRequest(
            account_no=card.account_no,
            source=accounts_pb.TOP_UP_SOURCE_CASH,
            channel_txn_id=f"OPENING-{card.account_no}",
            amount_fen=card.opening_fen,
        )
        try:
            await self._act(self._accounts.TopUp, request)
        except grpc.aio.AioRpcError as error:
            if details(error).reason != "CHANNEL_TXN_REUSED":
                raise

    # -- rows -------------------------------------------------------------------------------

    async def _rows(
        self,
        rows: Sequence[Row],
        faults: Iterable[Fault],
        key: Callable[[Row], str],
        load: Callable[[Row], Awaitable[Outcome]],
    ) -> None:
        """Load the rows of one file, many at once; a key that comes twice is taken once."""
        self._faults(faults)
        first: dict[str, int] = {}
        work = []
        for row in rows:
            line = first.setdefault(key(row), row.source.line)
            if line == row.source.line:
                work.append(row)
            else:
                self._fail(row.source, key(row), f"also in line {line}")
        done = 0

        async def one(row: Row) -> None:
            nonlocal done
            async with self._gate:
                await self._row(row, key(row), load)
            done += 1
            self._progress(row.source.file, done, len(work))

        try:
            async with asyncio.TaskGroup() as group:
                for row in work:
                    group.create_task(one(row))
        except* grpc.aio.AioRpcError as errors:
            raise errors.exceptions[0] from None

    async def _row(self, row: Row, key: str, load: Callable[[Row], Awaitable[Outcome]]) -> None:
        try:
            outcome = await load(row)
        except _RowError as error:
            self._fail(row.source, key, str(error))
        except grpc.aio.AioRpcError as error:
            if not details(error).reason:
                raise  # not about this row: the server is gone or broken
            self._fail(row.source, key, f"{error.details()} ({details(error).reason})")
        else:
            self._report.results.append(RowResult(source=row.source, key=key, outcome=outcome))

    def _fail(self, source: Source, key: str, reason: str) -> None:
        self._report.results.append(
            RowResult(source=source, key=key, outcome=Outcome.FAILED, reason=reason)
        )

    def _faults(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self._fail(fault.source, fault.key, fault.reason)

    # -- calls ------------------------------------------------------------------------------

    async def _act(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        """Call an act under one new request_id, again while the server says it may help."""
        request.request_id = make_request_id(time.time_ns() // 1_000_000, os.urandom(10))
        return await self._call(method, request)

    async def _call(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        pause = Backoff(first_s=0.05, most_s=2.0)
        for attempt in range(1, TRIES + 1):
            try:
                return await method(request, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                found = details(error)
                known = BY_NAME.get(found.reason)
                again = known.retryable if known is not None else _is_torn(error)
                if not again or attempt == TRIES:
                    raise
                await asyncio.sleep(pause.pause_s(at_least_s=found.wait_s or 0.0))
        raise AssertionError  # the loop returns or raises

    async def _all(
        self,
        method: Callable[..., Awaitable[Any]],
        request: Any,
        rows: Callable[[Any], Iterable[Listed]],
    ) -> list[Listed]:
        """Call a list method page by page; ``rows`` takes them out of an answer."""
        found: list[Listed] = []
        request.page_size = PAGE
        while True:
            page = await self._call(method, request)
            found += rows(page)
            request.page_token = page.next_page_token
            if not request.page_token:
                return found


def _compare(fields: Mapping[str, tuple[object, object]]) -> Outcome:
    """Say UNCHANGED, or name the first field in which the server's row is another one."""
    for name, (there, wanted) in fields.items():
        if there != wanted:
            raise _RowError(f"exists already with {name} {there}, not {wanted}")
    return Outcome.UNCHANGED


def _is_torn(error: grpc.aio.AioRpcError) -> bool:
    """A connection that broke: the request_id makes it safe to send again."""
    return error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
