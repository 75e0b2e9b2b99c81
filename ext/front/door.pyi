"""The native front end: gRPC for terminals in threads that need no Python per call.

A front end listens on a socket that is given to it and asks an engine that runs. Close it before
the engine: its threads end when the engine has answered all they asked.
"""

import socket
from collections.abc import Callable
from typing import Any, Final, Self

from typing_extensions import disjoint_base

from ext.engine import Engine

UNARY: Final[int]
BATCH: Final[int]
STREAM: Final[int]
PASSED: Final[int]
FED: Final[int]
AHEAD_BYTES: Final[int]
"""Of a fed call's messages: who gives them waits while so much is ahead."""
BOUNDS: Final[dict[str, tuple[int, int, int]]]
"""Options: default, least and most."""

@disjoint_base
class Front:
    """One listening socket, its threads and what they share.

    Args:
        engine: started.
        socket: listening, not blocking; stays the caller's to close, after ``stop``.
        methods: full path, what it is (``UNARY``, ``BATCH``, ``STREAM``, ``PASSED``, ``FED``), the
            engine's number of a unary one, largest request in bytes.
        make: makes a refusal's words, once each: from reason, field, detail, milliseconds to wait
            and bytes allowed to gRPC's code, ``grpc-message`` and ``grpc-status-details-bin`` as
            they travel.
        options: of ``BOUNDS``.

    Raises:
        ValueError: an option or a method is out of range.
        OSError: no descriptors are left.
    """

    def __new__(
        cls,
        engine: Engine,
        socket: socket.socket,
        methods: list[tuple[bytes, int, int, int]],
        make: Callable[[str, str, str, int, int], tuple[int, bytes, bytes]],
        options: dict[str, int] | None = None,
    ) -> Self: ...
    def secure(self, chain: str, key: str, clients: str = "") -> None:
        """Speak TLS on connections from now on; again, to use renewed files. Old ones go on.

        Args:
            chain: PEM file of our certificate and its issuers.
            key: PEM file of its key.
            clients: PEM file of CAs; callers must then have a certificate whose URI is
                ``spiffe://campus/terminal/ID``, and speak for that terminal only.

        Raises:
            ValueError: a file cannot be used.
        """

    def start(self) -> None:
        """Run the threads."""

    def leave(self) -> None:
        """Take no more connections; tell the present ones to make no more calls."""

    def stop(self) -> None:
        """Close what is left and end the threads; returns when they have."""

    @property
    def open(self) -> int:
        """Connections at present."""

    def refuse(self, reason: int, retry_after_ms: int) -> None:
        """Refuse every command with this reason's number from now on; 0 ends that."""

    @property
    def eventfd(self) -> int:
        """Readable when ``handed`` has something."""

    def handed(self) -> list[tuple[int, int, list[tuple[str, bytes]], bytes, int | None, bytes]]:
        """Return the calls that wait for Python, and streams whose token is to be looked at.

        Each is a name for ``respond`` or ``fail``, one of which must follow, the number of its
        method in ``methods``, metadata, the request, milliseconds left or None, the terminal that
        the caller's certificate names or nothing.
        """

    def told(self) -> list[tuple[int, bool, int]]:
        """Return what has become of calls that Python has; ``eventfd`` says that there is something.

        Each is a name of ``handed``, whether its caller is gone, and the bytes of ``write`` that are
        ahead of a fed call's reader. A name that was answered meanwhile may be among them.
        """

    def write(self, name: int, message: bytes) -> int:
        """Give one more message of a call of a method that is ``FED``.

        Returns:
            Bytes that are ahead of its reader, each message some more than its own. At
            ``AHEAD_BYTES`` or above wait until ``told`` has less.
        """

    def respond(self, name: int, message: bytes) -> None:
        """Answer a call of ``handed``, let a stream in, end a fed call well. Once each."""

    def fail(self, name: int, code: int, message: bytes, details: bytes) -> None:
        """End a call of ``handed`` with a status as it travels. Once each."""

    def stats(self) -> dict[str, Any]:
        """Return counts since the start, and of the present: connections, calls, commands.

        ``ended`` has the calls ended, by path (empty: no method of ours) and gRPC code; ``reasons``
        those refused and the messages refused, by the reason's number. Times are nanoseconds of all
        threads: ``parse_ns`` of ``queued`` commands from the beginning of their turn to the queue,
        ``engine_ns`` of ``decided`` ones from that turn to the one that sends their answers,
        ``reply_ns`` from their release to its end; the others of work.
        """
