"""Both doors of one server in this process, and a service whose handlers say what became of them."""

import asyncio
import contextlib
import queue
import struct
import threading

import grpc
import grpc.aio
from prometheus_client import CollectorRegistry

from core.refusals import Refusal
from ext import engine as ext_engine
from server.clock import SystemClock
from server.config import load
from server.front import FrontDoor
from server.identity import NOBODY
from server.interceptors.errors import ErrorsGuard
from server.interceptors.identity import IdentityGuard
from server.interceptors.limits import LimitsGuard, TokenBuckets
from server.interceptors.log import LogGuard
from server.interceptors.metrics import MetricsGuard
from server.interceptors.wrapping import Guards
from server.passed import Handlers
from server.sessions import Sessions
from server.trust import Trust
from tests.campus import CALL_S
from tests.integration.engine_desk import OPTIONS

SERVICE = "/test.Feed/"
METHODS = ("Count", "Written", "Held", "Refused")
_WANTED = struct.Struct(">II")


def wanted(count, size):
    """Make a request: messages, and bytes of each, at least 4."""
    return _WANTED.pack(count, size)


class Feed(grpc.GenericRpcHandler):
    """Methods that answer with streams; of each call `ended` gets how it did."""

    def __init__(self):
        self.made = 0
        self.begun = queue.SimpleQueue()
        self.ended = queue.SimpleQueue()
        self.go_on = asyncio.Event()

    def service(self, details):
        name = details.method.removeprefix(SERVICE)
        if not details.method.startswith(SERVICE) or name not in METHODS:
            return None
        return grpc.unary_stream_rpc_method_handler(getattr(self, name.lower()))

    @contextlib.contextmanager
    def _noted(self, request):
        self.begun.put(request)
        try:
            yield
        except BaseException as error:
            self.ended.put(type(error).__name__)
            raise
        self.ended.put("well")

    def _messages(self, request):
        count, size = _WANTED.unpack(request)
        for number in range(count):
            self.made += size
            yield struct.pack(">I", number) + bytes(size - 4)

    async def count(self, request, _):
        """Say all that was asked for."""
        with self._noted(request):
            for said in self._messages(request):
                yield said

    async def written(self, request, context):
        """The same in the other style of handlers."""
        with self._noted(request):
            for said in self._messages(request):
                await context.write(said)

    async def held(self, request, _):
        """Say it, and an end once `go_on` is set."""
        with self._noted(request):
            for said in self._messages(request):
                yield said
            await self.go_on.wait()
            yield b"end"

    async def refused(self, request, _):
        """Say it, and then refuse."""
        with self._noted(request):
            for said in self._messages(request):
                yield said
            raise Refusal("FIELD_INVALID", field="amount_fen", must="余额 100 %")


class Feeding:
    """A server with both doors; `addresses` by name. Options are the front end's."""

    def __init__(self, folder, *, grace_s=1, **front):
        front = {"address": "127.0.0.1:0", **front}
        self._settings = load(
            overrides={"server": {"drain_seconds": grace_s}, "front": front, "log": {}}
        )
        data, key = str(folder / "data"), str(folder / "campus.key")
        ext_engine.init(data, key, test=True, segment_bytes=8 << 20)
        self._engine = ext_engine.Engine(data, key, OPTIONS)
        self.addresses = {}
        self._failed = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._engine.start()
        self._thread.start()
        assert self._ready.wait(CALL_S)
        assert not self._failed, self._failed
        return self

    def __exit__(self, *_):
        self.leave()
        self._thread.join()
        self._engine.close()
        assert not self._failed, self._failed

    def leave(self):
        """Begin to drain."""
        self._on_loop(self._stopping.set)

    def go_on(self):
        """Let the held streams end."""
        self._on_loop(self.feed.go_on.set)

    def stats(self):
        return self.door.stats()

    def _on_loop(self, act):
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(act)

    def _run(self):
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told by who waits
            self._failed.append(error)
            self._ready.set()

    async def _serve(self):
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self.feed = Feed()
        handlers, guards = Handlers(), self._guards()
        handlers.add_generic_rpc_handlers([self.feed])
        server = grpc.aio.server(interceptors=[guards])
        handlers.serve_by(server)
        self.addresses["grpcio"] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        self.door = FrontDoor(
            self._settings,
            self._engine,
            guards=guards,
            handlers=handlers,
            passed=[SERVICE + name for name in METHODS],
        )
        self.door.start()
        self.addresses["native"] = self.door.address
        self._ready.set()
        await self._stopping.wait()
        grace_s = self._settings.server.drain_seconds
        await asyncio.gather(server.stop(grace_s), self.door.stop())

    def _guards(self):
        limits = self._settings.limits
        rates = TokenBuckets(limits.terminal_rate, limits.terminal_burst)
        return Guards(
            LogGuard(),
            MetricsGuard(CollectorRegistry(), ()),
            ErrorsGuard(),
            IdentityGuard(
                Sessions(SystemClock()), {SERVICE + name: "tap" for name in METHODS}, nobody=NOBODY
            ),
            LimitsGuard(
                limits.message_bytes,
                limits.batch_message_bytes,
                photo_message_bytes=limits.photo_message_bytes,
                calls_max=self._settings.server.calls_max,
                rates=rates,
                trust=Trust(lambda: None),
            ),
        )
