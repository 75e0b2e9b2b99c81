"""The terminal's store: what was saved is there after the process is gone."""

import asyncio
import subprocess
import sys
from dataclasses import replace

import pytest

from clients.terminal.entries import Entry, Event, Key, Kind, State, transition
from clients.terminal.errors import IllegalTransitionError, StoreBusyError, StoreFailedError
from clients.terminal.store import SqliteStore

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000


def entry(seq=1, *, kind=Kind.AUTHORIZE, state=State.OPEN, saved_us=NOW, original=None):
    return Entry(
        key=Key(terminal_id="POS-1", batch_no=7, terminal_seq=seq),
        kind=kind,
        body=b"body",
        amount_fen=1250,
        saved_us=saved_us,
        state=state,
        original=original,
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "terminal.db"


async def test_saved_entries_survive_reopening(path):
    store = SqliteStore(path, now_us=NOW)
    original = entry(1).after(Event.GIVEN_UP)
    reversal = entry(2, kind=Kind.REVERSE, original=original.key)
    await store.save(original, reversal)
    await store.start_batch("POS-1", 7)
    store.close()
    store = SqliteStore(path, now_us=NOW)
    assert await store.unsettled("POS-1") == [original, reversal]
    assert await store.unsettled("POS-2") == []
    assert await store.find(reversal.key) == reversal
    assert await store.find(replace(reversal.key, terminal_seq=3)) is None
    assert await store.last_batch("POS-1") == 7
    assert await store.last_batch("POS-2") == 0
    store.close()


async def test_a_kill_after_save_loses_nothing(path):
    script = f"""
import asyncio, os
from pathlib import Path
from clients.terminal.entries import Entry, Key, Kind
from clients.terminal.store import SqliteStore
async def main():
    store = SqliteStore(Path({str(path)!r}), now_us={NOW})
    key = Key(terminal_id="POS-1", batch_no=7, terminal_seq=1)
    await store.save(Entry(key=key, kind=Kind.AUTHORIZE, body=b"body", amount_fen=5, saved_us={NOW}))
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs in this loop
        [sys.executable, "-c", script], check=False, capture_output=True
    )
    assert done.returncode == -9, done.stderr
    store = SqliteStore(path, now_us=NOW)
    assert [found.amount_fen for found in await store.unsettled("POS-1")] == [5]
    store.close()


async def test_concurrent_saves_share_commits_and_all_land(path):
    store = SqliteStore(path, now_us=NOW)
    await asyncio.gather(*(store.save(entry(seq)) for seq in range(1, 201)))
    assert len(await store.unsettled("POS-1")) == 200
    store.close()


async def test_hundreds_of_terminals_keep_the_store_busy(path):
    store = SqliteStore(path, now_us=NOW)

    async def one(number):
        key = Key(terminal_id=f"POS-{number}", batch_no=7, terminal_seq=1)
        fresh = replace(entry(), key=key)
        await store.start_batch(key.terminal_id, 7)
        await store.save(fresh)
        await store.save(fresh.after(Event.APPROVED))
        assert await store.last_batch(key.terminal_id) == 7
        assert (await store.find(key)).state is State.DONE

    for _ in range(5):
        await asyncio.gather(*(one(number) for number in range(300)))
    store.close()


async def test_a_second_process_is_refused(path):
    store = SqliteStore(path, now_us=NOW)
    with pytest.raises(StoreBusyError):
        SqliteStore(path, now_us=NOW)
    store.close()
    SqliteStore(path, now_us=NOW).close()


async def test_after_one_failed_write_nothing_is_promised_any_more(path):
    store = SqliteStore(path, now_us=NOW)
    with pytest.raises(StoreFailedError):
        await store.save(replace(entry(1), amount_fen="not a number"))
    with pytest.raises(StoreFailedError):
        await store.save(entry(2))
    store.close()
    store = SqliteStore(path, now_us=NOW)
    assert await store.unsettled("POS-1") == []
    store.close()


async def test_old_settled_entries_are_forgotten_and_open_ones_kept(path):
    store = SqliteStore(path, now_us=NOW)
    old = NOW - 91 * DAY
    await store.save(
        entry(1, state=State.DONE, saved_us=old),
        entry(2, saved_us=old),
        entry(3, state=State.DISPUTED, saved_us=old),
        entry(4, state=State.DONE),
    )
    store.close()
    store = SqliteStore(path, now_us=NOW)
    kept = [seq for seq in range(1, 5) if await store.find(entry(seq).key) is not None]
    assert kept == [2, 3, 4]
    store.close()


async def test_a_busy_store_forgets_while_it_runs(path):
    store = SqliteStore(path, now_us=NOW, keep_s=60)
    await store.save(entry(1, state=State.DONE), entry(2))
    late = NOW + 61_000_000
    await store.save(*(entry(seq, state=State.DONE, saved_us=late) for seq in range(3, 4_100)))
    assert await store.find(entry(1).key) is None
    assert await store.find(entry(2).key) is not None
    assert await store.find(entry(3).key) is not None
    store.close()


def test_no_password_has_a_place_in_an_entry():
    assert "pin" not in Entry.__slots__


@pytest.mark.parametrize(
    ("state", "event", "after"),
    [
        (State.OPEN, Event.APPROVED, State.DONE),
        (State.OPEN, Event.PIN_ASKED, State.PIN_NEEDED),
        (State.PIN_NEEDED, Event.PIN_GIVEN, State.OPEN),
        (State.PIN_NEEDED, Event.ABANDONED, State.CLOSED),
        (State.OPEN, Event.GIVEN_UP, State.REVERSING),
        (State.REVERSING, Event.APPROVED, State.REVERSING),
        (State.REVERSING, Event.REVERSAL_ACKNOWLEDGED, State.REVERSED),
        (State.REVERSED, Event.APPROVED, State.REVERSED),
        (State.DONE, Event.DECLINED, State.DONE),
    ],
)
def test_transitions(state, event, after):
    assert transition(state, event) is after


@pytest.mark.parametrize("event", [Event.GIVEN_UP, Event.PIN_GIVEN, Event.REVERSAL_ACKNOWLEDGED])
def test_what_is_done_cannot_be_given_up(event):
    done = entry().after(Event.APPROVED)
    with pytest.raises(IllegalTransitionError):
        done.after(event)
    assert done.state is State.DONE
