"""The registry's log goes into its file without SQLite's own syncs, and nothing is lost on the way."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import server.folding
from server.folding import Folding
from server.registry import Registry

ROWS = 400
ALONE = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0).execute("PRAGMA journal_mode=DELETE")
"""


@pytest.fixture
def registry(tmp_path):
    opened = Registry(tmp_path / "registry.db")
    opened.connection.execute("CREATE TABLE things (name BLOB)")
    yield opened
    opened.close()


def fill(registry, count=ROWS):
    registry.connection.execute("BEGIN")
    for _ in range(count):
        registry.connection.execute("INSERT INTO things VALUES (?)", (os.urandom(2_000),))
    registry.connection.execute("COMMIT")


def things_of(path, *, log=False):
    """What a copy of the file alone holds, or with its log: what a start would find."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    if log:
        shutil.copy(f"{path}-wal", f"{copy}-wal")
    with contextlib.closing(sqlite3.connect(copy)) as sql:
        try:
            assert sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return sql.execute("SELECT count(*) FROM things").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


@pytest.fixture
def broken():
    """Why the registry is to be made anew, as it was told."""
    return []


@pytest.fixture
def folding(tmp_path, monkeypatch, broken):
    monkeypatch.setattr(server.folding, "EVERY_S", 0.0)
    found = Folding(tmp_path / "registry.db", broken.append)
    yield found
    found.close()


def test_a_folded_log_is_in_the_file_and_begun_anew(registry, folding, tmp_path):
    path = tmp_path / "registry.db"
    fill(registry)
    assert things_of(path) == 0
    folding.begin()
    folding.wait()
    assert things_of(path) == ROWS
    log = path.with_name("registry.db-wal")
    size = log.stat().st_size
    fill(registry, 1)
    assert log.stat().st_size == size
    folding.begin()
    folding.wait()
    assert things_of(path) == ROWS + 1


def test_a_power_cut_on_the_way_finds_all_that_was_committed(
    registry, folding, tmp_path, monkeypatch
):
    path, found = tmp_path / "registry.db", {}
    write_out = server.folding.write_out

    def slow(fd):
        fill(registry, 7)
        found[str(Path(f"/proc/self/fd/{fd}").readlink())] = things_of(path, log=True)
        write_out(fd)

    monkeypatch.setattr(server.folding, "write_out", slow)
    fill(registry)
    folding.begin()
    folding.wait()
    assert found == {f"{path}-wal": ROWS + 7, str(path): ROWS + 14}
    assert registry.connection.execute("SELECT count(*) FROM things").fetchone() == (ROWS + 14,)


def test_the_locks_of_the_registry_survive_a_folding(registry, folding, tmp_path):
    fill(registry)
    folding.begin()
    folding.wait()
    path = str(tmp_path / "registry.db")
    alone = subprocess.run(  # another process: a lock of this one would not stop this one
        [sys.executable, "-c", ALONE, path], capture_output=True, text=True, check=False
    )
    assert "database is locked" in alone.stderr


@pytest.mark.parametrize(("good", "told"), [(0, []), (1, ["its file: [Errno 5] no disk"])])
def test_a_failed_sync_of_the_file_makes_the_registry_anew(
    registry, folding, broken, tmp_path, monkeypatch, good, told
):
    write_out, calls = server.folding.write_out, []

    def fails(fd):
        calls.append(fd)
        if len(calls) > good:
            raise OSError(5, "no disk")
        write_out(fd)

    monkeypatch.setattr(server.folding, "write_out", fails)
    fill(registry)
    folding.begin()
    folding.wait()
    assert broken == told
    assert things_of(tmp_path / "registry.db", log=True) == ROWS


def test_without_proc_sqlite_syncs_itself(registry, folding, tmp_path, monkeypatch):
    monkeypatch.setattr(server.folding, "_OPEN", tmp_path / "nowhere")
    fill(registry)
    folding.begin()
    folding.wait()
    assert things_of(tmp_path / "registry.db") == ROWS
