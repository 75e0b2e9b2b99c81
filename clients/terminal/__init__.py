"""The SDK a terminal vendor uses, and the simulator."""

from clients.terminal.entries import Key, Kind, State
from clients.terminal.errors import TerminalError
from clients.terminal.link import connect
from clients.terminal.receipts import Receipt, Result, card, phone_qr
from clients.terminal.settings import Counters, Settings
from clients.terminal.settler import now_us
from clients.terminal.store import SqliteStore, Store
from clients.terminal.terminal import Terminal

__all__ = [
    "Counters",
    "Key",
    "Kind",
    "Receipt",
    "Result",
    "Settings",
    "SqliteStore",
    "State",
    "Store",
    "Terminal",
    "TerminalError",
    "card",
    "connect",
    "now_us",
    "phone_qr",
]
