"""What the engine is given to do, step by step, and the records that must come of it.

Made by playing a day on engine and model side by side. Whoever plays it again, in however many
pieces, must get the same journal record for record: nothing lost, nothing twice.
"""

import itertools
import pickle
import random
import struct
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from tests.model.numbers import EffectKind, Op
from tests.model.rig import PIN, card, fund
from tests.offline.scenario import play_day
from tests.property.engine_rig import EngineRig, encode, submit_office

SEGMENT_BYTES = 262144
RECORD = 128
ACCOUNT_ROW, DOCUMENT = 64, 96
TAG = slice(64, 80)  # of an account's password: made with the directory's own key
REQUEST_TIME = slice(80, 86)  # of the first document: when the directory was made
FIRST_DOCUMENT = 9
CRC = slice(124, 128)
PAPERS = (40, 900, 12_000)  # bytes of an office act's document
TERMINALS = ("POS-07", "POS-08", "SHOP-1")
SMALL = Path("/dev/shm")


@dataclass
class Step:
    """Commands that are sent together, and what they answered."""

    time_us: int
    taps: list[tuple[int, bytes]] = field(default_factory=list)
    office: tuple | None = None  # (payload, effects, options)
    answers: list[tuple[int, str]] = field(default_factory=list)  # (seq, reason)
    last_seq: int = 0  # of the journal after it


@dataclass
class Plan:
    steps: list[Step]
    records: list[int]  # digest_of each, from seq 1

    def next_step(self, head):
        """The first step that a journal ending at a seq does not hold whole."""
        done = [i for i, step in enumerate(self.steps) if step.last_seq <= head]
        return done[-1] + 1 if done else 0


def digest_of(record):
    """A record without what differs between directories."""
    known = bytearray(record)
    known[CRC] = bytes(4)
    if known[8] == ACCOUNT_ROW:
        known[TAG] = bytes(16)
    if known[8] == DOCUMENT and known[:8] == struct.pack("<Q", FIRST_DOCUMENT):
        known[REQUEST_TIME] = bytes(6)
    return zlib.crc32(known)


def records_of(block):
    count = struct.unpack_from("<I", block, 20)[0]
    return [block[RECORD * (1 + i) : RECORD * (2 + i)] for i in range(count)]


class Recorder(EngineRig):
    """Writes down what the rig is told, and what it answers."""

    def __init__(self, folder, seed):
        self.steps = []
        self.random = random.Random(seed)
        self.sizes = itertools.cycle(PAPERS)  # together more than a segment
        super().__init__(folder, {"segment_bytes": SEGMENT_BYTES})

    def note(self, step, answers):
        step.answers = answers
        step.last_seq = self.engine.head()["acknowledged_seq"]
        self.steps.append(step)

    def send_all(self, taps):
        step = Step(self.now_us, taps=[(int(tap.op), encode(tap)) for tap in taps])
        answers = super().send_all(taps)
        seqs = [answer.records[-1].seq if answer.records else 0 for answer in answers]
        reasons = [answer.reason.name for answer in answers]
        self.note(step, list(zip(seqs, reasons, strict=True)))
        return answers

    def sign_in(self, name):
        reply = super().sign_in(name)
        message = b"\x0a" + bytes([len(name)]) + name.encode()
        step = Step(self.now_us, taps=[(int(Op.SIGN_IN), message)])
        self.note(step, [(reply.records[-1].seq, reply.reason.name)])
        return reply

    def submit_office(self, effects, options, future):
        payload = self.random.randbytes(next(self.sizes))
        self.step = Step(self.now_us, office=(payload, list(effects), dict(options)))
        submit_office(self.engine, payload, effects, options, future)

    def perform(self, effects, **options):
        reply = super().perform(effects, **options)
        seq = reply.records[-1].seq if reply.records else 0
        self.note(self.step, [(seq, reply.status)])
        return reply


def rush(rig, rounds):
    """Purchases that arrive together, so that a block holds several, and papers between them."""
    for _ in range(rounds):
        taps = [
            rig.make_tap(
                Op.AUTHORIZE,
                rig.random.choice(TERMINALS),
                medium=card(rig.random.choice((1, 2))),
                amount=rig.random.choice((1, 350, 1_250, 30_000)),
                pin=PIN,
            )
            for _ in range(rig.random.randint(1, 8))
        ]
        rig.send_all(taps)
        if rig.random.random() < 1 / 2:
            rig.do([fund(EffectKind.TOP_UP, rig.random.choice((1, 2)), 5_000)])
        rig.after(60)


def make(seed, rounds=12):
    """A day with every kind of record, then a rush."""
    where = SMALL if SMALL.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="campuscard-", dir=where) as folder:
        rig = Recorder(folder, seed)
        try:
            play_day(rig)
            rush(rig, rounds)
            blocks = rig.engine.read_blocks(1, 1 << 30)
        finally:
            rig.close()
    found = [digest_of(record) for block in blocks for record in records_of(block)]
    return Plan(rig.steps, found)


def save(plan, path):
    path.write_bytes(pickle.dumps(plan))


def load(path):
    return pickle.loads(Path(path).read_bytes())
