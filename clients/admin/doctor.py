"""``campuscard doctor``: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import ssl
import stat
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from clients.admin.console import tr
from clients.admin.doctor_doors import check_certificate, check_port, check_terminals_port
from clients.admin.findings import Finding, Health, Place, is_held

SYNC_TRIES: Final = 40
SYNC_BYTES: Final = 4096
SYNC_TOO_FAST_US: Final = 30  # no disk or SSD without a protected cache flushes this fast
SYNC_SLOW_US: Final = 20_000
FREE_BYTES_MIN: Final = 2 << 30
FILES_MIN: Final = 1024
EPOCH_OLDEST_S: Final = 1_704_067_200  # 2024-01-01
MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})
UNKNOWN: Final = "unknown"
NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"})


def examine(place: Place) -> Iterator[Finding]:
    """Run every check; one that breaks is a finding, not an end."""
    checks: tuple[Callable[[Place], Finding], ...] = (
        check_python,
        check_libcrypto,
        check_lmdb,
        check_engine,
        check_file_system,
        check_sync,
        check_space,
        check_clock,
        check_files_limit,
        check_locked_memory,
        check_key_file,
        check_directory,
        check_port,
        check_terminals_port,
        check_certificate,
    )
    for check in checks:
        try:
            yield check(place)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
            name = check.__name__.removeprefix("check_")
            yield Finding(name=name, health=Health.FAILED, found=f"{type(error).__name__}: {error}")


def check_python(place: Place) -> Finding:
    """Python 3.11 or newer."""
    del place
    good = sys.version_info >= (3, 11)
    return Finding(
        name="python",
        health=Health.OK if good else Health.FAILED,
        found=f"{platform.python_version()} {sys.executable}",
        step="" if good else "apt-get install python3.11",
    )


def check_libcrypto(place: Place) -> Finding:
    """OpenSSL 3, which makes hashes and password tags."""
    del place
    good = ssl.OPENSSL_VERSION_INFO >= (3, 0)
    return Finding(
        name="libcrypto",
        health=Health.OK if good else Health.WARNING,
        found=ssl.OPENSSL_VERSION,
        step="" if good else "apt-get install libssl3",
    )


def check_lmdb(place: Place) -> Finding:
    """The LMDB inside the wheel, with the names the engine binds."""
    del place
    try:
        from ext import lmdb09  # type: ignore[attr-defined] # has no stub: the engine's own
    except ImportError as error:
        return Finding(
            name="lmdb", health=Health.FAILED, found=str(error), step="pip install 'lmdb==3.0.0'"
        )
    version = ".".join(map(str, lmdb09.VERSION))
    return Finding(name="lmdb", health=Health.OK, found=f"{version} {lmdb09.LIBRARY}")


def check_engine(place: Place) -> Finding:
    """The compiled engine."""
    del place
    try:
        from ext import engine
    except ImportError as error:
        return Finding(name="engine", health=Health.FAILED, found=str(error), step="make build")
    return Finding(name="engine", health=Health.OK, found=f"version {engine.ENGINE_VERSION}")


def check_file_system(place: Place) -> Finding:
    """A local disk: a journal in memory or over a network is none."""
    kind = file_system(_existing(place.data))
    if kind in NETWORK_FILE_SYSTEMS:
        step = tr("数据目录须在本地磁盘上。", "Put the data directory on a local disk.")
        return Finding(name="file system", health=Health.FAILED, found=kind, step=step)
    if kind in MEMORY_FILE_SYSTEMS:
        step = tr("断电即失: 仅供测试。", "Gone with the power: for tests only.")
        return Finding(name="file system", health=Health.WARNING, found=kind, step=step)
    if kind == UNKNOWN:
        step = tr(
            "看不到挂载: 确认是本地磁盘。", "Mounts cannot be seen: make sure it is a local disk."
        )
        return Finding(name="file system", health=Health.WARNING, found=kind, step=step)
    return Finding(name="file system", health=Health.OK, found=kind)


def check_sync(place: Place) -> Finding:
    """How long a durable write takes, and whether it can be true."""
    times_us = sync_times_us(_existing(place.data))
    middle_us = int(statistics.median(times_us))
    worst_us = max(times_us)
    rate = 1_000_000 // max(middle_us, 1)
    found = tr(
        f"4 KiB 写入并落盘 {middle_us} µs (最慢 {worst_us}), 约 {rate}/s",
        f"write and fdatasync of 4 KiB {middle_us} µs (worst {worst_us}), about {rate}/s",
    )
    if middle_us < SYNC_TOO_FAST_US:
        step = tr(
            "快得不真实: 磁盘缓存可能不保电。确认有断电保护, 或关闭写缓存 (hdparm -W0)。",
            "Too fast to be true: a volatile cache may answer. Make sure it survives power loss, "
            "or switch the write cache off (hdparm -W0).",
        )
        return Finding(name="disk sync", health=Health.WARNING, found=found, step=step)
    if middle_us > SYNC_SLOW_US:
        step = tr(
            "慢盘: 换 SSD; 忙时靠合并提交。", "Slow: use an SSD; under load commits are shared."
        )
        return Finding(name="disk sync", health=Health.WARNING, found=found, step=step)
    return Finding(name="disk sync", health=Health.OK, found=found)


def check_space(place: Place) -> Finding:
    """Free space: a campus writes about 3 GB a year."""
    usage = shutil.disk_usage(_existing(place.data))
    found = f"{usage.free / 2**30:.1f} GiB / {usage.total / 2**30:.1f} GiB"
    if usage.free < FREE_BYTES_MIN:
        step = tr("少于 2 GiB: 请扩容。", "Less than 2 GiB: add space.")
        return Finding(name="free space", health=Health.WARNING, found=found, step=step)
    return Finding(name="free space", health=Health.OK, found=found)


def check_clock(place: Place) -> Finding:
    """The clock: days and meals follow it, and it must not be behind the journal."""
    now_s = time.time()
    newest_s = max(
        (path.stat().st_mtime for path in place.data.glob("journal/*/data.mdb")), default=0.0
    )
    found = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    step = tr("校时: timedatectl set-ntp true", "Set it: timedatectl set-ntp true")
    if now_s < EPOCH_OLDEST_S or now_s + 60 < newest_s:
        return Finding(name="clock", health=Health.FAILED, found=found, step=step)
    if not _synchronised():
        found += tr(" (未见校时服务)", " (no time service seen)")
        return Finding(name="clock", health=Health.WARNING, found=found, step=step)
    return Finding(name="clock", health=Health.OK, found=found)


def check_files_limit(place: Place) -> Finding:
    """Open files: a connection is one."""
    del place
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft >= FILES_MIN
    return Finding(
        name="open files",
        health=Health.OK if good else Health.WARNING,
        found=f"{soft} / {hard}",
        step="" if good else f"ulimit -n {min(max(hard, FILES_MIN), 65_536)}",
    )


def check_locked_memory(place: Place) -> Finding:
    """Locked memory keeps passwords out of swap."""
    del place
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    good = soft == resource.RLIM_INFINITY or soft >= 8 << 20
    text = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft >> 10} KiB"
    return Finding(
        name="locked memory",
        health=Health.OK if good else Health.WARNING,
        found=text,
        step="" if good else "ulimit -l unlimited  (systemd: LimitMEMLOCK=infinity)",
    )


def check_key_file(place: Place) -> Finding:
    """The key file: there, private, outside the data directory."""
    path = place.key_file
    if not path.exists():
        if not place.data.exists():
            step = tr("新建: campuscard init", "Make one: campuscard init")
            return Finding(name="key file", health=Health.WARNING, found=f"{path} -", step=step)
        step = tr(
            "从备份取回; 不可新造。", "Bring it back from its backup; a new one does not fit."
        )
        return Finding(name="key file", health=Health.FAILED, found=f"{path} -", step=step)
    mode = stat.S_IMODE(path.stat().st_mode)
    found = f"{path} {mode:04o}"
    if mode & 0o077:
        return Finding(name="key file", health=Health.FAILED, found=found, step=f"chmod 600 {path}")
    if place.data.resolve() in path.resolve().parents:
        step = tr(
            "移出数据目录, 分开备份。", "Move it out of the data directory and back it up apart."
        )
        return Finding(name="key file", health=Health.FAILED, found=found, step=step)
    return Finding(name="key file", health=Health.OK, found=found)


def check_directory(place: Place) -> Finding:
    """The data directory: there, ours to write, and whether a server has it."""
    if not place.data.is_dir():
        step = tr("新建: campuscard init", "Make one: campuscard init")
        return Finding(name="data", health=Health.WARNING, found=f"{place.data} -", step=step)
    if not (place.data / "journal").is_dir():
        step = tr("这不是数据目录。", "This is no data directory.")
        return Finding(name="data", health=Health.FAILED, found=str(place.data), step=step)
    if not os.access(place.data, os.R_OK | os.W_OK | os.X_OK):
        step = f"chown -R $USER {place.data}"
        return Finding(name="data", health=Health.FAILED, found=str(place.data), step=step)
    held = tr("服务器正在使用", "a server has it") if is_held(place.data) else tr("空闲", "free")
    return Finding(name="data", health=Health.OK, found=f"{place.data} ({held})")


def sync_times_us(directory: Path) -> list[int]:
    """Time small durable writes beside the data, microseconds each."""
    path = directory / f".doctor-{os.getpid()}"
    block = b"\0" * SYNC_BYTES
    times: list[int] = []
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, block * SYNC_TRIES)
        os.fsync(descriptor)  # sizes are settled: what follows is data only, as in the journal
        for index in range(SYNC_TRIES):
            started = time.perf_counter_ns()
            os.pwrite(descriptor, os.urandom(8) + block[8:], index * SYNC_BYTES)
            os.fdatasync(descriptor)
            times.append((time.perf_counter_ns() - started) // 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return times


def file_system(path: Path) -> str:
    """Return the kind of file system a path is on; UNKNOWN where its mount cannot be seen (chroot)."""
    wanted = path.resolve()
    best, kind = Path(), UNKNOWN
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        point = Path(fields[1].replace("\\040", " "))
        if wanted.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, fields[2]
    return kind


def _existing(path: Path) -> Path:
    """Return the path or its nearest parent that exists."""
    for candidate in (path.absolute(), *path.absolute().parents):
        if candidate.is_dir():
            return candidate
    return Path("/")


def _synchronised() -> bool:
    """Whether some time service says that the clock is right."""
    marks = ("/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/chronyd.pid")
    return any(Path(mark).exists() for mark in (*marks, "/run/ntpd.pid"))
