"""How patient a terminal is, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Times in seconds."""

    attempt_s: float = 2.0  # one send
    patience_s: float = 8.0  # how long a customer waits before the terminal gives up
    read_s: float = 3.0  # a balance, a heartbeat
    first_pause_s: float = 0.1  # back-off between tries: first, doubled up to
    most_pause_s: float = 2.0  # this while somebody waits, and
    background_pause_s: float = 60.0  # this when nobody does
    software: str = "campuscard-sdk 0.1"


@dataclass(slots=True, kw_only=True)
class Counters:
    """What the network did to this terminal since it was opened."""

    sends: int = 0
    retries: int = 0
    questions: int = 0
    replays: int = 0
    given_up: int = 0
    reversals: int = 0
    disputes: int = 0
    sign_ins: int = 0
