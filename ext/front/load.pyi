"""A load of purchases on a front end: for benchmarks."""

import socket
from array import array
from typing import Final, Self

from typing_extensions import disjoint_base

UNARY: Final[int]
BATCH: Final[int]
STREAM: Final[int]

@disjoint_base
class Load:
    """Clients of one shape against one front end.

    Args:
        sockets: connected, not blocking.
        authority: HOST:PORT.
        kind: ``UNARY``, ``BATCH`` or ``STREAM``.
        in_flight: calls of a connection under way at once; messages of its one stream.
        items: purchases of a batch.
    """

    def __new__(
        cls,
        sockets: list[socket.socket],
        authority: str,
        kind: int,
        *,
        in_flight: int = 1,
        items: int = 1,
    ) -> Self: ...
    def run(
        self,
        count: int,
        names: bytes,
        batch_no: array[int],
        accounts: array[int],
        amounts: array[int],
        drawn: int = 0,
    ) -> tuple[int, array[int], int, int]:
        """Make so many calls, once for each ``Load`` of streams.

        Args:
            count: of calls, or of a stream's messages.
            names: of terminals, 16 bytes each, zero padded; each gives 65,535 keys.
            batch_no: theirs, freshly signed in.
            accounts: who pays, drawn round and round.
            amounts: how much.
            drawn: where the draws begin.

        Returns:
            Nanoseconds in all, nanoseconds of each call, purchases approved (of batches: answered),
            calls that ended with a status.

        Raises:
            ConnectionError: a connection ended, or nothing was answered for ten seconds.
            ValueError: the terminals do not have so many keys.
        """
