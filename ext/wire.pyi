"""The codec of the hot messages; shapes are those of ext/commands.h."""

from typing import Final, TypedDict, type_check_only

from typing_extensions import Buffer

METHODS: Final[dict[str, int]]
REPLY_BYTES: Final[int]
SLOTS: Final[list[list[int]]]

class WireError(ValueError):
    """A message is refused before it becomes a command.

    `reason` is REQUEST_MALFORMED, or FIELD_INVALID with `field` and what it must be.
    """

    reason: str
    field: str
    detail: str
    def __init__(self, reason: str, field: str, detail: str) -> None: ...

@type_check_only
class Command(TypedDict):
    """What the decoder sets of a cc_command."""

    op: int
    flags: int
    terminal_name: bytes
    batch_no: int
    terminal_seq: int
    medium_key: bytes
    amount: int
    original_seq: int
    original_batch: int
    original_terminal_seq: int
    card_counter: int
    pin: bytes
    fingerprint: int

def decode(method: int, message: Buffer) -> Command: ...
def decode_stream(message: Buffer) -> Command: ...
def decode_batch(message: Buffer) -> list[Command | WireError]: ...
def count_batch(message: Buffer) -> int: ...
def encode(method: int, raw: bytes, terminal_name: bytes | None = None) -> bytes: ...
def encode_stream(raw: bytes, terminal_seq: int) -> bytes: ...
def encode_batch(raw: bytes, terminal_seqs: Buffer) -> bytes: ...
