"""What ``campuscard doctor`` looks at, and what it says of it."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Health(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was found, and what to do unless it is OK."""

    name: str
    health: Health
    found: str
    step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is to be looked at; the directory need not exist.

    ``front_address`` is where terminals call, empty: nowhere of their own. With ``certificate`` and
    ``key`` they speak TLS there.
    """

    data: Path
    key_file: Path
    address: str
    front_address: str = ""
    certificate: Path | None = None
    key: Path | None = None


def is_held(data: Path) -> bool:
    """Whether a process holds the directory's lock; taking it for a moment harms nobody."""
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    lock_file = data / "lock"
    if lock_file.exists():
        os.close(descriptor)
        descriptor = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
