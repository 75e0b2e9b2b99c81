"""The one Python face of the front end: starting, stopping, calls that Python answers, figures.

Types and documentation for callers are in door.pyi.
"""

import threading

from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_FromStringAndSize

from ext.atomics cimport monotonic_ns, store32, swap_pointer
from ext.digest cimport wipe
from ext.engine cimport Engine
from ext.feed cimport feed_reset, feed_wake, feed_open, feed_close, cc_feed
from ext.front.handover cimport (
    handed_ahead, handed_collect, handed_free, handed_leave, handed_look, handed_return,
    handed_take, handed_told, piece_of,
)
from ext.front.loop cimport io_run
from ext.front.parts cimport (
    FED_AHEAD, FRONT_BATCH, FRONT_CODES, FRONT_FED, FRONT_METHODS_MAX, FRONT_PASSED,
    FRONT_REASONS, FRONT_STREAM, FRONT_THREADS_MAX, FRONT_UNARY, cc_bounds_of_front, cc_front,
    cc_handed, cc_io,
)
from ext.front.pools cimport io_free, io_new
from ext.front.requests cimport methods_index
from ext.front.session cimport http2_close, http2_open
from ext.front.statuses cimport statuses_close, statuses_open
from ext.front.tls cimport tls_close, tls_open
from ext.turns cimport thread_named

UNARY, BATCH, STREAM = FRONT_UNARY, FRONT_BATCH, FRONT_STREAM
PASSED, FED = FRONT_PASSED, FRONT_FED
AHEAD_BYTES = FED_AHEAD

# name: (default, least, most)
BOUNDS = {
    "threads": (1, 1, FRONT_THREADS_MAX),
    "streams_max": (256, 1, 65_536),
    "connections_max": (16_384, 1, 1 << 20),
    "calls_max": (65_536, 128, 1 << 20),
    "slots_max": (32_768, 128, 1 << 20),
    "stream_in_flight": (256, 1, 8_192),
    "connection_in_flight": (1_024, 1, 1 << 20),
    "header_bytes": (8_192, 512, 65_536),
    "held_bytes": (4_194_304, 65_536, 1 << 30),
    "handed_max": (256, 1, 65_536),
    "fed_max": (1_024, 1, 65_536),
    "frames_burst": (10_000, 100, 1 << 24),
    "frames_rate": (5_000, 4, 1 << 24),
    "handshake_ms": (20_000, 100, 600_000),
    "idle_ms": (600_000, 0, 86_400_000),
    "age_ms": (0, 0, 86_400_000),
    "grace_ms": (10_000, 100, 700_000),
    "keepalive_ms": (30_000, 0, 3_600_000),
    "spin_us": (0, 0, 1_000),
    "rate": (200, 1, 1_000_000),
    "burst": (400, 1, 1_000_000),
}


cdef int set_bounds(cc_front *f, dict options) except -1:
    cdef cc_bounds_of_front *b = &f.bounds
    unknown = options.keys() - BOUNDS.keys()
    if unknown:
        raise ValueError(f"no such option: {sorted(unknown)[0]}")
    n = {name: options.get(name, default) for name, (default, _, _) in BOUNDS.items()}
    for name, (_, least, most) in BOUNDS.items():
        if not isinstance(n[name], int) or not least <= n[name] <= most:
            raise ValueError(f"{name} is a number from {least} to {most}, not {n[name]!r}")
    f.threads = n["threads"]
    b.streams_max, b.connections_max = n["streams_max"], n["connections_max"]
    b.calls_max, b.slots_max = n["calls_max"], n["slots_max"]
    b.stream_in_flight, b.header_bytes = n["stream_in_flight"], n["header_bytes"]
    b.connection_in_flight = n["connection_in_flight"]
    b.held_bytes, b.handed_max = n["held_bytes"], n["handed_max"]
    b.fed_max = n["fed_max"]
    b.frames_burst, b.frames_rate = n["frames_burst"], n["frames_rate"]
    b.handshake_ms, b.idle_ms, b.age_ms = n["handshake_ms"], n["idle_ms"], n["age_ms"]
    b.grace_ms, b.keepalive_ms, b.spin_us = n["grace_ms"], n["keepalive_ms"], n["spin_us"]
    b.rate, b.burst = n["rate"], n["burst"]
    return 0


cdef list metadata_of(const cc_handed *h):
    cdef const uint8_t *at = h.metadata
    cdef const uint8_t *end = at + h.metadata_length
    cdef Py_ssize_t name, value
    found = []
    while at < end:
        name, value = at[0] | at[1] << 8, at[2] | at[3] << 8
        at += 4
        key = PyBytes_FromStringAndSize(<const char *>at, name).decode("ascii", "replace")
        found.append((key, PyBytes_FromStringAndSize(<const char *>at + name, value)))
        at += name + value
    return found


cdef list told_of(cc_front *f):
    cdef cc_handed *h = handed_told(f)
    cdef cc_handed *next
    cdef bint gone
    cdef uint64_t ahead
    found = []
    while h != NULL:
        next = h.next_told
        if handed_look(h, &gone, &ahead):
            found.append((<uintptr_t>h, bool(gone), ahead))
        h = next
    return found


cdef uint8_t *copy_of(bytes text) except NULL:
    cdef uint8_t *at = <uint8_t *>malloc(<size_t>len(text) + 1)
    if at == NULL:
        raise MemoryError
    memcpy(at, <const char *>text, <size_t>len(text))
    return at


cdef class Front:
    """One listening socket, its threads and what they share."""

    def __cinit__(self, Engine engine not None, object socket, list methods not None, object make,
                  dict options=None):
        self.f = <cc_front *>calloc(1, sizeof(cc_front))
        if self.f == NULL:
            raise MemoryError
        self.engine, self.socket, self.threads, self.paths = engine, socket, [], []
        self.contexts = []
        self.f.s, self.f.listening, self.f.handed_eventfd = engine.s, socket.fileno(), -1
        set_bounds(self.f, options or {})
        self._methods(methods)
        statuses_open(self.f, make)
        http2_open(self.f)
        self._open()

    def __dealloc__(self):
        cdef uint32_t i
        cdef cc_handed *h
        cdef cc_handed *next
        cdef cc_feed feed
        if self.f == NULL:
            return
        for i in range(FRONT_THREADS_MAX):
            if self.f.io[i] != NULL:
                h = handed_collect(self.f.io[i])
                while h != NULL:
                    next = h.next
                    handed_leave(h)
                    h = next
                io_free(self.f.io[i])
        told_of(self.f)
        h = handed_take(self.f)
        while h != NULL:
            next = h.next
            handed_free(h)
            h = next
        if self.f.handed_eventfd >= 0:
            feed.eventfd = self.f.handed_eventfd
            feed_close(&feed)
        for address in self.contexts or ():
            tls_close(<void *><uintptr_t>address)
        http2_close(self.f)
        statuses_close(self.f)
        free(self.f)

    cdef int _open(self) except -1:
        cdef cc_feed feed
        cdef uint32_t i
        feed_open(&feed, 0)
        self.f.handed_eventfd = feed.eventfd
        for i in range(self.f.threads):
            self.f.io[i] = io_new(self.f, i)
        return 0

    cdef int _methods(self, list methods) except -1:
        cdef uint32_t i = 0
        if len(methods) > FRONT_METHODS_MAX:
            raise ValueError(f"at most {FRONT_METHODS_MAX} methods")
        for path, kind, op, bytes_max in methods:
            self.paths.append(path)
            self.f.method[i].path = <const char *>(<bytes>path)
            self.f.method[i].path_length = <uint32_t>len(path)
            self.f.method[i].kind, self.f.method[i].op = kind, op
            self.f.method[i].bytes_max = bytes_max
            i += 1
        self.f.methods = i
        return methods_index(self.f)

    def secure(self, str chain not None, str key not None, str clients not None=""):
        """Speak TLS on connections from now on; see door.pyi."""
        cdef char why[128]
        cdef void *tls = tls_open(
            chain.encode(), key.encode(), clients.encode(), why, sizeof(why))
        if tls == NULL:
            raise ValueError(f"{chain}, {key}: {why.decode('ascii', 'replace')}")
        self.contexts.append(<uintptr_t>tls)
        self.f.clients_known = self.f.clients_known or bool(clients)
        swap_pointer(&self.f.tls, tls)

    def start(self):
        for number in range(self.f.threads):
            thread = threading.Thread(
                target=self._run, args=(number,), name=f"front-{number}", daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, uint32_t number):
        with nogil:
            thread_named(b"cc-front")
            io_run(self.f.io[number])

    def leave(self):
        """Take no more connections or calls; see door.pyi."""
        store32(&self.f.leaving, 1)

    def stop(self):
        """Close what is left and end the threads; see door.pyi."""
        cdef uint32_t i
        store32(&self.f.leaving, 1)
        store32(&self.f.stop, 1)
        for i in range(self.f.threads):
            feed_wake(&self.f.io[i].feed)
        for thread in self.threads:
            thread.join()

    @property
    def open(self):
        """Connections at present."""
        return sum(self.f.io[i].connected for i in range(self.f.threads))

    def refuse(self, uint32_t reason, uint32_t retry_after_ms):
        """Refuse every command with this reason's number from now on; 0 ends that."""
        self.f.refusing_retry_ms = retry_after_ms
        store32(&self.f.refusing, reason)

    # ---- calls that Python answers ----

    @property
    def eventfd(self):
        return self.f.handed_eventfd

    def handed(self):
        """Return the calls that wait; see door.pyi."""
        cdef cc_feed feed
        cdef cc_handed *h
        cdef cc_handed *next
        cdef uint32_t now_ms
        feed.eventfd = self.f.handed_eventfd
        feed_reset(&feed)
        h = handed_take(self.f)
        now_ms = <uint32_t>((monotonic_ns() - self.f.s.monotonic_base_ns) // 1000000)
        calls = []
        while h != NULL:
            next = h.next
            left = <int>(h.deadline_ms - now_ms) if h.deadline_ms else None
            message = PyBytes_FromStringAndSize(<const char *>h.message, h.message_length)
            terminal = PyBytes_FromStringAndSize(<const char *>h.terminal, 16).rstrip(b"\0")
            calls.append((<uintptr_t>h, h.method, metadata_of(h), message, left, terminal))
            h = next
        return calls

    def told(self):
        """Return what has become of calls that Python has; see door.pyi."""
        return told_of(self.f)

    def write(self, uintptr_t name, bytes message not None):
        """Give one more message of a call that is fed; see door.pyi."""
        cdef cc_handed *h = <cc_handed *>name
        cdef uint8_t *copy = copy_of(message)
        cdef cc_handed *piece = piece_of(h, copy, <uint32_t>len(message))
        if piece == NULL:
            free(copy)
            raise MemoryError
        handed_return(piece)
        return handed_ahead(h)

    def respond(self, uintptr_t name, bytes message not None):
        """Answer a call of `handed` well. Once each."""
        cdef cc_handed *h = <cc_handed *>name
        cdef uint8_t *copy = copy_of(message)
        wipe(h.message, h.message_length)
        free(h.message)
        h.message, h.message_length, h.code = copy, <uint32_t>len(message), 0
        handed_return(h)

    def fail(self, uintptr_t name, uint32_t code, bytes message not None, bytes details not None):
        """End a call of `handed` with a status. Once each."""
        cdef cc_handed *h = <cc_handed *>name
        cdef uint8_t *text = copy_of(message)
        cdef uint8_t *more = copy_of(details)
        wipe(h.metadata, h.metadata_length)
        free(h.metadata)
        h.metadata, h.metadata_length = text, <uint32_t>len(message)
        h.details, h.details_length, h.code = more, <uint32_t>len(details), code
        handed_return(h)

    # ---- figures ----

    def stats(self):
        """Return what the threads have counted; see door.pyi."""
        cdef cc_io *io
        cdef uint32_t i, m, c
        calls = {}
        reasons = {}
        found = dict.fromkeys((
            "connections", "calls", "commands", "accepted", "refused", "calmed", "sleeps", "reads",
            "writes", "handed", "bytes_in", "bytes_out", "queued", "parse_ns", "decided",
            "engine_ns", "reply_ns", "read_ns", "answer_ns", "send_ns"), 0)
        for i in range(self.f.threads):
            io = self.f.io[i]
            found["connections"] += io.connected
            found["calls"] += io.calls
            found["commands"] += io.slots
            found["accepted"] += io.accepted
            found["refused"] += io.refused
            found["calmed"] += io.calmed
            found["sleeps"] += io.sleeps
            found["reads"] += io.reads
            found["writes"] += io.writes
            found["handed"] += io.handed
            found["bytes_in"] += io.bytes_in
            found["bytes_out"] += io.bytes_out
            found["queued"] += io.queued
            found["parse_ns"] += io.parse_ns
            found["decided"] += io.decided
            found["engine_ns"] += io.engine_ns
            found["reply_ns"] += io.reply_ns
            found["read_ns"] += io.read_ns
            found["answer_ns"] += io.answer_ns
            found["send_ns"] += io.send_ns
            for m in range(FRONT_REASONS):
                if io.reason[m]:
                    reasons[m] = reasons.get(m, 0) + io.reason[m]
            for m in range(FRONT_METHODS_MAX + 1):
                for c in range(FRONT_CODES):
                    if io.count[m][c]:
                        path = self.paths[m] if m < FRONT_METHODS_MAX else b""
                        calls[path, c] = calls.get((path, c), 0) + io.count[m][c]
        found["ended"], found["reasons"] = calls, reasons
        return found
