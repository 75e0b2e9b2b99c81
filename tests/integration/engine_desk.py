"""An engine in this process, driven as the server drives it, on a clock that the test moves."""

import asyncio
import itertools
import shutil
import struct
from pathlib import Path

from campuscard.v1 import terminal_service_pb2 as pb
from ext import engine as ext_engine
from ext.engine import Effect
from ext.wire import METHODS

ANSWER_S = 20
START_US = 1_710_300_000_000_000  # 2024-03-13 11:20 in China
MINUTE_US = 60_000_000
ACCOUNT_OPEN, MEDIUM_BIND, MEDIUM_STATE, MERCHANT, TERMINAL, TOP_UP = 1, 6, 7, 8, 9, 13
ONLINE, CASH = 1, 16
CANTEEN, BATH, SHOP = 1, 4, 5
ACTIVE, LOST = 3, 1
EVENT_OPEN, EVENT_BIND, EVENT_LOSS = 1, 6, 9
MEDIUM, TERMINAL_ROW = struct.Struct("<16sBBBxH34x"), struct.Struct("<16sIBB34x")
IN_SERVICE, KEYPAD = 1, 1
TABLES = (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13)
OPTIONS = {
    "accounts_max": 4096,
    "media_max": 4096,
    "merchants_max": 64,
    "terminals_max": 16,
    "holds_max": 1024,
    "undos_max": 4096,
    "requests_max": 4096,
    "segment_bytes": 8 << 20,
    "checkpoint_records": 1 << 30,
    "lock_memory": False,
}


def card(account):
    """Return the 16 bytes that name an account's card: type, length, UID."""
    return bytes([1, 4]) + struct.pack("<I", account) + bytes(10)


class Desk:
    """One engine; every call waits for its answer."""

    def __init__(self, folder, **options):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.data, self.key = str(self.folder / "data"), str(self.folder / "campus.key")
        self.clock_path = self.folder / "clock"
        self.options = OPTIONS | {"clock_path": str(self.clock_path)} | options
        self.loop = asyncio.new_event_loop()
        self.numbers = itertools.count(1)
        self.next_seq = itertools.count(1)
        self.now_us = 0
        self.document_kind = 1
        self.set_time(START_US)
        self.engine = None
        ext_engine.init(self.data, self.key, test=True, segment_bytes=8 << 20)
        self.open()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        if self.engine is not None:
            self.shut()
        self.loop.close()

    # ---- life ----

    def set_time(self, now_us):
        self.now_us = now_us
        with self.clock_path.open("r+b" if self.clock_path.exists() else "w+b") as file:
            file.write(struct.pack("<q", now_us))

    def open(self):
        self.engine = ext_engine.Engine(self.data, self.key, self.options)
        self.engine.start()
        self.loop.add_reader(self.engine.eventfd, self.engine.answer)

    def shut(self):
        self.loop.remove_reader(self.engine.eventfd)
        self.engine.close()
        self.engine = None

    def restart(self, *, without_state=False):
        """Close without draining and open again; returns what recovery did."""
        self.shut()
        if without_state:
            shutil.rmtree(Path(self.data) / "state")
        self.open()
        return self.engine.recovered

    def picture(self):
        """Everything the state consists of, to be equal after a restart."""
        head = self.engine.head()
        rows = {table: self.engine.state_dump(table) for table in TABLES}
        return {name: head[name] for name in ("acknowledged_seq", "chain", "state_hash")} | rows

    # ---- asking ----

    def future(self):
        return self.loop.create_future()

    def wait(self, *futures):
        async def gather():
            return await asyncio.wait_for(asyncio.gather(*futures), ANSWER_S)

        answers = self.loop.run_until_complete(gather())
        return answers[0] if len(futures) == 1 else answers

    def submit(self, method, message):
        future = self.future()
        self.engine.submit(METHODS[method], message.SerializeToString(), future)
        return future

    def ask(self, method, message):
        """Submit one message and return its parsed response."""
        response = getattr(pb, f"{method}Response")
        return response.FromString(self.wait(self.submit(method, message)))

    def act(self, *effects, **options):
        future = self.future()
        self.engine.office(
            options.pop("payload", b"papers"),
            effects,
            future,
            request_id=options.pop("request_id", None) or self.request_id(),
            fingerprint=options.pop("fingerprint", 1),
            document_kind=options.pop("document_kind", self.document_kind),
            **options,
        )
        return self.wait(future)

    def request_id(self):
        time_ms = (self.now_us // 1000).to_bytes(6, "big")
        return time_ms + b"\x70\0\x80" + next(self.numbers).to_bytes(7, "big")

    def account(self, number):
        future = self.future()
        self.engine.account(number, future)
        return self.wait(future)

    def history(self, account, from_seq=0, limit=100):
        future = self.future()
        self.engine.history(account, from_seq, limit, future)
        return self.wait(future)

    # ---- a small campus ----

    def open_account(self, fen=0):
        """Open an account with a card that bears its number; returns the number."""
        number = self.act(Effect(ACCOUNT_OPEN, event=EVENT_OPEN))["row"]
        body = MEDIUM.pack(card(number), ACTIVE, 0, EVENT_BIND, 0)
        self.act(Effect(MEDIUM_BIND, link=number, event=EVENT_BIND, body=body))
        if fen:
            self.top_up(number, fen)
        return number

    def top_up(self, account, fen):
        return self.act(
            Effect(TOP_UP, row=account, amount_fen=fen, debit_wallet=CASH, credit_wallet=ONLINE)
        )

    def open_terminal(self, name, category=SHOP):
        """Make a merchant and its terminal, and sign in; returns the batch."""
        merchant = self.act(
            Effect(MERCHANT, body=bytes([category, IN_SERVICE, 0]).ljust(56, b"\0"))
        )["row"]
        body = TERMINAL_ROW.pack(name.encode(), 0, IN_SERVICE, KEYPAD)
        self.act(Effect(TERMINAL, link=merchant, body=body))
        return self.sign_in(name)

    def sign_in(self, name):
        return self.ask("SignIn", pb.SignInRequest(terminal_id=name)).batch_no

    def payment(self, account, fen, *, terminal="POS-1", batch=1, seq=None):
        return pb.AuthorizeRequest(
            terminal_id=terminal,
            batch_no=batch,
            terminal_seq=seq or next(self.next_seq),
            medium=pb.Medium(type=pb.MEDIUM_TYPE_RFID_CARD, token=struct.pack("<I", account)),
            amount_fen=fen,
        )

    def pay(self, account, fen, **key):
        return self.ask("Authorize", self.payment(account, fen, **key)).decision
