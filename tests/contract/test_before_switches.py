"""A journal kept from before days, password sessions and dated tries had switches still reads right.

golden/before_switches holds it: three accounts, two wrong passwords on the second, three on the third,
and a change of the rules that waits for 2024-03-14 11:00.
"""

import asyncio
import gzip
from pathlib import Path

import pytest

from server.offline import verify
from tests.model.rig import PIN, WRONG, Rig, card
from tests.property.engine_rig import OPTIONS, REQUESTS, Clock, EngineRig

KEPT = Path(__file__).parent / "golden" / "before_switches"
SEGMENT = 1 << 20
RECORDS = 48


class KeptCampus(EngineRig):
    """The engine alone, on the files kept."""

    def __init__(self, folder):
        Rig.__init__(self)
        segment = folder / "data" / "journal" / "000001"
        segment.mkdir(parents=True)
        (segment / "data.mdb").write_bytes(gzip.decompress((KEPT / "data.mdb.gz").read_bytes()))
        (folder / "data" / "campuscard").write_bytes(kept("identity"))
        (folder / "campus.key").write_bytes(kept("key"))
        (folder / "campus.key").chmod(0o600)
        self.folder = folder
        self.clock = Clock(folder / "clock")
        self.options = OPTIONS | {"clock_path": str(folder / "clock"), "segment_bytes": SEGMENT}
        self.loop = asyncio.new_event_loop()
        self.data, self.key = str(folder / "data"), str(folder / "campus.key")
        self.batches = {"POS-07": 1}
        self.terminal_seqs = iter(range(1_000, 2_000))
        self.at("2024-03-13 11:45:00")
        self.open()

    def open(self):
        self.clock.set(self.now_us)
        super().open()

    def send(self, tap):
        self.clock.set(self.now_us)
        raw = self.loop.run_until_complete(self.submit_patiently(tap))
        return REQUESTS[tap.op][1].FromString(raw).decision

    def verified(self):
        self.shut()
        requests_max = OPTIONS["requests_max"]
        verdict = verify.run(self.folder / "data", state_hash="every", requests_max=requests_max)
        assert verdict.ok, f"seq {verdict.bad_seq}: {verdict.difference}"
        self.open()
        return verdict


def kept(name):
    return bytes.fromhex((KEPT / f"{name}.hex").read_text())


@pytest.fixture
def campus(tmp_path):
    rig = KeptCampus(tmp_path)
    yield rig
    rig.close()


def test_it_replays_and_verifies(campus):
    assert campus.engine.head()["acknowledged_seq"] == RECORDS
    assert campus.verified().records == RECORDS


def test_switches_are_as_it_was_decided_then(campus):
    """Asked each time; calendar days; what was locked without a date waits for the counter."""
    assert campus.buy(6_000, medium=card(1)).reason == "PIN_REQUIRED"
    campus.at("2024-03-14 10:30:00")
    fresh = campus.buy(1_000, medium=card(1))
    assert (fresh.reason, fresh.day_used_fen) == ("OK", 1_000)
    assert campus.buy(6_000, medium=card(3), pin=PIN).reason == "PIN_LOCKED"
    assert campus.buy(6_000, medium=card(2), pin=WRONG).reason == "PIN_WRONG", "the third in a row"
    assert campus.buy(6_000, medium=card(2), pin=PIN).reason == "PIN_LOCKED"
    campus.verified()
    campus.at("2024-03-15 10:30:00")
    assert campus.buy(6_000, medium=card(2), pin=PIN).reason == "OK", "the third had its day"
    campus.verified()


def test_what_waited_comes_true(campus):
    campus.at("2024-03-14 11:00:00")
    asked = campus.buy(351, medium=card(1))
    assert (asked.reason, list(asked.flags)) == ("PIN_REQUIRED", ["OVER_MEAL"])
    assert asked.refusal.numbers["mealLimitFen"] == 350
    assert campus.buy(6_000, medium=card(3), pin=PIN).reason == "OK", "of four tries one is left"
    campus.verified()
