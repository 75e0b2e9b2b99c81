"""The authorization on PostgreSQL: a PL/pgSQL function, called by pgbench over a socket."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Final

from bench.peers import debian
from bench.peers.campus import BATCHES, SEQ_MAX, Account, Answer, Rows, Standing, Tap
from bench.peers.daemon import Daemon, as_nobody
from bench.peers.runs import Run
from ext.histogram import Histogram

_SQL: Final = Path(__file__).with_name("pay.sql")
_RUN_S: Final = 120
_PROBE: Final = 20
_ONE: Final = """\
\\set seq :seq + 1
\\set who random(1, {accounts})
\\set fen random(50, 4000)
SELECT reason FROM pay((:client_id + 1), (:first + :seq / {seqs})::INT, (:seq % {seqs} + 1)::INT,
    :who, :fen, '', (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT);
"""


class Postgres:
    """A cluster of its own, reached over a socket in its directory."""

    name: ClassVar = "postgres"

    def __init__(self, directory: Path, rows: Rows) -> None:
        self._programs = debian.postgres()
        self._data = directory / "postgres"
        self._data.mkdir()
        self._prefix = as_nobody(self._data)
        self._data.chmod(0o700)
        self._accounts = len(rows.accounts)
        self._batch = 1
        self._per_s: dict[int, float] = {}
        self.version = self._run("postgres", "--version").strip()
        self._run("initdb", "-D", str(self._data), "-U", "bench", "--auth=trust", "-E", "UTF8")
        self._daemon = Daemon(
            self._programs,
            [
                *("postgres", "-D", str(self._data), "-c", "listen_addresses="),
                *("-c", f"unix_socket_directories={self._data}", "-c", "max_wal_size=4GB"),
            ],
            log=directory / "postgres.log",
            prefix=self._prefix,
        )
        with self._daemon.ended_by_errors():
            self._daemon.wait(self._ready)
            self._fill(rows)

    @property
    def what(self) -> str:
        """What was measured."""
        return f"{self.version}, synchronous_commit=on, PL/pgSQL, pgbench, prepared, Unix socket"

    def close(self) -> None:
        """Stop it."""
        self._daemon.stop()

    def _ready(self) -> bool:
        where = ("-q", "-h", str(self._data))
        return self._call("pg_isready", *where).returncode == 0

    def _call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._prefix, str(self._programs.directory / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._data,
            timeout=_RUN_S,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", **self._programs.environment},
        )

    def _run(self, program: str, *arguments: str) -> str:
        done = self._call(program, *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr.strip()}")
        return done.stdout

    def _psql(self, sql: str) -> list[str]:
        where = ("-h", str(self._data), "-U", "bench", "-d", "postgres")
        said = self._run("psql", *where, "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql)
        return said.splitlines()

    def _fill(self, rows: Rows) -> None:
        self._psql(_SQL.read_text(encoding="utf-8"))
        self._insert(
            "category",
            (f"({c.number},{c.spend},{c.day},{c.meal},{c.subsidy})" for c in rows.categories),
        )
        self._insert("merchant", (f"({m.number},{m.category},{m.status})" for m in rows.merchants))
        self._insert(
            "terminal",
            (
                f"({t.number},{t.merchant},{t.status},{t.keypad},{t.max_amount},{t.batch_no})"
                for t in rows.terminals
            ),
        )
        self._insert("account", map(_account, rows.accounts))
        self._insert(
            "medium",
            (
                f"({m.token},{m.account},{m.state},{m.lost},{m.frozen},{m.expires_day})"
                for m in rows.media
            ),
        )
        self._psql("VACUUM ANALYZE")

    def _insert(self, table: str, values: Iterable[str]) -> None:
        texts = list(values)
        for at in range(0, len(texts), 1_000):  # psql takes 128 KiB of an argument
            self._psql(f"INSERT INTO {table} VALUES " + ",".join(texts[at : at + 1_000]))  # noqa: S608

    # ---- one tap ----

    def ask(self, tap: Tap) -> Answer:
        """Decide one tap in a session of its own."""
        pin = f"'{tap.pin}'"
        said = self._psql(
            f"SELECT * FROM pay({tap.terminal},{tap.batch_no},{tap.seq},{tap.token},{tap.amount},"  # noqa: S608
            f"{pin},{tap.now_us})"
        )
        reason, approved, replayed = said[0].split("|")
        return Answer(reason, int(approved), replayed=replayed == "t")

    def standing(self, account: int) -> Standing:
        """Return an account's row."""
        sql = "SELECT online, subsidy, day_used, meal_used, pin_fails FROM account WHERE id = "
        return Standing(*map(int, self._psql(f"{sql}{account}")[0].split("|")))

    # ---- measured ----

    def closed(self, clients: int, seconds: float) -> Run:
        """Let pgbench call as fast as it is answered."""
        if clients not in self._per_s:
            self._per_s[clients] = self._pgbench(clients, _PROBE).per_s
        ran = self._pgbench(clients, self._per_s[clients] * seconds / clients)
        self._per_s[clients] = ran.per_s
        return ran

    def open(self, clients: int, per_s: float, seconds: float) -> Run:
        """Let pgbench call at Poisson times; its latencies count from these."""
        return self._pgbench(clients, per_s * seconds / clients, f"--rate={per_s:.1f}")

    def _pgbench(self, clients: int, calls: float, *options: str) -> Run:
        """Make so many calls for each client: connecting would count into a duration."""
        script, log = self._data / "script.sql", self._data / "calls"
        script.write_text(_ONE.format(accounts=self._accounts, seqs=SEQ_MAX), encoding="utf-8")
        script.chmod(0o644)
        first, self._batch = self._batch, self._batch + 5
        if self._batch > BATCHES:
            raise RuntimeError("more runs than the terminals have batches")
        began = time.perf_counter()
        said = self._run(
            "pgbench", "-h", str(self._data), "-U", "bench", "-n", "-M", "prepared",
            "-c", str(clients), "-j", "1", "-D", "seq=0", "-D", f"first={first}",
            "-l", f"--log-prefix={log}", "-t", str(max(1, round(calls))), *options, "-f", str(script), "postgres",
        )  # fmt: skip
        took = Histogram()
        for path in self._data.glob("calls.*"):
            for line in path.read_text(encoding="ascii").splitlines():
                took.add(int(line.split()[2]) * 1_000)
            path.unlink()
        self._approved(took.total, began)
        rate = re.search(r"tps = ([\d.]+)", said)
        if rate is None:
            raise RuntimeError(f"pgbench said: {said}")
        return Run.of(float(rate[1]), took)

    def _approved(self, calls: int, began: float) -> None:
        """Refuse to measure refusals."""
        since = int((time.time() - (time.perf_counter() - began)) * 1e6)
        sql = "SELECT count(*), count(*) FILTER (WHERE reason = 'OK') FROM journal WHERE at_us >= "
        found, approved = map(int, self._psql(f"{sql}{since}")[0].split("|"))
        if not found == approved == calls:
            raise RuntimeError(f"{calls} calls, {found} in the journal, {approved} approved")


def _account(one: Account) -> str:
    pin = f"sha256(convert_to('campus{one.number}:{one.pin}','UTF8'))" if one.pin else "NULL"
    return (
        f"({one.number},{one.online},{one.subsidy},{one.held},{one.status},{one.day_limit},"
        f"{one.meal_limit},{pin})"
    )
