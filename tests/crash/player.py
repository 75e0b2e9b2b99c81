"""Plays a plan on an engine, from wherever its journal ends."""

import asyncio
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

from campuscard.v1 import terminal_service_pb2 as pb
from ext import engine as ext_engine
from tests.crash import plan as plans
from tests.model.numbers import Op
from tests.property.engine_rig import OPTIONS, submit_office

ANSWER_S = 20
RETRIES = 200
ALL_BYTES = 1 << 30
TABLES = (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13)
BY_SEQ = {6: 64, 7: 32, 13: 128}  # bytes of a row: holds, what was undone, what waits
RESPONSES = {
    Op.AUTHORIZE: pb.AuthorizeResponse,
    Op.HOLD: pb.HoldResponse,
    Op.CAPTURE: pb.CaptureResponse,
    Op.RELEASE: pb.ReleaseResponse,
    Op.REVERSE: pb.ReverseResponse,
    Op.REFUND: pb.RefundResponse,
    Op.SIGN_IN: pb.SignInResponse,
    Op.SIGN_OFF: pb.SignOffResponse,
}
REFUSED = {"CONFLICT": "CONFLICT", "FIELD_INVALID": "INVALID"}


def init(data, key):
    ext_engine.init(data, key, test=True, segment_bytes=plans.SEGMENT_BYTES)


class Player:
    """One open engine on a clock of its own; `told` gets the seq of every answer."""

    def __init__(self, data, key, *, told=lambda _seq: None, **options):
        self.told = told
        # Not below the directory: the clock is the test's, and no power cut of its disk matters.
        self.folder = tempfile.TemporaryDirectory(prefix="campuscard-clock-")
        self.clock = Path(self.folder.name) / "clock"
        self.set_time(0)
        self.loop = asyncio.new_event_loop()
        self.engine = None
        known = OPTIONS | {"segment_bytes": plans.SEGMENT_BYTES, "clock_path": str(self.clock)}
        try:
            self.engine = ext_engine.Engine(str(data), str(key), known | options)
            self.engine.start()
        except BaseException:
            self.close()
            raise
        self.loop.add_reader(self.engine.eventfd, self.engine.answer)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        if self.engine is not None:
            self.loop.remove_reader(self.engine.eventfd)
            self.engine.close()
            self.engine = None
        self.loop.close()
        self.folder.cleanup()

    def set_time(self, time_us):
        with self.clock.open("r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("<q", time_us))

    # ---- what is there ----

    @property
    def head(self):
        return self.engine.head()["acknowledged_seq"]

    def records(self):
        """Digests of all records, in order."""
        blocks = self.engine.read_blocks(1, ALL_BYTES) if self.head else []
        return [plans.digest_of(record) for block in blocks for record in plans.records_of(block)]

    def picture(self):
        """Everything the state consists of, to be equal however it came about."""
        head = self.engine.head()
        rows = {table: self.engine.state_dump(table) for table in TABLES}
        # Known by their seq: a free list gives out the places, and it is made anew by a start.
        rows |= {table: in_use(rows[table], size) for table, size in BY_SEQ.items()}
        return {name: head[name] for name in ("acknowledged_seq", "chain", "state_hash")} | rows

    # ---- playing ----

    def play(self, plan, *, first=None, last=None):
        """Send the steps from the one where the journal ends; what was answered otherwise."""
        head = self.head
        first = plan.next_step(head) if first is None else first
        wrong = []
        for number in range(first, len(plan.steps) if last is None else last):
            step = rest_of(plan.steps[number], head)
            self.set_time(step.time_us)
            answers = self.loop.run_until_complete(self.send(step))
            if answers != step.answers:
                wrong.append(f"step {number}: {answers} instead of {step.answers}")
        return wrong

    def play_again(self, plan, records):
        """Send what the journal holds once more: the same answers, and nothing is written."""
        end = plan.next_step(len(records))
        self.loop.run_until_complete(self.read_an_account())
        records = self.records()  # with what was due when the power went, and is written first
        wrong = []
        for number, step in enumerate(plan.steps[:end]):
            if repeatable(step):
                self.set_time(plan.steps[end - 1].time_us)
                answers = self.loop.run_until_complete(self.send(step))
                if answers != step.answers:
                    wrong.append(f"step {number} again: {answers} instead of {step.answers}")
        if self.records() != records:
            wrong.append("sending it again has written something")
        return wrong

    async def send(self, step):
        if step.office is not None:
            return [await self.send_office(*step.office)]
        if len(step.taps) == 1:
            return [await self.send_patiently(*step.taps[0])]
        answers = [self.submit(method, message) for method, message in step.taps]
        return list(await asyncio.wait_for(asyncio.gather(*answers), ANSWER_S))

    async def send_patiently(self, method, message):
        """What belongs to an older batch has to be read first."""
        for _ in range(RETRIES):
            try:
                return await asyncio.wait_for(self.submit(method, message), ANSWER_S)
            except ext_engine.Refused as refused:
                if refused.reason != "KEY_LOADING":
                    raise
            await asyncio.sleep(0.001)
        raise TimeoutError("the engine is still loading")

    def submit(self, method, message):
        future = self.loop.create_future()
        self.engine.submit(method, message, future)
        return self.answer(method, future)

    async def answer(self, method, future):
        decision = RESPONSES[method].FromString(await future).decision
        self.told(decision.seq)
        return decision.seq, decision.reason

    async def read_an_account(self):
        future = self.loop.create_future()
        self.engine.account(1, future)
        await asyncio.wait([future], timeout=ANSWER_S)
        future.exception()  # there may be no account yet

    async def send_office(self, payload, effects, options):
        future = self.loop.create_future()
        try:
            submit_office(self.engine, payload, effects, options, future)
            reply = await asyncio.wait_for(future, ANSWER_S)
        except ext_engine.Refused as refused:
            return 0, REFUSED[refused.reason]
        self.told(reply["seq"])
        return reply["seq"], "OK"


def in_use(rows, size):
    found = [rows[at : at + size] for at in range(0, len(rows), size)]
    return sorted(row for row in found if any(row))


def is_repeatable(tap, answer):
    """A sign-in has no key, a password asked for is no end of its key, a mismatch is a record."""
    return tap[0] != Op.SIGN_IN and answer[1] not in {"PIN_REQUIRED", "DUPLICATE_MISMATCH"}


def repeatable(step):
    return all(map(is_repeatable, step.taps, step.answers))


def rest_of(step, head):
    """Return the step without what a journal that ends within it holds and would hold twice.

    Taps sent together may stand in two blocks, and the power may go between these.
    """
    if step.office is not None:
        return step
    left = [
        (tap, answer)
        for tap, answer in zip(step.taps, step.answers, strict=True)
        if answer[0] > head or is_repeatable(tap, answer)
    ]
    taps, answers = map(list, zip(*left, strict=True))
    return replace(step, taps=taps, answers=answers)
