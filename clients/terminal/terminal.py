"""A payment terminal in a few lines.

::

    from pathlib import Path
    import asyncio
    from clients.terminal import SqliteStore, Terminal, card, connect, now_us


    async def main() -> None:
        store = SqliteStore(Path("pos-07.db"), now_us=now_us())
        async with connect("127.0.0.1:50052") as channel:
            async with Terminal("POS-07", channel=channel, store=store) as terminal:
                receipt = await terminal.pay(card("04A1B2C3"), 1250, ask_pin=keypad)
                if receipt.deliver:
                    print(receipt.auth_code, receipt.balance_fen)
                else:
                    print(receipt.result, receipt.reason)
        store.close()


    asyncio.run(main())

Deliver goods only when ``receipt.deliver`` is true. Whatever happens to the network, the server or
this process, a holder is charged at most once for a call of ``pay``, and not at all when it ended
in anything but APPROVED.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc.aio
from google.protobuf.message import Message

from campuscard.v1 import terminal_service_pb2 as pb
from clients.terminal.entries import Entry, Event, Key, Kind
from clients.terminal.errors import CallRejectedError, ServerUnreachableError
from clients.terminal.keys import Keys
from clients.terminal.link import Decided, Link, NeverDecided, NotYet, Rejected, Request, Unknown
from clients.terminal.passwords import change_pin
from clients.terminal.receipts import Receipt, Result
from clients.terminal.settings import Counters, Settings
from clients.terminal.settler import Settled, Settler, now_us
from clients.terminal.store import Store

AskPin: TypeAlias = Callable[[Receipt], Awaitable[str | None]]
WriteCard: TypeAlias = Callable[[Receipt], Awaitable[bool | None]]


class Terminal:
    """One terminal: its keys, its unfinished business, its calls."""

    def __init__(
        self,
        terminal_id: str,
        *,
        channel: grpc.aio.Channel,
        store: Store,
        settings: Settings | None = None,
        on_settled: Callable[[Receipt], None] | None = None,
    ) -> None:
        """Prepare a terminal; enter it with ``async with`` before use.

        Args:
            terminal_id: 1 to 16 ASCII characters, as registered.
            channel: from ``connect``; terminals may share one.
            store: where keys are saved before the first send; terminals may share one.
            settings: patience and pauses.
            on_settled: called when something repeated in the background has come to an end.
        """
        self.terminal_id = terminal_id
        self.counters = Counters()
        self._settings = settings if settings is not None else Settings()
        self._link = Link(channel)
        self._store = store
        self._keys = Keys(
            terminal_id,
            link=self._link,
            store=store,
            settings=self._settings,
            counters=self.counters,
        )
        self._settler = Settler(
            link=self._link,
            store=store,
            keys=self._keys,
            settings=self._settings,
            counters=self.counters,
            on_settled=on_settled,
        )

    async def __aenter__(self) -> Self:
        await self._settler.recover()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._settler.close()

    @property
    def batch_no(self) -> int:
        """The present batch, 0 when signed off."""
        return self._keys.batch_no

    @property
    def background(self) -> int:
        """Reversals and reports that are being repeated without anybody waiting."""
        return self._settler.background

    async def settle(self) -> None:
        """Wait until everything repeated in the background has been acknowledged."""
        await self._settler.wait()

    # -- batches ----------------------------------------------------------------------------

    async def sign_in(self) -> int:
        """Open a new batch and return its number. ``pay`` does it by itself when needed."""
        return await self._keys.sign_in()

    async def sign_off(self) -> None:
        """Close the batch, if there is one."""
        batch_no = self._keys.batch_no
        if batch_no:
            request = pb.SignOffRequest(terminal_id=self.terminal_id, batch_no=batch_no)
            await self._read("SignOff", request)
            self._keys.lost(batch_no)

    async def heartbeat(self) -> pb.HeartbeatResponse:
        """Keep the link alive; tells the server's time and whether this clock is off."""
        request = pb.HeartbeatRequest(terminal_id=self.terminal_id, terminal_time_us=now_us())
        response: pb.HeartbeatResponse = await self._read("Heartbeat", request)
        return response

    # -- money ------------------------------------------------------------------------------

    async def pay(
        self,
        medium: pb.Medium,
        amount_fen: int,
        *,
        pin: str = "",
        ask_pin: AskPin | None = None,
        partial_ok: bool = False,
    ) -> Receipt:
        """Charge a medium.

        Args:
            medium: what was presented at the reader, see ``card``.
            amount_fen: 1 to 100,000,000.
            pin: the transaction password, where it was entered beforehand.
            ask_pin: called when the server wants the password; returns six digits, or None when
                the customer does not enter it. The same key is then sent again.
            partial_ok: less than asked may be approved, and delivered.

        Returns:
            The receipt. A wrong password is a decline: the next try is a new call.

        Raises:
            StoreFailedError: the key could not be saved; nothing was sent.
            SignInRefusedError, ServerUnreachableError: no batch could be opened; nothing was sent.
        """

        def request(key: Key) -> Request:
            return pb.AuthorizeRequest(
                terminal_id=key.terminal_id,
                batch_no=key.batch_no,
                terminal_seq=key.terminal_seq,
                medium=medium,
                amount_fen=amount_fen,
                partial_ok=partial_ok,
                terminal_time_us=now_us(),
            )

        entry = await self._save(Kind.AUTHORIZE, request, amount_fen=amount_fen)
        return await self._decide(entry, pin=pin, ask_pin=ask_pin)

    async def hold(
        self,
        medium: pb.Medium,
        amount_fen: int,
        *,
        pin: str = "",
        ask_pin: AskPin | None = None,
        partial_ok: bool = False,
    ) -> Receipt:
        """Reserve an amount, for ``capture`` or ``release``. Arguments as for ``pay``."""

        def request(key: Key) -> Request:
            return pb.HoldRequest(
                terminal_id=key.terminal_id,
                batch_no=key.batch_no,
                terminal_seq=key.terminal_seq,
                medium=medium,
                amount_fen=amount_fen,
                partial_ok=partial_ok,
            )

        entry = await self._save(Kind.HOLD, request, amount_fen=amount_fen)
        return await self._decide(entry, pin=pin, ask_pin=ask_pin)

    async def capture(self, hold: Receipt, amount_fen: int) -> Receipt:
        """Post a hold: what was used, at most what was reserved; the rest is freed."""
        return await self._report(
            Kind.CAPTURE,
            lambda key: pb.CaptureRequest(
                terminal_id=key.terminal_id,
                batch_no=key.batch_no,
                terminal_seq=key.terminal_seq,
                hold=_original(hold.key),
                amount_fen=amount_fen,
            ),
            amount_fen=amount_fen,
        )

    async def release(self, hold: Receipt) -> Receipt:
        """Free a hold without posting."""
        return await self._report(
            Kind.RELEASE,
            lambda key: pb.ReleaseRequest(
                terminal_id=key.terminal_id,
                batch_no=key.batch_no,
                terminal_seq=key.terminal_seq,
                hold=_original(hold.key),
            ),
            amount_fen=0,
        )

    async def transfer_water(
        self, medium: pb.Medium, card_counter: int, *, write_card: WriteCard
    ) -> Receipt:
        """Move one tap's amount from the online wallet to the water purse on the card.

        Args:
            medium: the card.
            card_counter: its counter as read before the write. It resolves a torn transfer.
            write_card: writes the purse; True: written, False: certainly not written, None: the
                card was pulled away, nobody knows. Then the transfer stays open, and the next
                tap's counter tells.

        Returns:
            The end of the transfer: of the capture, of the release, or QUEUED when open.
        """

        def request(key: Key) -> Request:
            return pb.HoldRequest(
                terminal_id=key.terminal_id,
                batch_no=key.batch_no,
                terminal_seq=key.terminal_seq,
                medium=medium,
                water_transfer=True,
                card_counter=card_counter,
            )

        entry = await self._save(Kind.HOLD, request, amount_fen=0)
        hold = await self._decide(entry, pin="", ask_pin=None)
        if not hold.deliver:
            return hold
        written = await write_card(hold)
        if written is None:
            return Receipt(
                key=hold.key,
                kind=Kind.HOLD,
                result=Result.QUEUED,
                reason="CARD_PULLED",
                decision=hold.decision,
                expire_time_s=hold.expire_time_s,
            )
        if written:
            return await self.capture(hold, hold.approved_fen)
        return await self.release(hold)

    async def void(self, sale: Receipt) -> Receipt:
        """Take back a sale the merchant does not want, whole."""
        amount_fen = sale.approved_fen
        return await self._report(
            Kind.REVERSE,
            lambda key: pb.ReverseRequest(
                terminal_id=key.terminal_id,
                batch_no=key.batch_no,
                terminal_seq=key.terminal_seq,
                original=_original(sale.key),
                amount_fen=amount_fen,
                void_sale=True,
            ),
            amount_fen=amount_fen,
            original=sale.key,
        )

    async def refund(self, sale: Receipt, amount_fen: int) -> Receipt:
        """Give back a part or all of a sale."""
        return await self._report(
            Kind.REFUND,
            lambda key: pb.RefundRequest(
                terminal_id=key.terminal_id,
                batch_no=key.batch_no,
                terminal_seq=key.terminal_seq,
                original=_original(sale.key),
                amount_fen=amount_fen,
            ),
            amount_fen=amount_fen,
        )

    async def repeat(self, receipt: Receipt) -> Receipt:
        """Send the saved request of a receipt again: the answer is the first one, once more.

        For a slip that has to be printed again, and to see for oneself that nothing is charged.
        """
        entry = await self._store.find(receipt.key)
        if entry is None:
            raise CallRejectedError("TRANSACTION_NOT_FOUND", str(receipt.key))
        reply = await self._link.send(entry, pin="", timeout_s=self._settings.attempt_s)
        match reply:
            case Decided(decision=decision):
                self.counters.replays += decision.replayed
                return replace(receipt, reason=decision.reason, decision=decision)
            case Rejected(reason=reason, detail=detail):
                raise CallRejectedError(reason, detail)
            case _:
                raise ServerUnreachableError(f"no answer: {reply}")

    # -- the holder's password ----------------------------------------------------------------

    async def change_pin(
        self, medium: pb.Medium, old: str, new: str, confirm: str
    ) -> pb.ChangePinResponse:
        """Change the transaction password of a medium's account. Signs in when needed.

        Args:
            medium: what was presented.
            old: the present password, six digits.
            new: the wanted one.
            confirm: the wanted one, entered again.

        Returns:
            Where it stands in the journal; ``weak_rule`` when the password is weak and the school
            only warns.

        Raises:
            CallRejectedError: refused, nothing was changed: PASSWORD_REFUSED (the present one is
                wrong), PASSWORD_MISMATCH, WEAK_PASSWORD, CARD_STATE, CHANNEL_NOT_ALLOWED and others.
            ServerUnreachableError: no answer in time; try the new one first next time.
            SignInRefusedError: no batch could be opened; nothing was sent.
        """
        if not self._keys.batch_no:
            await self._keys.sign_in()
        return await change_pin(
            self.terminal_id,
            medium,
            old=old,
            new=new,
            confirm=confirm,
            link=self._link,
            settings=self._settings,
        )

    # -- reads ------------------------------------------------------------------------------

    async def balance(self, medium: pb.Medium) -> pb.GetBalanceResponse:
        """Read the wallets behind a medium."""
        request = pb.GetBalanceRequest(terminal_id=self.terminal_id, medium=medium)
        response: pb.GetBalanceResponse = await self._read("GetBalance", request)
        return response

    async def find(self, key: Key) -> pb.Decision | None:
        """Ask what the server decided for a key; None: never decided."""
        answer = await self._link.ask(key, timeout_s=self._settings.read_s)
        match answer:
            case Decided(decision=decision):
                return decision
            case NeverDecided():
                return None
            case Rejected(reason=reason, detail=detail):
                raise CallRejectedError(reason, detail)
            case _:
                raise ServerUnreachableError(f"no answer to GetTransaction: {answer}")

    # -- inside -----------------------------------------------------------------------------

    async def _save(
        self,
        kind: Kind,
        request: Callable[[Key], Request],
        *,
        amount_fen: int,
        original: Key | None = None,
    ) -> Entry:
        key = await self._keys.next()
        entry = Entry(
            key=key,
            kind=kind,
            body=request(key).SerializeToString(),
            amount_fen=amount_fen,
            saved_us=now_us(),
            original=original,
        )
        await self._store.save(entry)
        return entry

    async def _report(
        self,
        kind: Kind,
        request: Callable[[Key], Request],
        *,
        amount_fen: int,
        original: Key | None = None,
    ) -> Receipt:
        entry = await self._save(kind, request, amount_fen=amount_fen, original=original)
        return (await self._settler.decide(entry)).receipt

    async def _decide(self, entry: Entry, *, pin: str, ask_pin: AskPin | None) -> Receipt:
        settled = await self._settler.decide(entry, pin=pin)
        if settled.receipt.result is not Result.PIN_REQUIRED:
            return settled.receipt
        given = await self._ask(settled, ask_pin)
        if not given:
            return settled.receipt
        # From here on the outcome is open again; a crash must not take it for abandoned.
        entry = settled.entry.after(Event.PIN_GIVEN)
        await self._store.save(entry)
        return (await self._settler.decide(entry, pin=given)).receipt

    async def _ask(self, settled: Settled, ask_pin: AskPin | None) -> str:
        given: str | None = None
        try:
            given = await ask_pin(settled.receipt) if ask_pin is not None else None
        finally:
            if not given:
                await self._settler.abandon(settled)
        return given or ""

    async def _read(self, method: str, request: Message) -> Any:
        reply = await self._link.call(method, request, timeout_s=self._settings.read_s)
        if isinstance(reply, Rejected):
            raise CallRejectedError(reply.reason, reply.detail)
        if isinstance(reply, NotYet | Unknown):
            raise ServerUnreachableError(f"no answer to {method}: {reply}")
        return reply


def _original(key: Key) -> pb.Original:
    return pb.Original(batch_no=key.batch_no, terminal_seq=key.terminal_seq)
