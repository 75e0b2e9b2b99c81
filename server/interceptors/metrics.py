"""Counts calls under the names public dashboards know (go-grpc-middleware)."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import grpc
from prometheus_client import Counter, Histogram

from server.interceptors.log import code_name
from server.interceptors.wrapping import Guard, split_method

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from prometheus_client import CollectorRegistry

_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class MetricsGuard(Guard):
    """Counts starts, ends by code, and seconds.

    Args:
        registry: of Prometheus.
        methods: full name and shape (``unary``, ``server_stream``, ``bidi_stream``) of every
            method; each starts at zero so that rates exist from the first call on.
    """

    def __init__(self, registry: CollectorRegistry, methods: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        labels = ("grpc_type", "grpc_service", "grpc_method")
        self._started = Counter("grpc_server_started", "Calls started.", labels, registry=registry)
        self._handled = Counter(
            "grpc_server_handled",
            "Calls ended, by code.",
            (*labels, "grpc_code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Seconds a call took in the server.",
            labels,
            buckets=_BUCKETS,
            registry=registry,
        )
        self._labels: dict[str, tuple[str, str, str]] = {}
        for method, shape in methods:
            values = (shape, *split_method(method))
            self._labels[method] = values
            self._started.labels(*values)
            self._seconds.labels(*values)
            for code in grpc.StatusCode:
                self._handled.labels(*values, _dashed(code.name))

    @asynccontextmanager
    async def around(
        self, method: str, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[None]:
        """Count one call."""
        labels = self._labels.get(method) or ("unary", *split_method(method))
        self._started.labels(*labels).inc()
        started = time.perf_counter()
        cancelled = False
        try:
            yield
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            code = "CANCELLED" if cancelled else code_name(context)
            self._seconds.labels(*labels).observe(time.perf_counter() - started)
            self._handled.labels(*labels, _dashed(code)).inc()


def _dashed(name: str) -> str:
    """Write a code as dashboards expect it: ``INVALID_ARGUMENT`` is ``InvalidArgument``."""
    return name if name == "OK" else "".join(word.capitalize() for word in name.split("_"))
