"""Unary calls of a load as frames: a client that leaves the processor to the server.

A session of nghttp2's for each of hundreds of connections costs a client nearly what its calls cost
the server, on the same cores. Calls of one method are alike but for their message: after the first,
their headers are the same bytes. HPACK stays nghttp2's; answers are read frame by frame.

**Source:** RFC 9113 (frames, windows), RFC 7541 (headers).
"""

from libc.stdint cimport int32_t, uint8_t, uint32_t

from ext.front.load_parts cimport cc_client, cc_frames

cdef enum:
    FRAMES_ROOM = 160        # bytes of a call beside its message, at most

cdef int frames_open(cc_client *client, const char *path, uint32_t window) except -1
cdef void frames_close(cc_frames *f) noexcept nogil
cdef bint frames_ask(
    cc_client *client, int32_t stream, const uint8_t *message, size_t length) noexcept nogil
cdef bint frames_came(cc_client *client, uint8_t *at, size_t length) noexcept nogil
