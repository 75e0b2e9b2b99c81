"""campuscard restore: a followed or copied directory, checked whole, becomes one to serve from.

The journal is the truth: rows, registry and reports are rebuilt from it at the first start. What
it cannot hold has to come along: the key file of the passwords, and the holders' keys and files.

**Source:** regulation 七.2.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from server.offline import verify
from server.offline.files import DirectoryError, JournalFiles, at_rest
from server.offline.identity import NAME, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.offline.verify import StateHash, Verdict

    Progress = Callable[[str, int, int], None]
    """Called with (what is done: "verify" or "copy", records done, records in all)."""

DATA: Final = "data.mdb"
BESIDE_JOURNAL: Final = ("keys", "files")
"""Primary data that the journal does not hold; copied when the source has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult:
    """What became of it."""

    verdict: Verdict
    directory: str
    """The new data directory; empty when only the check was asked for."""
    last_seq: int
    blocks: int
    seconds: float
    missing: tuple[str, ...]
    """Primary data the source does not have: restore it from its own backup."""

    @property
    def ok(self) -> bool:
        """Whether a server may start on it."""
        return self.verdict.ok


def run(
    source: Path,
    target: Path | None = None,
    *,
    key_file: Path | None = None,
    state_hash: StateHash = "sampled",
    progress: Progress | None = None,
) -> RestoreResult:
    """Check a directory completely, and copy it into a new one to start a server on.

    Args:
        source: a followed, copied or stopped data directory; it is not changed.
        target: the new data directory; None: only check.
        key_file: the key that goes with it, needed for a target; it stays where it is.
        state_hash: see `verify.run`.
        progress: called now and then.

    Raises:
        DirectoryError: no data directory, a target that holds something, a missing or wrong key.
        DirectoryInUse: a process holds the source.
    """
    began = time.monotonic()
    known = read(source)
    if target is not None:
        if key_file is None:
            raise DirectoryError("the key file is needed: passwords cannot be checked without it")
        known.check_key(key_file)
        refuse_occupied(target)
    verdict = verify.run(
        source,
        state_hash=state_hash,
        progress=(lambda done, total: progress("verify", done, total)) if progress else None,
    )
    blocks = 0
    if target is not None and verdict.ok:
        blocks = copy(source, target, known.pack(), progress)
    return RestoreResult(
        verdict=verdict,
        directory=str(target) if target is not None and verdict.ok else "",
        last_seq=verdict.head_seq,
        blocks=blocks,
        seconds=time.monotonic() - began,
        missing=tuple(name for name in BESIDE_JOURNAL if not (source / name).is_dir()),
    )


def refuse_occupied(target: Path) -> None:
    """Refuse a directory that holds something.

    Raises:
        DirectoryError: it does.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is a data directory already" if (target / NAME).exists() else "is not empty"
        raise DirectoryError(f"{target} {what}")


def copy(source: Path, target: Path, identity: bytes, progress: Progress | None) -> int:
    """Copy segments and what lies beside the journal under another name, then rename.

    The files are copied as they were verified, not written anew: years of journal in minutes. The
    engine looks at every page of them once more when it starts.
    """
    making = target.parent / f".{target.name}.restoring"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700, parents=True)
    with at_rest(source), JournalFiles(source) as files:
        last = files.last_seq
        (making / "journal").mkdir(mode=0o700)
        for segment in files.segments:
            to = making / "journal" / segment.name
            to.mkdir(mode=0o700)
            shutil.copyfile(source / "journal" / segment.name / DATA, to / DATA)
            (to / DATA).chmod(0o600)
            sync(to / DATA)
            sync(to)
            if progress is not None:
                progress("copy", segment.last_key, last)
        sync(making / "journal")
    for name in BESIDE_JOURNAL:
        if (source / name).is_dir():
            copy_tree(source / name, making / name)
    (making / NAME).write_bytes(identity)
    (making / NAME).chmod(0o600)
    sync(making / NAME)
    sync(making)
    with JournalFiles(making) as made:
        blocks = sum(len(segment.keys) for segment in made.segments)
    making.rename(target)
    sync(target.parent)
    return blocks


def copy_tree(source: Path, target: Path) -> None:
    """Copy files and bring them onto the disk."""
    shutil.copytree(source, target)
    for folder, _folders, files in os.walk(target):
        for name in files:
            sync(os.path.join(folder, name))  # noqa: PTH118 - os.walk speaks strings
        sync(folder)


def sync(path: str | Path) -> None:
    """Bring a file or a directory's names onto the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
