"""Programs of Debian packages: the installed ones, or fetched and unpacked into build/peers.

Nothing is installed into the system and no service starts: the packages are only unpacked, with what
they need that the system lacks. ``make clean`` removes them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.rows import ROOT, progress

FETCHED: Final = ROOT / "build" / "peers"
_TIMEOUT_S: Final = 300


class Missing(RuntimeError):
    """A program is neither installed nor to be had; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where a package's programs are, and what they need in the environment."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)


def postgres(*, fetch: bool = True) -> Programs:
    """Return the directory with initdb, postgres and pgbench.

    Args:
        fetch: where it is not installed.

    Raises:
        Missing: there is none.
    """
    return _found("postgresql-15", "usr/lib/postgresql/*/bin", "pgbench", fetch=fetch)


def redis(*, fetch: bool = True) -> Programs:
    """Return the directory with redis-server and redis-benchmark.

    Args:
        fetch: where it is not installed.

    Raises:
        Missing: there is none.
    """
    return _found("redis-server", "usr/bin", "redis-server", fetch=fetch)


def _found(package: str, pattern: str, program: str, *, fetch: bool) -> Programs:
    installed = sorted(path for path in Path("/").glob(pattern) if (path / program).exists())
    if installed:
        return Programs(installed[-1])
    root = FETCHED / package
    if not any((path / program).exists() for path in root.glob(pattern)):
        if not fetch:
            raise Missing(f"{package} is not installed")
        _fetch(package, root)
    unpacked = sorted(path for path in root.glob(pattern) if (path / program).exists())
    if not unpacked:
        raise Missing(f"{package} has no {program}")
    libraries = [str(path) for path in (root / "usr" / "lib").glob("*-linux-gnu")]
    return Programs(unpacked[-1], {"LD_LIBRARY_PATH": ":".join(libraries)})


def _fetch(package: str, root: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Missing(f"{package} is not installed, and without apt-get it cannot be fetched")
    progress(f"fetching {package} from Debian into {FETCHED.relative_to(ROOT)}")
    lists, cache = FETCHED / "lists", FETCHED / f"{package}.cache"
    for directory in (lists / "partial", cache / "archives" / "partial"):
        directory.mkdir(parents=True, exist_ok=True)
    apt = [
        *("apt-get", "-qq", "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"),
        *("-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"),
    ]
    _run([*apt, "update"], package)
    _run([*apt, "install", "--download-only", "--no-install-recommends", "-y", package], package)
    unpacking = root.with_suffix(".part")
    shutil.rmtree(unpacking, ignore_errors=True)
    for archive in sorted((cache / "archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(archive), str(unpacking)], package)
    shutil.rmtree(cache)
    unpacking.rename(root)


def _run(command: list[str], package: str) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Missing(f"{package} cannot be fetched: {' '.join(words[-3:])}")
