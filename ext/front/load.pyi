"""A load of purchases on a front end: for benchmarks."""

import socket
from array import array
from typing import Final, Self

from typing_extensions import disjoint_base

from ext.histogram import Histogram

UNARY: Final[int]
BATCH: Final[int]
STREAM: Final[int]

@disjoint_base
class Load:
    """Clients of one shape against one front end, on connections that stay open.

    Args:
        sockets: connected, not blocking.
        authority: HOST:PORT.
        kind: ``UNARY``, ``BATCH`` or ``STREAM``.
        in_flight: calls of a connection under way at once; messages of its one stream.
        items: purchases of a batch.
        own: each connection is a terminal of its own.
        echo: the requests have a terminal_seq of 0: read in full, and refused by the front end
            itself, without the engine.
        ca: PEM file of the server's CA; with it TLS 1.3.
        pem: files with certificate and key, one for each connection.

    Raises:
        ConnectionError: a handshake failed.
        ValueError: no sockets, or an unknown kind.
    """

    def __new__(
        cls,
        sockets: list[socket.socket],
        authority: str,
        kind: int,
        *,
        in_flight: int = 1,
        items: int = 1,
        own: bool = False,
        echo: bool = False,
        ca: str = "",
        pem: list[str] | None = None,
    ) -> Self: ...
    def sign_in(self, names: bytes, batch_no: array[int]) -> None:
        """Take the keys of terminals that have just signed in; each has 65,535.

        Args:
            names: of terminals, 16 bytes each, zero padded.
            batch_no: theirs; with ``own`` one for each connection.

        Raises:
            ValueError: the lengths do not fit.
        """

    def run(
        self,
        count: int,
        accounts: array[int],
        amounts: array[int],
        *,
        drawn: int = 0,
        gaps_ns: array[int] | None = None,
    ) -> tuple[int, Histogram, int, int, int]:
        """Make so many calls; of a stream: send so many messages.

        Args:
            count: calls, or messages.
            accounts: who pays, drawn round and round.
            amounts: how much, as many.
            drawn: where the draws begin.
            gaps_ns: times between arrivals, round and round: calls come when these say so, and
                latency counts from then. None: who was answered asks again at once.

        Returns:
            Nanoseconds in all; those of each call; calls answered; purchases approved (of batches:
            answered); calls that ended with a status.

        Raises:
            ConnectionError: a connection ended, or nothing was answered for ten seconds.
            ValueError: the terminals have not so many keys left.
        """

    def stop(self) -> None:
        """End the run that another thread is in, or the next, when all it has asked is answered."""
