"""What the engine raises. `ext.engine` offers the same names.

EngineError
├── JournalCorrupt   a reachable block fails a check: refuse to start, restore from the mirror
├── DirectoryBusy    another process holds the data directory
├── KeyMismatch      the key file is missing, unreadable or not this directory's
├── Malformed        a message cannot be decoded
└── Refused          a command was not decided
"""


class EngineError(Exception):
    """Anything the engine reports; most often the directory cannot be used."""


class JournalCorrupt(EngineError):
    """A reachable block fails CRC, chain or state hash. `seq` names it."""

    def __init__(self, seq: int, finding: str) -> None:
        super().__init__(
            f"the journal is damaged at seq {seq}: {finding}. Nothing was changed. Restore the"
            " directory from the mirror (campuscard restore) or from a backup, then start again."
        )
        self.seq = seq
        self.finding = finding


class DirectoryBusy(EngineError):
    """Another process holds the data directory."""


class KeyMismatch(EngineError):
    """The key file is missing, unreadable or not the directory's."""


class Malformed(EngineError):
    """A message cannot be decoded: `reason` is of the catalogue, the rest says where and why."""

    def __init__(self, reason: str, field: str = "", detail: str = "") -> None:
        super().__init__(reason, field, detail)
        self.reason = reason
        self.field = field
        self.detail = detail


class Refused(EngineError):
    """A command was not decided: `retry_after_ms` 0 means do not; `effect` is an office index."""

    def __init__(self, reason: str, retry_after_ms: int = 0, effect: int = 0) -> None:
        super().__init__(reason, retry_after_ms, effect)
        self.reason = reason
        self.retry_after_ms = retry_after_ms
        self.effect = effect
