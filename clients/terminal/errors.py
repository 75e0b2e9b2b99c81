"""What the SDK raises.

TerminalError
├── StoreError
│   ├── StoreBusyError        another process has the store open
│   └── StoreFailedError      a write was not confirmed: the terminal must stop charging
├── SignInRefusedError        the server knows the terminal and says no (``reason``)
├── BatchRegressedError       the server issued a batch this store has already used
├── ServerUnreachableError    a read, a sign-in or a change of password had no answer in time
├── CallRejectedError         a read or a change of password was refused for good (``reason``)
└── IllegalTransitionError    a defect: this event cannot follow in this state

A payment never raises for what the server or the network did: it returns a ``Receipt``.
"""

from __future__ import annotations


class TerminalError(Exception):
    """Base of everything the SDK raises on purpose."""


class StoreError(TerminalError):
    """The local store cannot be used."""


class StoreBusyError(StoreError):
    """Another process has the store open; two would give out the same keys."""


class StoreFailedError(StoreError):
    """A write was not confirmed. What is on disk is unknown: reopen before the next charge."""


class SignInRefusedError(TerminalError):
    """The server refused SignIn. ``reason`` is of the server's catalogue."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"sign-in refused: {reason} {detail}".rstrip())
        self.reason = reason


class BatchRegressedError(TerminalError):
    """SignIn returned a batch number that this store has seen before: the server lost data."""


class ServerUnreachableError(TerminalError):
    """No answer in time to a call that moves no money."""


class CallRejectedError(TerminalError):
    """The server refused a call that moves no money. ``reason`` is of the server's catalogue."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason} {detail}".rstrip())
        self.reason = reason


class IllegalTransitionError(TerminalError):
    """An entry met an event its state does not allow; nothing was changed."""
