"""Our own server beside the peers: the same terminals at grpcio and at the native front end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.arrivals import poisson
from bench.load import Shape, Terminals
from bench.peers.runs import Run
from bench.serving import Served
from bench.workload import Draws
from ext.front import load

_PROBE: Final = 200


class Ours:
    """One front end of a server on the campus of the measured runs."""

    def __init__(self, served: Served, drawn: Draws, *, native: bool) -> None:
        self._served = served
        self._draws = drawn
        self._address = served.front_address if native else served.address
        self.name = "campuscard native" if native else "campuscard grpcio"
        self.what = (
            f"our server, {'native front end' if native else 'grpcio'}, unary calls over TCP, "
            "TLS off, chain and merchant balances on"
        )

    @contextmanager
    def _terminals(self, clients: int) -> Iterator[Terminals]:
        shape = Shape(self.name, load.UNARY, clients, 1)
        with Terminals(self._served, shape, self._draws, address=self._address) as terminals:
            yield terminals

    def closed(self, clients: int, seconds: float) -> Run:
        """Let clients ask again as soon as they are answered, each on its connection."""
        with self._terminals(clients) as terminals:
            probe = terminals.run(_PROBE * clients)
            ran = terminals.run(max(clients, int(probe.calls_per_s * seconds)))
        return Run.of(ran.rate, ran.took)

    def open(self, clients: int, per_s: float, seconds: float) -> Run:
        """Let taps come at Poisson times, each to a connection that is free."""
        with self._terminals(clients) as terminals:
            terminals.run(_PROBE)
            ran = terminals.run(int(per_s * seconds), gaps_ns=poisson(per_s))
        return Run.of(ran.rate, ran.took)
