"""Acts that share their durable commit: all of them, or those before the first that met a conflict."""

import asyncio
import contextlib
import itertools
import secrets

import pytest

from core import holders
from core.holders import HolderKind, NewHolder
from core.ids import make_request_id, parse_request_id
from core.ports import Person
from core.refusals import Refusal
from ext import engine as ext_engine
from server.clock import open_clock
from server.keys import Keyring
from server.office_lane import OfficeLane, Part, Together
from server.projector import Projector
from server.registers import holders as register

OPTIONS = {
    "accounts_max": 64,
    "media_max": 64,
    "merchants_max": 16,
    "terminals_max": 16,
    "holds_max": 64,
    "lock_memory": False,
}


@contextlib.asynccontextmanager
async def lane_on(folder):
    """Run an engine, its registry and the lane, as a server does."""
    data, key = str(folder / "data"), str(folder / "campus.key")
    ext_engine.init(data, key, test=False, segment_bytes=8 << 20)
    engine = ext_engine.Engine(data, key, OPTIONS)
    engine.start()
    loop = asyncio.get_running_loop()
    loop.add_reader(engine.eventfd, engine.answer)
    keys = Keyring(folder / "keys")
    projector = Projector(engine, folder / "registry" / "registry.db", keys=keys)
    projector.start()
    lane = OfficeLane(engine, projector, keys=keys, clock=open_clock(""), queue_max=16)
    lane.start()
    try:
        yield engine, projector, lane
    finally:
        await lane.stop()
        await asyncio.to_thread(projector.stop)
        await asyncio.to_thread(engine.drain, 5)
        loop.remove_reader(engine.eventfd)
        engine.close()


def together(desk, groups):
    """Plan a command per group of account numbers, rows in order; `skip` leaves a row out."""
    parts, row = [], desk.next_row("account")
    for place, numbers in enumerate(groups):
        new = []
        for account_no in numbers:
            row += account_no == "skip"
            sealed = desk.keys.seal(row, Person(name="测试", class_name="A班"))
            new.append(
                NewHolder(number=row, account_no=account_no, sealed=sealed, password="904617")
            )
            row += 1
        plan = holders.add(new, kind=HolderKind.STUDENT, roster=bytes(32))
        time_ms = desk.now_us // 1_000
        request_id = parse_request_id(make_request_id(time_ms, secrets.token_bytes(10)))
        parts.append(Part(request_id=request_id, fingerprint=place + 1, plan=plan))
    return parts


async def open_groups(lane, groups):
    async def decide(desk):
        return together(desk, groups)

    await lane.decide_together(Together(name="test", decide=decide))


def numbers_of(engine, projector, groups):
    names = [account_no for group in groups for account_no in group]
    return projector.look(
        lambda r: sorted(register.holders_of(r.connection, names)),
        after_seq=engine.head()["acknowledged_seq"],
    )


def test_many_acts_share_commits_and_are_shown_when_answered(tmp_path):
    """The sequencer takes what has arrived, so how many share a block is luck; some always do."""
    rounds = [[[f"{turn}{part}{at}" for at in range(2)] for part in range(4)] for turn in "ABCDE"]

    async def main():
        async with lane_on(tmp_path) as (engine, projector, lane):
            before = engine.head()["acknowledged_seq"]
            for groups in rounds:
                await open_groups(lane, groups)
                found = await projector.look(
                    lambda r, groups=groups: register.holders_of(
                        r.connection, list(itertools.chain(*groups))
                    )
                )
                assert len(found) == 8
            return len(engine.read_blocks(before + 1, 1 << 20))

    assert asyncio.run(main()) < 20, "four commands five times"


def test_what_came_before_a_conflict_stays_and_the_next_look_sees_it(tmp_path):
    groups = [["A1", "A2"], ["B1", "skip"], ["C1"]]

    async def main():
        async with lane_on(tmp_path) as (engine, projector, lane):
            with pytest.raises(Refusal) as refused:
                await open_groups(lane, groups)
            found = await numbers_of(engine, projector, groups)
            await open_groups(lane, [["B1"]])
            return refused.value.reason.name, found, await numbers_of(engine, projector, groups)

    reason, found, after = asyncio.run(main())
    assert reason == "CONFLICT"
    assert found == ["A1", "A2"], "a command is whole or not at all, and so is what followed it"
    assert after == ["A1", "A2", "B1"]


def test_a_decision_that_gives_up_is_told_and_the_lane_goes_on(tmp_path):
    class GivenUpError(Exception):
        pass

    async def main():
        async with lane_on(tmp_path) as (engine, projector, lane):

            async def decide(_):
                raise GivenUpError

            with pytest.raises(GivenUpError):
                await lane.decide_together(Together(name="test", decide=decide))
            await open_groups(lane, [["D1"]])
            return await numbers_of(engine, projector, [["D1"]])

    assert asyncio.run(main()) == ["D1"]
