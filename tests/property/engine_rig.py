"""A rig that sends every command to the engine and to the model, and compares all they say.

The journal decides the order: the model takes each block's time from its header, its due records
first, then the commands in the order of their records.
"""

import asyncio
import hashlib
import struct
from pathlib import Path

from campuscard.v1 import terminal_service_pb2 as pb
from ext import engine as ext_engine
from tests.model.journal import (
    MEDIUM,
    TERMINAL,
    pack_account,
    pack_meals,
    pack_rules,
    read_block,
)
from tests.model.numbers import EffectKind, Flag, Kind, Op, Outcome, Wallet
from tests.model.office import OfficeReply
from tests.model.rig import Rig

ALL_BYTES = 64 << 20
ANSWER_S = 20
RETRIES = 200
OPTIONS = {
    "accounts_max": 64,
    "media_max": 256,
    "merchants_max": 32,
    "terminals_max": 32,
    "holds_max": 4096,
    "undos_max": 4096,
    "requests_max": 4096,
    "queue": 256,
    "overlap_from": 2,  # what is sent alone takes the short way, what is sent together does not
    "segment_bytes": 4 << 20,
    "lock_memory": False,
    "commit": "pipelined",  # tests/integration has the other
}
REQUESTS = {
    Op.AUTHORIZE: (pb.AuthorizeRequest, pb.AuthorizeResponse),
    Op.HOLD: (pb.HoldRequest, pb.HoldResponse),
    Op.CAPTURE: (pb.CaptureRequest, pb.CaptureResponse),
    Op.RELEASE: (pb.ReleaseRequest, pb.ReleaseResponse),
    Op.REVERSE: (pb.ReverseRequest, pb.ReverseResponse),
    Op.REFUND: (pb.RefundRequest, pb.RefundResponse),
    Op.SIGN_IN: (pb.SignInRequest, pb.SignInResponse),
    Op.SIGN_OFF: (pb.SignOffRequest, pb.SignOffResponse),
}
EXPECT_STATUS, EXPECT_LAST_SEQ, EXPECT_UNCHANGED = 1, 2, 8


class Clock:
    """The test clock's file: eight bytes of microseconds."""

    def __init__(self, path):
        self.path = Path(path)

    def set(self, time_us):
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            file.write(struct.pack("<q", time_us))


class EngineRig(Rig):
    """Engine and model side by side, in one directory."""

    def __init__(self, folder, options=None):
        super().__init__()
        self.folder = Path(folder)
        self.options = OPTIONS | {"clock_path": str(self.folder / "clock")} | (options or {})
        self.clock = Clock(self.folder / "clock")
        self.clock.set(self.now_us)
        self.loop = asyncio.new_event_loop()
        self.data, self.key = str(self.folder / "data"), str(self.folder / "campus.key")
        ext_engine.init(self.data, self.key, test=True, segment_bytes=self.options["segment_bytes"])
        self.engine = None
        self.next_seq = 1
        self.open()
        self.read_first_block()

    # ---- life ----

    def open(self):
        self.engine = ext_engine.Engine(self.data, self.key, self.options)
        self.engine.start()
        self.loop.add_reader(self.engine.eventfd, self.engine.answer)

    def shut(self):
        self.loop.remove_reader(self.engine.eventfd)
        self.engine.close()
        self.engine = None

    def restart(self, *, without_state=False):
        """Close and open again; the state directory is only a copy and may be gone."""
        self.engine.drain(ANSWER_S)
        self.compare_blocks([])
        self.shut()
        if without_state:
            for path in sorted((Path(self.data) / "state").rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        self.open()

    def checkpoint(self):
        self.engine.checkpoint()

    def close(self):
        if self.engine is not None:
            self.shut()
        self.loop.close()

    # ---- the two sides ----

    def read_first_block(self):
        """`init` wrote the rules: they are the model's too."""
        for data in self.engine.read_blocks(1, ALL_BYTES):
            block = read_block(data)
            self.next_seq = block.records[-1].seq + 1
            self.model.books.journal += block.records
            self.auditor.feed(block.records, block.business_date)
            self.auditor.counters_known = True
            for record in block.records:
                if record.image and record.type.name == "RULES":
                    self.model.books.rules = self.auditor.rules = record.image[0]
                elif record.type.name == "MEALS":
                    self.model.books.meals = record.image[0]
                elif record.type.name == "CATEGORY":
                    self.model.books.categories[record.image[0]] = record.image[1]

    def compare_blocks(self, commands):
        """Play every new block on the model; `commands` are run in order, and their answers given.

        A command that wrote nothing is decided where it stood in the queue.
        """
        waiting, answers = list(commands), []
        head = self.engine.head()["acknowledged_seq"]
        blocks = self.engine.read_blocks(self.next_seq, ALL_BYTES) if head >= self.next_seq else []
        for data in blocks:
            block = read_block(data)
            assert block.records[0].seq == self.next_seq, "a block is missing"
            self.next_seq = block.records[-1].seq + 1
            written = self.model.begin_block(block.time_us)
            assert block.business_date == self.model.books.business_date
            assert block.rule_version == self.model.books.rule_version
            while len(written) < len(block.records) and waiting:
                answer = waiting.pop(0)()
                answers.append(answer)
                if answer is not None and not answer.replayed:
                    written += answer.records
            self.same(block.records, written)
            self.check(written)
        self.model.books.set_time(max(self.model.books.time_us, self.now_us))
        answers += [command() for command in waiting]
        return answers

    def same(self, engine_records, model_records):
        """Compare every field of every record."""
        for ours, theirs in zip(model_records, engine_records, strict=False):
            if ours != theirs:
                lines = [
                    f"  {name}: model {getattr(ours, name)!r}, engine {getattr(theirs, name)!r}"
                    for name in ours.__dataclass_fields__
                    if getattr(ours, name) != getattr(theirs, name)
                ]
                what = f"seq {theirs.seq} {theirs.type.name} {theirs.outcome.name}"
                raise AssertionError(f"{what} differs:\n" + "\n".join(lines))
        assert len(engine_records) == len(model_records), (engine_records, model_records)

    def wait(self, submit):
        """Submit, and wait for the answer; an old batch or original is read first."""

        async def run():
            for _ in range(RETRIES):
                future = self.loop.create_future()
                try:
                    submit(future)
                    return await asyncio.wait_for(future, ANSWER_S)
                except ext_engine.Refused as refused:
                    if refused.reason != "KEY_LOADING":
                        raise
                await asyncio.sleep(0.001)
            raise TimeoutError("the engine is still loading")

        return self.loop.run_until_complete(run())

    # ---- commands ----

    def send(self, tap):
        return self.send_all([tap])[0]

    def send_all(self, taps):
        """Send taps into the queue together; they are decided in this order.

        Several at once: only purchases and holds of the last two batches, which never wait for
        the reader.
        """
        self.clock.set(self.now_us)
        raw = self.loop.run_until_complete(self.submit_all(taps))
        answers = self.compare_blocks([lambda tap=tap: self.model.tap(tap) for tap in taps])
        for tap, data, answer in zip(taps, raw, answers, strict=True):
            self.same_decision(REQUESTS[tap.op][1].FromString(data).decision, answer)
        return answers

    async def submit_all(self, taps):
        if len(taps) == 1:
            return [await self.submit_patiently(taps[0])]
        futures = [self.loop.create_future() for _ in taps]
        for tap, future in zip(taps, futures, strict=True):
            self.submit(tap, future)
        return await asyncio.wait_for(asyncio.gather(*futures), ANSWER_S)

    async def submit_patiently(self, tap):
        for _ in range(RETRIES):
            future = self.loop.create_future()
            self.submit(tap, future)
            try:
                return await asyncio.wait_for(future, ANSWER_S)
            except ext_engine.Refused as refused:
                if refused.reason != "KEY_LOADING":
                    raise
            await asyncio.sleep(0.001)
        raise TimeoutError("the engine is still loading")

    def submit(self, tap, future):
        self.engine.submit(int(tap.op), encode(tap), future)

    def sign_in(self, name):
        self.clock.set(self.now_us)
        message = pb.SignInRequest(terminal_id=name).SerializeToString()
        data = self.wait(lambda future: self.engine.submit(int(Op.SIGN_IN), message, future))
        reply = self.compare_blocks([lambda: self.model.sign_in(name)])[0]
        response = pb.SignInResponse.FromString(data)
        self.same_decision(response.decision, reply)
        assert response.batch_no == reply.records[0].batch_no
        self.note_batch(name, reply)
        return reply

    def perform(self, effects, **options):
        self.clock.set(self.now_us)
        options.setdefault("request_id", self.request_id())
        status, raw = "OK", None
        try:
            raw = self.wait(lambda future: self.submit_office(effects, options, future))
        except ext_engine.Refused as refused:
            status = {
                "CONFLICT": "CONFLICT",
                "FIELD_INVALID": "INVALID",
                "REQUEST_ID_REUSED": "REQUEST_REUSED",
            }[refused.reason]
        reply = self.compare_blocks([lambda: self.model.office(effects, **options)])[0]
        assert reply.status == status, f"model {reply.status}, engine {status}"
        if raw is not None:
            self.same_office(raw, reply)
        return reply

    def same_office(self, raw, reply: OfficeReply):
        last = reply.records[-1]
        assert (raw["outcome"], raw["reason"]) == (last.outcome, last.reason)
        assert raw["seq"] == last.seq
        assert raw["replayed"] == reply.replayed

    def submit_office(self, effects, options, future):
        submit_office(self.engine, b"papers", effects, options, future)

    def settle(self):
        """Let the clock's time reach the engine's rows: what is due happens first."""
        self.clock.set(self.now_us)
        books = self.model.books
        due = [h.due_s for h in books.holds.values() if h.state != "GREY"]
        due += [s.due_s for s in books.scheduled.values()]
        if due and min(due) * 1_000_000 <= self.now_us:
            self.idle()
        self.compare_blocks([])

    def idle(self):
        """Let what is due happen: an effect-free act starts a block."""
        self.perform([])

    # ---- comparison of answers and rows ----

    def same_decision(self, decision, reply):
        """Compare an answer with the model's."""
        assert decision.reason == reply.reason.name, (decision, reply)
        assert decision.outcome == reply.outcome, (decision, reply)
        assert decision.replayed == reply.replayed, (decision, reply)
        if not reply.records:
            return
        last = reply.records[-1]
        assert decision.seq == last.seq
        assert decision.approved_fen == reply.approved, (decision, reply)
        assert decision.day_used_fen == last.day_used
        assert decision.meal_used_fen == last.meal_used
        assert decision.held_fen == last.held_after
        assert decision.must_change_pin == bool(last.flags & Flag.MUST_CHANGE)
        subsidy = [r for r in reply.records if Wallet.SUBSIDY in {r.debit_wallet, r.credit_wallet}]
        if reply.outcome is Outcome.APPROVED:
            assert decision.subsidy_fen == sum(r.amount for r in subsidy)
        assert (decision.auth_code != "") == (reply.outcome is Outcome.APPROVED)

    def compare_rows(self):
        """Compare every account as the engine reads it with the model's."""
        books = self.model.books
        for number, account in books.accounts.items():
            row = self.wait(lambda future, number=number: self.engine.account(number, future))
            day, meal = books.limits(account)
            expected = {
                "online_fen": account.online,
                "held_fen": account.held,
                "subsidy_fen": account.subsidy,
                "water_fen": account.water,
                "day_used_fen": books.day_used(account, books.day_key),
                "meal_used_fen": books.meal_used(account, books.day_key, books.meal_key),
                "day_limit_fen": day,
                "meal_limit_fen": meal,
                "status": account.status,
                "must_change_pin": account.must_change,
                "pin_fails": books.fails(account),
                "pin_version": account.pin_version,
                "last_seq": account.last_seq,
                "water_hold_seq": account.water_hold,
                "water_hold_grey": bool(account.water_hold)
                and books.holds[account.water_hold].state == "GREY",
            }
            assert {name: row[name] for name in expected} == expected, f"account {number}"
        assert self.engine.stats()["ledger_sum"] == 0


# ---- encoding ----


def submit_office(engine, payload, effects, options, future):
    """Queue an office command; everything but the password makes its fingerprint."""
    body = (tuple(effects), options.get("document_kind", 0), options.get("pin_account", 0))
    engine.office(
        payload,
        [to_engine(effect) for effect in effects],
        future,
        request_id=options["request_id"],
        fingerprint=int.from_bytes(hashlib.sha256(repr(body).encode()).digest()[:8]),
        document_kind=options.get("document_kind", 0),
        actor=options.get("actor", 0),
        pin_account=options.get("pin_account", 0),
        pin=options.get("pin") or "",
    )


def encode(tap):
    """Return the protobuf bytes of a tap."""
    message = REQUESTS[tap.op][0](terminal_id=tap.terminal, batch_no=tap.batch_no)
    if tap.op is Op.SIGN_OFF:
        return message.SerializeToString()
    message.terminal_seq = tap.terminal_seq
    if tap.op in {Op.AUTHORIZE, Op.HOLD}:
        kind, length = tap.medium[0], tap.medium[1]
        message.medium.type = kind
        message.medium.token = tap.medium[2 : 2 + length]
        message.partial_ok = tap.partial_ok
        if isinstance(tap.pin, str):
            message.pin = tap.pin
    else:
        original = message.hold if tap.op in {Op.CAPTURE, Op.RELEASE} else message.original
        original.seq = tap.original.seq
        original.batch_no = tap.original.batch_no
        original.terminal_seq = tap.original.terminal_seq
    if tap.op is not Op.RELEASE:
        message.amount_fen = tap.amount
    if tap.op is Op.HOLD:
        message.water_transfer = tap.water
        message.card_counter = tap.card_counter
    if tap.op is Op.REVERSE:
        message.void_sale = tap.void
    return message.SerializeToString()


def to_engine(effect):
    """Return the engine's form of an effect."""
    expect = 0 if effect.expect_status is None else EXPECT_STATUS
    expect |= 0 if effect.expect_last_seq is None else EXPECT_LAST_SEQ
    expect |= EXPECT_UNCHANGED if effect.unchanged else 0
    event = int(effect.event)
    if effect.kind is EffectKind.SETTLE:
        event = Kind.CAPTURE if effect.written else Kind.RELEASE
    return ext_engine.Effect(
        int(effect.kind),
        row=effect.row,
        link=effect.link,
        event=event,
        expect=expect,
        expect_status=int(effect.expect_status or 0),
        expect_flags=int(effect.expect_flags),
        expect_last_seq=effect.expect_last_seq or 0,
        amount_fen=effect.amount,
        debit_wallet=int(effect.debit),
        credit_wallet=int(effect.credit),
        body=effect_body(effect),
        pin=effect.pin,
        due_s=effect.due_s,
        mask=effect.mask,
        scheduled_seq=effect.scheduled_seq,
        hold_seq=effect.hold_seq,
    )


def effect_body(effect):
    """Return the after-image's own bytes."""
    kind = effect.kind
    if kind <= EffectKind.PIN_RESET:
        return pack_account(
            status=effect.status or 1,
            day_limit=effect.day_limit,
            meal_limit=effect.meal_limit,
            kind=effect.holder_kind,
            event=effect.event,
        )
    if kind in {EffectKind.MEDIUM_BIND, EffectKind.MEDIUM_STATE}:
        return MEDIUM.pack(
            effect.key, effect.status, effect.flags, effect.event, effect.expires_day, 0
        )
    if kind is EffectKind.MERCHANT:
        return bytes([effect.category, effect.status, effect.flags]).ljust(56, b"\0")
    if kind is EffectKind.TERMINAL:
        name = effect.name.encode().ljust(16, b"\0")
        return TERMINAL.pack(name, effect.max_amount, effect.status, effect.flags)
    if kind is EffectKind.CATEGORY:
        return bytes([effect.category, effect.flags]).ljust(56, b"\0")
    if kind is EffectKind.RULES:
        return pack_rules(effect.rules)
    return pack_meals(effect.meals) if kind is EffectKind.MEALS else b""
