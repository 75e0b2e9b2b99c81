"""Wiring: everything one ``campuscard serve`` is made of, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry, disable_created_metrics, start_http_server

from campuscard.v1 import (
    access_service_pb2,
    account_service_pb2,
    card_office_service_pb2,
    holder_service_pb2,
    merchant_service_pb2,
    ops_service_pb2,
    ops_service_pb2_grpc,
    parameter_service_pb2,
    staff_service_pb2,
    terminal_service_pb2,
)
from core.permissions import PUBLIC, allowing
from ext.engine import Engine
from ext.errors import EngineError
from server import logs
from server.clock import open_clock
from server.config import split_address
from server.doors import add_papers
from server.files import SealedFiles
from server.first_admin import entering_first_admin
from server.front import FrontDoor, available
from server.front_metrics import FrontCollector
from server.identity import NOBODY
from server.integrity import Integrity
from server.interceptors.errors import ErrorsGuard
from server.interceptors.identity import IdentityGuard, permissions_of
from server.interceptors.limits import LimitsGuard, TokenBuckets
from server.interceptors.log import LogGuard
from server.interceptors.metrics import MetricsGuard
from server.interceptors.wrapping import Guards
from server.keys import Keyring
from server.metrics import EngineCollector
from server.office_lane import OfficeLane
from server.page_tokens import PageTokens
from server.passed import Handlers
from server.precedence import PaymentsFirst
from server.projector import Projector
from server.services.office import Office
from server.services.ops import OpsService
from server.services.terminal import TerminalService
from server.sessions import Sessions
from server.staff_secrets import StaffSecrets
from server.system_acts import SystemActs
from server.trust import OPEN_ALWAYS, Trust
from server.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import FileDescriptor

    from ext.engine import Options
    from server.config import EngineSettings, Settings

_FILES: Final[tuple[FileDescriptor, ...]] = (
    terminal_service_pb2.DESCRIPTOR,
    access_service_pb2.DESCRIPTOR,
    account_service_pb2.DESCRIPTOR,
    card_office_service_pb2.DESCRIPTOR,
    holder_service_pb2.DESCRIPTOR,
    merchant_service_pb2.DESCRIPTOR,
    ops_service_pb2.DESCRIPTOR,
    parameter_service_pb2.DESCRIPTOR,
    staff_service_pb2.DESCRIPTOR,
)
SWITCH_S: Final = 0.001
"""How long a thread may keep the interpreter that others wait for."""
_TRANSPORT_TIMES: Final = 4
"""gRPC itself cuts messages only so far above our bounds: up to there a refusal says its reason."""
_METADATA_BYTES: Final = 8_192
_HEALTH: Final = ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch")
_SHAPES: Final = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi_stream",
}

_log = structlog.get_logger("campuscard.server")


async def serve(
    settings: Settings,
    *,
    started: Callable[[str, str], None] | None = None,
    reset_admin: str = "",
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: from ``server.config.load``.
        started: called with the address, and the terminals', once calls are taken.
        reset_admin: sign-in name of a SEC_ADMIN who gets a new one-time secret; empty: nobody.

    Raises:
        ext.engine.EngineError: the data directory cannot be opened; the text says why.
        OSError: an address is in use.
    """
    logs.configure(settings.log)
    server = Server(settings, reset_admin=reset_admin)
    await server.start()
    keep_short_pauses()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, server.renew_certificates)
    try:
        if started is not None:
            started(server.address, server.front_address)
        await stopping.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        await server.stop()


def keep_short_pauses() -> None:
    """Keep the interpreter from holding payments up while papers are read or written beside them.

    A full round of the garbage collector stops every thread, about a tenth of a second with all that
    the start has loaded: that stays for ever and is taken out of its rounds. A thread that computes
    gives the interpreter to one that waits after ``SWITCH_S``.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)


class Server:
    """One running server.

    Args:
        settings: from ``server.config.load``.
        reset_admin: as for ``serve``.
    """

    def __init__(self, settings: Settings, *, reset_admin: str = "") -> None:
        self._settings = settings
        self._reset_admin = reset_admin
        self._running = contextlib.AsyncExitStack()
        self._health = health.aio.HealthServicer()
        self._telling: asyncio.Future[list[None]] | None = None
        self.address = ""
        self.front_address = ""
        self._front: FrontDoor | None = None
        self.metrics_address = ""

    async def start(self) -> None:
        """Open the data directory, recover, start every part, take calls."""
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._running = stack.pop_all()

    def renew_certificates(self) -> None:
        """Read the certificates again; what cannot be used changes nothing."""
        try:
            if self._front is not None:
                self._front.renew()
        except ValueError as error:
            _log.error("certificate_not_renewed", error=str(error))

    async def stop(self) -> None:
        """Take no more calls, let those under way finish, make everything durable, close."""
        _log.info("server_stopping")
        await self._running.aclose()
        _log.info("server_stopped")

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        settings = self._settings
        engine, keys = await self._open_directory(stack)
        clock = open_clock(settings.data.clock_path)
        projector = Projector(engine, settings.data.registry_path, keys=keys)
        projector.start()
        stack.push_async_callback(asyncio.to_thread, projector.stop)
        lane = OfficeLane(
            engine, projector, keys=keys, clock=clock, queue_max=settings.office.queue
        )
        lane.start()
        stack.push_async_callback(lane.stop)
        trust = Trust(self._say_not_serving)
        files = SealedFiles(settings.data.files_path, keys)
        ops = OpsService(engine, projector, lane=lane, trust=trust, files=files)
        rates = TokenBuckets(settings.limits.terminal_rate, settings.limits.terminal_burst)
        terminal = TerminalService(
            engine,
            projector,
            clock=clock,
            rates=rates,
            in_flight=settings.server.stream_in_flight,
        )
        office = Office(
            engine,
            projector,
            lane=lane,
            keys=keys,
            clock=clock,
            files=files,
            tokens=PageTokens(keys.derive("page-tokens")),
            fingerprint_key=keys.derive("request-fingerprints"),
        )
        disable_created_metrics()  # type: ignore[no-untyped-call] # upstream has no types here
        watch = Watch(engine)
        watch.start()
        stack.push_async_callback(watch.stop)
        integrity = Integrity(engine, projector, trust, settings.integrity)
        integrity.start()
        stack.push_async_callback(integrity.stop)
        system = SystemActs(office, trust)
        system.start()
        stack.push_async_callback(system.stop)
        metrics = CollectorRegistry()
        metrics.register(EngineCollector(engine, projector, lane=lane, system=system, trust=trust))
        sessions = Sessions(clock)
        guards = self._make_guards(metrics, rates, sessions, trust)
        grpc_server = self._make_grpc(guards)
        handlers = self._make_handlers(terminal, ops)
        services = cast("grpc.aio.Server", handlers)
        add_papers(services, office, keys=keys, sessions=sessions, settings=settings, stack=stack)
        handlers.serve_by(grpc_server)
        await stack.enter_async_context(
            entering_first_admin(office, StaffSecrets(keys), reset=self._reset_admin)
        )
        self._add_reflection(grpc_server)
        await self._listen(grpc_server)
        stack.push_async_callback(self._stop_doors, grpc_server, ops)
        self._open_front(engine, guards, handlers, trust)
        if settings.server.payments_first:
            first = PaymentsFirst()
            _log.info("payments_run", precedence=first.precedence)
            first.start()
            stack.push_async_callback(first.stop)
        self._serve_metrics(metrics, stack)
        self._say_started(engine)

    async def _open_directory(self, stack: contextlib.AsyncExitStack) -> tuple[Engine, Keyring]:
        """Start the engine of the directory; its answers come by this thread's loop."""
        settings = self._settings
        keys = Keyring(settings.data.holder_keys_path)
        engine = await asyncio.to_thread(open_engine, settings)
        stack.callback(engine.close)
        if keys.fresh and engine.next_rows()["account"] > 1:
            _log.error("holder_keys_missing", directory=str(settings.data.holder_keys_path))
        _log.info("directory_opened", **engine.recovered)
        engine.start()
        stack.push_async_callback(asyncio.to_thread, engine.drain, settings.server.drain_seconds)
        loop = asyncio.get_running_loop()
        loop.add_reader(engine.eventfd, engine.answer)
        stack.callback(loop.remove_reader, engine.eventfd)
        return engine, keys

    def _say_started(self, engine: Engine) -> None:
        head = engine.head()
        if head["test"]:
            _log.warning("server_is_test", clock=self._settings.data.clock or "machine")
        _log.info(
            "server_started",
            address=self.address,
            front=self.front_address,
            metrics=self.metrics_address,
            seq=head["acknowledged_seq"],
            test=head["test"],
        )

    def _make_guards(
        self,
        metrics: CollectorRegistry,
        rates: TokenBuckets,
        sessions: Sessions,
        trust: Trust,
    ) -> Guards:
        limits = self._settings.limits
        return Guards(
            LogGuard(),
            MetricsGuard(metrics, method_shapes()),
            ErrorsGuard(),
            IdentityGuard(sessions, permissions_of(_FILES), nobody=NOBODY),
            LimitsGuard(
                limits.message_bytes,
                limits.batch_message_bytes,
                photo_message_bytes=limits.photo_message_bytes,
                calls_max=self._settings.server.calls_max,
                rates=rates,
                trust=trust,
            ),
        )

    def _make_handlers(self, terminal: TerminalService, ops: OpsService) -> Handlers:
        """Collect what is served by both doors, papers aside."""
        handlers = Handlers()
        services = cast("grpc.aio.Server", handlers)
        handlers.add_generic_rpc_handlers((terminal.handler(),))
        ops_service_pb2_grpc.add_OpsServiceServicer_to_server(ops, services)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, services)
        return handlers

    def _make_grpc(self, guards: Guards) -> grpc.aio.Server:
        settings = self._settings
        limits = settings.limits
        largest = max(limits.message_bytes, limits.batch_message_bytes, limits.photo_message_bytes)
        received = _TRANSPORT_TIMES * largest
        return grpc.aio.server(
            interceptors=[guards],
            options=[
                ("grpc.max_receive_message_length", received),
                ("grpc.max_metadata_size", _METADATA_BYTES),
                ("grpc.max_concurrent_streams", 2 * settings.server.calls_max),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.max_connection_idle_ms", 600_000),
                ("grpc.server_handshake_timeout_ms", 20_000),
            ],
            maximum_concurrent_rpcs=2 * settings.server.calls_max,
        )

    def _add_reflection(self, grpc_server: grpc.aio.Server) -> None:
        if self._settings.server.reflection:
            names = [*service_names(), health.SERVICE_NAME, reflection.SERVICE_NAME]
            reflection.enable_server_reflection(names, grpc_server)

    def _say_not_serving(self) -> None:
        """Tell whoever watches health that nothing is decided any more."""
        names = ("", *(name for name in service_names() if f"/{name}/" not in OPEN_ALWAYS))
        self._telling = asyncio.gather(
            *(self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING) for name in names)
        )

    async def _listen(self, grpc_server: grpc.aio.Server) -> None:
        self.address = _bound(grpc_server, self._settings.server.address)
        if self._settings.front_address and not available():
            if self._settings.front.certificate is not None:
                raise OSError(
                    "front.certificate: the native front end was not built, see tools/setup.sh"
                )
            self.front_address = _bound(grpc_server, self._settings.front_address)
            _log.warning("front_not_built", address=self.front_address, answers="grpcio")
        await grpc_server.start()
        _log.warning("loopback_only", unsigned_callers="TERMINAL", reason="no certificates yet")
        for name in ("", *service_names()):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def _open_front(
        self,
        engine: Engine,
        guards: Guards,
        handlers: Handlers,
        trust: Trust,
    ) -> None:
        """Open the native door of terminals, which leaves to Python what is not hot."""
        if not self._settings.front_address or not available():
            return
        front = FrontDoor(
            self._settings,
            engine,
            guards=guards,
            handlers=handlers,
            passed=[*front_methods(), *_HEALTH],
        )
        trust.tell(front.refuse)
        front.start()
        self.front_address = front.address
        self._front = front

    def _serve_metrics(self, metrics: CollectorRegistry, stack: contextlib.AsyncExitStack) -> None:
        address = self._settings.metrics.address
        if not address:
            return
        if self._front is not None:
            metrics.register(FrontCollector(self._front.stats))
        host, port = split_address(address)
        http, thread = start_http_server(port, host, metrics)

        def stop() -> None:
            http.shutdown()
            http.server_close()
            thread.join()

        stack.callback(stop)
        self.metrics_address = f"{host}:{http.server_port}"

    async def _stop_doors(self, grpc_server: grpc.aio.Server, ops: OpsService) -> None:
        """Tell who watches, then drain both doors at once."""
        await self._health.enter_graceful_shutdown()
        ops.stop()
        front = [] if self._front is None else [self._front.stop()]
        await asyncio.gather(grpc_server.stop(self._settings.server.drain_seconds), *front)


def open_engine(settings: Settings) -> Engine:
    """Open the data directory: recovers, does not start."""
    data = settings.data
    engine = Engine(str(data.directory), str(data.key_file), engine_options(settings))
    if settings.staff.weak and not engine.head()["test"]:
        engine.close()
        names = ", ".join(f"staff.{name}" for name in settings.staff.weak)
        raise EngineError(f"only for test directories: {names}")
    return engine


def engine_options(settings: Settings) -> Options:
    """Return the engine's bounds, and how it commits."""
    options: dict[str, Any] = {
        name: getattr(settings.engine, name) for name in engine_option_names(settings.engine)
    }
    options["commit"] = settings.journal.commit
    if settings.data.clock_path:
        options["clock_path"] = settings.data.clock_path
    return cast("Options", options)


def engine_option_names(engine: EngineSettings) -> list[str]:
    """Return the names of all bounds."""
    return list(type(engine).model_fields)


def proto_files() -> tuple[FileDescriptor, ...]:
    """Return the files whose services are served."""
    return _FILES


def service_names() -> list[str]:
    """Return the full names of our services."""
    return [service.full_name for file in _FILES for service in file.services_by_name.values()]


def front_methods() -> list[str]:
    """Return the full names of the methods that are for terminals."""
    return [
        method
        for method, permission in permissions_of(_FILES).items()
        if permission not in PUBLIC and allowing(permission, NOBODY.roles) is not None
    ]


def _bound(grpc_server: grpc.aio.Server, address: str) -> str:
    """Have grpcio listen; returns where."""
    host, port = split_address(address)
    text = f"[{host}]" if ":" in host else host
    try:
        return f"{text}:{grpc_server.add_insecure_port(f'{text}:{port}')}"
    except RuntimeError as error:
        raise OSError(f"cannot listen on {text}:{port}: {error}") from error


def method_shapes() -> Iterator[tuple[str, str]]:
    """List our methods as ``/package.Service/Method`` with their shape."""
    for file in _FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                shape = _SHAPES[method.client_streaming, method.server_streaming]
                yield f"/{service.full_name}/{method.name}", shape
