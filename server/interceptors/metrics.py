"""Counts calls under the names public dashboards know (go-grpc-middleware)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import grpc
from prometheus_client import Counter, Histogram

from server.interceptors.log import code_name
from server.interceptors.wrapping import split_method

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from prometheus_client import CollectorRegistry

    from server.interceptors.wrapping import Context

_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_LABELS: Final = ("grpc_type", "grpc_service", "grpc_method")
_CODES: Final = tuple(code.name for code in grpc.StatusCode)


class MetricsGuard:
    """Counts starts, ends by code, and seconds.

    Args:
        registry: of Prometheus.
        methods: full name and shape (``unary``, ``server_stream``, ``bidi_stream``) of every
            method; each starts at zero so that rates exist from the first call on.
    """

    def __init__(self, registry: CollectorRegistry, methods: Iterable[tuple[str, str]]) -> None:
        self._started = Counter("grpc_server_started", "Calls started.", _LABELS, registry=registry)
        self._handled = Counter(
            "grpc_server_handled",
            "Calls ended, by code.",
            (*_LABELS, "grpc_code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Seconds a call took in the server.",
            _LABELS,
            buckets=_BUCKETS,
            registry=registry,
        )
        self._methods: dict[str, _MethodMetrics] = {}
        for method, shape in methods:
            self._methods[method] = self._make(method, shape)

    def around(self, method: str, context: Context) -> _Counted:
        """Count one call."""
        metrics = self._methods.get(method)
        if metrics is None:
            metrics = self._methods[method] = self._make(method, "unary")
        return _Counted(metrics, context)

    def _make(self, method: str, shape: str) -> _MethodMetrics:
        values = (shape, *split_method(method))
        return _MethodMetrics(
            self._started.labels(*values),
            self._seconds.labels(*values),
            {name: self._handled.labels(*values, code_label(name)) for name in _CODES},
        )


class _MethodMetrics:
    """The series of one method, looked up once."""

    __slots__ = ("handled", "seconds", "started")

    def __init__(self, started: Counter, seconds: Histogram, handled: dict[str, Counter]) -> None:
        self.started = started
        self.seconds = seconds
        self.handled = handled


class _Counted:
    """One call being counted."""

    __slots__ = ("_context", "_metrics", "_started_at")

    def __init__(self, metrics: _MethodMetrics, context: Context) -> None:
        self._metrics = metrics
        self._context = context
        self._started_at = 0.0

    async def __aenter__(self) -> None:
        self._started_at = time.perf_counter()
        self._metrics.started.inc()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
        name = "CANCELLED" if cancelled else code_name(self._context)
        self._metrics.seconds.observe(time.perf_counter() - self._started_at)
        self._metrics.handled[name].inc()


def code_label(name: str) -> str:
    """Write a code as dashboards expect it: ``INVALID_ARGUMENT`` is ``InvalidArgument``."""
    return name if name == "OK" else "".join(word.capitalize() for word in name.split("_"))
