"""The same debit, done by what one would otherwise take: SQLite and PostgreSQL.

One authorization is: the account has enough money, its balance falls, a row with a key that may not
come twice is written; all of it durable before it counts. That is less than the engine does (no
card, merchant, limits, password, hash chain), in the peers' favour.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.disk import RawFile, block_bytes, is_disk
from bench.rows import Row, paired_ratio, percentile, progress
from bench.workload import ONLINE_FEN, SEED, Scale

ACCOUNTS: Final = 50_000
SQLITE_SIZES: Final = (1, 128, 1_024, 8_192)
POSTGRES_CLIENTS: Final = (1, 16, 64)
POSTGRES_BATCH: Final = 1_000
INSTALL: Final = "PostgreSQL is not installed; to compare: sudo apt-get install postgresql"
_NS: Final = 1_000_000_000
_SCHEMA: Final = """
CREATE TABLE account (id INTEGER PRIMARY KEY, balance BIGINT NOT NULL CHECK (balance >= 0));
CREATE TABLE journal (
    terminal INTEGER, batch_no INTEGER, terminal_seq INTEGER,
    account INTEGER NOT NULL, amount BIGINT NOT NULL,
    PRIMARY KEY (terminal, batch_no, terminal_seq)
)"""


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield the rows of SQLite, then PostgreSQL's if it is installed."""
    raw = RawFile(directory, scale.file_bytes)
    accounts = scale.choose(ACCOUNTS, ACCOUNTS, 200)
    durable = is_disk(directory)
    try:
        yield from sqlite_rows(directory, raw, accounts, scale=scale, durable=durable)
        try:
            yield from postgres_rows(directory, raw, accounts, scale=scale, durable=durable)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            progress(f"PostgreSQL could not be measured: {error}")
    finally:
        raw.close()


def raw_rate(raw: RawFile, block: int, seconds: float) -> float:
    """Return the raw disk's authorizations a second in blocks of this size."""
    took = raw.write(4, block_bytes(block))
    took += raw.write(max(1, int(seconds * _NS * len(took) / sum(took))), block_bytes(block))
    return block * len(took) * _NS / sum(took)


# ---- SQLite ----


def sqlite_rows(
    directory: Path, raw: RawFile, accounts: int, *, scale: Scale, durable: bool
) -> Iterator[Row]:
    """WAL, synchronous=FULL, one connection, transactions of several sizes."""
    with contextlib.closing(sqlite3.connect(directory / "peer.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA + " WITHOUT ROWID;")
        db.execute("BEGIN")
        rows = ((number, ONLINE_FEN) for number in range(1, accounts + 1))
        db.executemany("INSERT INTO account VALUES (?, ?)", rows)
        db.execute("COMMIT")
        for size in SQLITE_SIZES:
            progress(f"peer sqlite {size}")
            yield sqlite_row(db, raw, accounts, size, scale=scale, durable=durable)


def sqlite_row(
    db: sqlite3.Connection, raw: RawFile, accounts: int, size: int, *, scale: Scale, durable: bool
) -> Row:
    """Measure one size of transaction."""
    rng = random.Random(SEED)
    rates, limits, took = [], [], []
    slices, seconds = scale.choose((9, 1.0), (4, 0.3), (1, 0.02))
    key = 0
    for _ in range(slices):
        limits.append(raw_rate(raw, size, seconds / 3))
        ends, spent, done = time.perf_counter() + seconds, 0, 0
        while time.perf_counter() < ends:
            debits = [(rng.randrange(50, 4_001), rng.randrange(accounts) + 1) for _ in range(size)]
            rows = [(size, 1, key + n, who, fen) for n, (fen, who) in enumerate(debits)]
            key += size
            began = time.perf_counter_ns()
            db.execute("BEGIN IMMEDIATE")
            db.executemany("UPDATE account SET balance = balance - ? WHERE id = ?", debits)
            db.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", rows)
            db.execute("COMMIT")
            took.append(time.perf_counter_ns() - began)
            spent += took[-1]
            done += size
        rates.append(done * _NS / spent)
    return Row(
        name=f"peer sqlite {size}",
        value=statistics.median(rates),
        unit="authorizations/s",
        raw_limit=statistics.median(limits),
        ratio=paired_ratio(rates, limits),
        p50_ms=percentile(took, 0.5) / 1e6,
        p99_ms=percentile(took, 0.99) / 1e6,
        durable=durable,
        accounts=accounts,
        block=size,
        detail={"what": f"SQLite {sqlite3.sqlite_version}, WAL, synchronous=FULL, in process"},
    )


# ---- PostgreSQL ----

_PAY: Final = """
CREATE SEQUENCE keys;
CREATE FUNCTION pay(who INTEGER, fen BIGINT, till INTEGER) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE rest BIGINT;
BEGIN
    UPDATE account SET balance = balance - fen WHERE id = who AND balance >= fen
        RETURNING balance INTO rest;
    IF rest IS NULL THEN RAISE 'insufficient'; END IF;
    INSERT INTO journal VALUES (till, 1, nextval('keys'), who, fen);
    RETURN rest;
END $$;
"""
_FILL: Final = "INSERT INTO account SELECT n, {fen} FROM generate_series(1, {accounts}) AS n"
_ONE: Final = """\
\\set who random(1, {accounts})
\\set fen random(50, 4000)
SELECT pay(:who, :fen, :client_id);
"""
# In the order of accounts, so that two batches never wait for each other.
_MANY: Final = """\
SELECT count(pay(who, fen, :client_id)) FROM (
    SELECT 1 + (random() * {last})::INTEGER AS who, 50 + (random() * 3950)::BIGINT AS fen
    FROM generate_series(1, {batch}) ORDER BY 1
) AS debits;
"""


def postgres_bin() -> Path | None:
    """Return the directory of initdb, postgres and pgbench; None when not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def postgres_rows(
    directory: Path, raw: RawFile, accounts: int, *, scale: Scale, durable: bool
) -> Iterator[Row]:
    """synchronous_commit=on, prepared statements, pgbench as the client."""
    programs = postgres_bin()
    if programs is None or not (programs / "pgbench").exists():
        progress(INSTALL)
        return
    seconds = scale.choose(15, 3, 1)
    with running(programs, directory / "postgres") as cluster:
        cluster.psql(_SCHEMA + ";" + _PAY)
        cluster.psql(_FILL.format(fen=ONLINE_FEN, accounts=accounts))
        cluster.psql("VACUUM ANALYZE account")
        shapes = [(f"{clients}x1", clients, 1) for clients in POSTGRES_CLIENTS]
        for label, clients, items in [*shapes, (f"batch {POSTGRES_BATCH}", 2, POSTGRES_BATCH)]:
            progress(f"peer postgres {label}")
            text = _ONE if items == 1 else _MANY
            script = text.format(accounts=accounts, last=accounts - 1, batch=items)
            block = clients if items == 1 else items
            limit = raw_rate(raw, block, 0.4)
            rate, average_ms = cluster.pgbench(script, clients, seconds)
            limit = statistics.mean((limit, raw_rate(raw, block, 0.4)))
            yield Row(
                name=f"peer postgres {label}",
                value=rate * items,
                unit="authorizations/s",
                raw_limit=limit,
                ratio=rate * items / limit,
                p50_ms=average_ms,
                durable=durable,
                accounts=accounts,
                block=block,
                detail={
                    "what": f"{cluster.version}, synchronous_commit=on; p50 is the mean",
                    "connections": clients,
                },
            )  # fmt: skip


class Cluster:
    """A PostgreSQL cluster of its own, reached over a socket in its directory."""

    def __init__(self, programs: Path, data: Path) -> None:
        self._programs = programs
        self._data = data
        self.version = self._run("postgres", "--version").strip()

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self._programs / program), *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd="/", timeout=120
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")
        return done.stdout

    def start(self) -> None:
        """Make and start it with PostgreSQL's own defaults, which are durable."""
        self._run("initdb", "-D", str(self._data), "-U", "bench", "--auth=trust", "-E", "UTF8")
        settings = (
            f"-c listen_addresses= -c unix_socket_directories={self._data} -c max_connections=100"
        )
        log = str(self._data / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", log, "-o", settings, "start")

    def stop(self) -> None:
        """Stop it at once."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")

    def psql(self, sql: str) -> str:
        """Run SQL; its output, unaligned."""
        where = ("-h", str(self._data), "-U", "bench", "-d", "postgres")
        return self._run("psql", *where, "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql)

    def pgbench(self, script: str, clients: int, seconds: int) -> tuple[float, float]:
        """Run a script for some seconds; transactions a second and mean latency in ms."""
        file = self._data / "script.sql"
        file.write_text(script, encoding="utf-8")
        file.chmod(0o644)
        said = self._run(
            "pgbench", "-h", str(self._data), "-U", "bench", "-n", "-M", "prepared",
            "-c", str(clients), "-j", "1", "-T", str(seconds), "-f", str(file), "postgres",
        )  # fmt: skip
        rate = re.search(r"tps = ([\d.]+)", said)
        latency = re.search(r"latency average = ([\d.]+) ms", said)
        if rate is None or latency is None:
            raise RuntimeError(f"pgbench said: {said}")
        return float(rate[1]), float(latency[1])


@contextlib.contextmanager
def running(programs: Path, data: Path) -> Iterator[Cluster]:
    """Make a cluster, run it, stop it."""
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(data, "nobody", "nogroup")
        for parent in data.parents:  # nobody has to reach it
            if parent.stat().st_mode & 0o001 == 0 and parent.name.startswith("bench-"):
                parent.chmod(0o711)
    data.chmod(0o700)
    cluster = Cluster(programs, data)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
