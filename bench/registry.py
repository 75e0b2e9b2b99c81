"""The office: looking holders up among 200,000, importing rosters while tills pay, taking photos in.

Imports and photos go the whole way: ``campuscard office``, gRPC, a worker process, the office lane, the
journal, the registry, the disk. The payments beside an import come at fixed times, whether or not the
one before was answered.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from PIL import Image

from bench.disk import is_disk
from bench.requests import Requests, approved_single
from bench.rows import Row, percentile, progress
from bench.rpc import CHANNEL, SERVICE
from bench.serving import CALL_S, Served, settings_toml
from bench.workload import SEED, Scale, draws, make_campus
from campuscard.v1 import terminal_service_pb2_grpc
from clients.admin.demo import first_secret
from clients.admin.demo_staff import DemoStaff
from core.holders import HolderStatus
from core.ids import check_character
from core.rows import AccountStatus
from server.registers import holders
from server.registers.holders import HolderFilter
from server.registry import Registry

HOLDERS: Final = 200_000
IMPORTED: Final = 50_000
PHOTOS: Final = 400
PAYERS: Final = 2_000
PAYMENTS_PER_S: Final = 100
LOOKUP_MS: Final = 5.0
IMPORT_RATE: Final = 50_000 / 60
PHOTO_RATE: Final = 45.0
CLASS_SIZE: Final = 45
_FIRST: Final = 202_400_000_000
_HEADING: Final = [
    "序号",
    "学号",
    "姓名",
    "性别",
    "班级",
    "身份证号",
    "联系电话",
    "照片文件名",
    "备注",
]


def measure(directory: Path, scale: Scale) -> Iterator[Row]:
    """Yield the rows of lookups, of the import and of the photos."""
    count, rounds = scale.choose((HOLDERS, 2_000), (HOLDERS, 300), (500, 5))
    yield from lookups(directory, count, rounds)
    rows = scale.choose(IMPORTED, 10_000, 60)
    photos = scale.choose(PHOTOS, 100, 4)
    seconds = scale.choose(10.0, 4.0, 0.2)
    os.environ["XDG_STATE_HOME"] = str(directory)  # the session is of this run only
    paths = make_campus(
        directory / "campus",
        PAYERS,
        toml=settings_toml(PAYERS + rows, ""),
        segment_bytes=scale.file_bytes,
    )
    served = Served(directory, paths)
    served.process.start()
    try:
        staff = DemoStaff(directory, served.address)
        staff.enter(first_secret(served.process))
        office = Office(served.address, staff.token(), durable=is_disk(directory))
        yield from office.roster(directory, rows, seconds)
        yield office.photos(directory, min(photos, rows))
    finally:
        served.process.kill()


# ---- lookups ----


def lookups(directory: Path, count: int, rounds: int) -> Iterator[Row]:
    """Fill a registry and time the ways holders are found; each is what its RPC asks once."""
    progress(f"a registry of {count:,} holders")
    registry = Registry(directory / "registry" / "registry.db")
    fill(registry, count)
    sql, rng = registry.connection, random.Random(SEED)

    def listing(after: tuple[str, str] = ("", ""), **wanted: Any) -> Callable[[], Any]:
        return lambda: holders.list_holders(sql, HolderFilter(**wanted), after=after, limit=51)

    def anybody() -> int:
        return rng.randrange(count)

    ways: dict[str, Callable[[], Callable[[], Any]]] = {
        "account": lambda: _of(holders.holder, sql, number_of(anybody())),
        "card": lambda: _of(registry.bound_medium, 1, anybody().to_bytes(7, "big")),
        "name prefix": lambda: listing(name_prefix=name_of(anybody())[:3]),
        "name page": lambda: listing((name_of(at := anybody()), number_of(at)), name_prefix="测试"),
        "number prefix": lambda: listing(account_no_prefix=number_of(anybody())[:9]),
        "class": lambda: listing(class_name=class_of(anybody())),
        "class without photo": lambda: listing(class_name=class_of(anybody()), has_photo=False),
        "status": lambda: listing(("", number_of(anybody())), status=HolderStatus.GRADUATED),
        "without photo": lambda: listing(("", number_of(anybody())), has_photo=False),
    }
    for name, way in ways.items():
        times, busy = [], []
        for _ in range(rounds):
            call = way()
            began, worked = time.perf_counter_ns(), time.thread_time_ns()
            call()
            times.append((time.perf_counter_ns() - began) / 1e6)
            busy.append((time.thread_time_ns() - worked) / 1e6)
        yield Row(
            name=f"lookup {name}",
            value=percentile(times, 0.99),
            unit="ms",
            p50_ms=percentile(times, 0.5),
            p99_ms=percentile(times, 0.99),
            accounts=count,
            target=LOOKUP_MS,
            least=False,
            detail={"rounds": rounds, "cpu_p99_ms": round(percentile(busy, 0.99), 3)},
        )
    registry.close()
    os.sync()  # what it left to be written would be written while the import is measured


def _of(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: function(*arguments)


def fill(registry: Registry, count: int) -> None:
    """Write the rows that so many imported holders with cards would have."""
    sql = registry.connection
    sql.execute("BEGIN")
    sql.executemany(
        "INSERT INTO accounts (number, account_no, kind, name, class_name, phone, standing,"
        " photo_version, changed_seq, status, must_change, open_time_us)"
        " VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, 1, 0)",
        (
            (
                at + 1,
                number_of(at),
                name_of(at),
                class_of(at),
                f"{13_000_000_000 + at}",
                3 if at % 5 == 0 else 1,
                int(at % 20 != 0),
                at + 1,
                AccountStatus.NORMAL,
            )
            for at in range(count)
        ),
    )
    sql.executemany(
        "INSERT INTO holder_secrets VALUES (?, ?, ?, ?)",
        ((at + 1, at.to_bytes(16, "big"), bytes(160), bytes(16)) for at in range(count)),
    )
    sql.executemany(
        "INSERT INTO media (number, account_number, type, token, key, state, flags, expires_day)"
        " VALUES (?, ?, 1, ?, ?, 3, 0, 0)",
        ((at + 1, at + 1, at.to_bytes(7, "big"), at.to_bytes(16, "big")) for at in range(count)),
    )
    sql.execute("COMMIT")


def number_of(at: int) -> str:
    """Return the account number of one of the holders."""
    return str(_FIRST + at)


def name_of(at: int) -> str:
    """Return a name; about 40 share each of their first three characters."""
    return f"测试{chr(0x4E00 + at * 7919 % 5_000)}{chr(0x4E00 + at % 5_000)}"


def class_of(at: int) -> str:
    """Return a class of 45."""
    return f"2024级{at // CLASS_SIZE:05}班"


# ---- the whole way ----


class Office:
    """The command line of a member of staff, and tills beside it."""

    def __init__(self, address: str, token: str, *, durable: bool) -> None:
        self._address = address
        self._durable = durable
        self._environment = {**os.environ, "CAMPUSCARD_TOKEN": token, "CAMPUSCARD_ADDRESS": address}

    def roster(self, directory: Path, rows: int, seconds: float) -> Iterator[Row]:
        """Import a roster, and again, while tills pay."""
        file = directory / "roster.csv"
        file.write_bytes(roster(rows))
        progress(f"{PAYMENTS_PER_S} payments a second, alone")
        alone = asyncio.run(self._pay(lambda: asyncio.sleep(seconds)))
        for name, counted in (("import", "added"), ("import again", "unchanged")):
            progress(f"{name}: {rows:,} rows")
            began = time.perf_counter()
            found: dict[str, Any] = {}

            async def work(found: dict[str, Any] = found) -> None:
                found |= await self._command("import", str(file))

            beside = asyncio.run(self._pay(work))
            took = time.perf_counter() - began
            if found["summary"][counted] != rows:
                raise RuntimeError(f"{name}: {found['summary']}")
            yield Row(
                name=f"{name} {rows}",
                value=rows / took,
                unit="rows/s",
                p50_ms=percentile(beside, 0.5),
                p99_ms=percentile(beside, 0.99),
                durable=self._durable,
                accounts=rows,
                target=IMPORT_RATE,
                detail={
                    "seconds": round(took, 1),
                    "payments_per_s": PAYMENTS_PER_S,
                    "alone_p50_ms": round(percentile(alone, 0.5), 2),
                    "alone_p99_ms": round(percentile(alone, 0.99), 2),
                },
            )

    def photos(self, directory: Path, count: int) -> Row:
        """Send an archive of photos of the largest size allowed."""
        progress(f"photos: {count}")
        file = directory / "photos.zip"
        sizes = []
        with zipfile.ZipFile(file, "w") as archive:
            for at in range(count):
                content = jpeg(at)
                sizes.append(len(content))
                archive.writestr(f"{name_of(at)}{number_of(at)}.jpg", content)
        # The first photo starts the worker; that is not counted.
        with zipfile.ZipFile(directory / "first.zip", "w") as archive:
            archive.writestr(f"{name_of(0)}{number_of(0)}.jpg", jpeg(count))
        asyncio.run(self._command("photos", str(directory / "first.zip"), "--recent-frontal"))
        began = time.perf_counter()
        found = asyncio.run(self._command("photos", str(file), "--recent-frontal"))
        took = time.perf_counter() - began
        if [photo["outcome"] for photo in found] != ["added"] * count:
            raise RuntimeError("a photo was refused")
        return Row(
            name=f"photos {count}",
            value=count / took,
            unit="photos/s",
            durable=self._durable,
            target=PHOTO_RATE,
            detail={"mean_bytes": sum(sizes) // count, "side_px": 800, "workers": 1},
        )

    async def _command(self, *arguments: str) -> Any:
        command = [sys.executable, "-m", "clients.admin.cli", "office", *arguments, "-o", "json"]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, env=self._environment
        )
        out, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{arguments[0]} ended with {process.returncode}")
        return json.loads(out)

    async def _pay(self, work: Callable[[], Any]) -> list[float]:
        """Pay at fixed times until the work is done; returns milliseconds of each payment."""
        times: list[float] = []
        with grpc.insecure_channel(self._address, options=CHANNEL) as signing:
            stub = terminal_service_pb2_grpc.TerminalServiceStub(signing)
            requests = Requests(draws(PAYERS), lambda r: stub.SignIn(r, timeout=CALL_S))
            async with grpc.aio.insecure_channel(self._address, options=CHANNEL) as channel:
                method: Any = channel.unary_unary(SERVICE + "Authorize")

                async def pay(message: bytes, due: float) -> None:
                    approved_single(await method(message, timeout=CALL_S))
                    times.append((time.perf_counter() - due) * 1e3)

                payments, due = set(), time.perf_counter()
                task = asyncio.ensure_future(work())
                while not task.done():
                    payments.add(asyncio.create_task(pay(requests.singles(1)[0], due)))
                    due += 1 / PAYMENTS_PER_S
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                await task
                await asyncio.gather(*payments)
        return times


def roster(rows: int) -> bytes:
    """Return a roster with right ID numbers that nobody has."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_HEADING)
    for at in range(rows):
        birth = f"{1990 + at // 1_000 % 20}{1 + at // 20_000:02}{1 + at // 1_000 % 28:02}"
        first_17 = f"990000{birth}{at % 1_000:03}"
        id_number = first_17 + check_character(first_17)
        name, number = name_of(at), number_of(at)
        phone = f"{13_000_000_000 + at}"
        photo = f"{name}{number}.jpg"
        writer.writerow([at + 1, number, name, "女", class_of(at), id_number, phone, photo, ""])
    return text.getvalue().encode()


def jpeg(seed: int) -> bytes:
    """Return a photo of 800 by 800 pixels with as much detail as a portrait."""
    noise = Image.effect_noise((100, 100), 60 + seed % 7).resize((800, 800))
    content = io.BytesIO()
    noise.convert("RGB").rotate(seed % 360).save(content, "JPEG", quality=92)
    return content.getvalue()
