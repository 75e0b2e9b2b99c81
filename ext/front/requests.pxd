"""From HTTP/2 streams to commands: headers, messages, the engine's queue, or Python."""

from libc.stdint cimport uint8_t, uint32_t

from ext.front.parts cimport cc_call, cc_conn, cc_front

# The index over paths; before the threads start.
cdef int methods_index(cc_front *front) except -1

# A new call of a connection; NULL: too many.
cdef cc_call *call_open(cc_conn *conn, int stream) noexcept nogil
# One of its headers.
cdef void call_header(
    cc_call *call, const uint8_t *name, size_t name_length, const uint8_t *value,
    size_t value_length) noexcept nogil
# All headers have come.
cdef void call_headers_end(cc_call *call) noexcept nogil
# Some bytes of its messages. Returns how many may be counted as read at once.
cdef size_t call_data(cc_call *call, const uint8_t *data, size_t length) noexcept nogil
# The peer has said all.
cdef void call_end(cc_call *call) noexcept nogil
# Takes more of a stream's messages, as many as may be under way.
cdef void stream_take(cc_call *call) noexcept nogil
