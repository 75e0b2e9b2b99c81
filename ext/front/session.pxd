"""A connection: bytes of a socket through HTTP/2 and back."""

from ext.front.parts cimport cc_conn, cc_front, cc_io

# HTTP/2's callbacks and options, the same for all connections.
cdef int http2_open(cc_front *front) except -1
cdef void http2_close(cc_front *front) noexcept

# A connection on an accepted socket; NULL: no memory, the socket is closed.
cdef cc_conn *conn_open(cc_io *io, int fd) noexcept nogil
# Ends it at once: its calls are gone.
cdef void conn_close(cc_conn *conn) noexcept nogil
# One turn of reading.
cdef void conn_read(cc_conn *conn) noexcept nogil
# Sends what there is; False: the connection is at its end and must be closed.
cdef bint conn_flush(cc_conn *conn) noexcept nogil
# Tells the peer that no more calls will be taken here soon; those under way end well.
cdef void conn_leave(cc_conn *conn) noexcept nogil
# Takes no more calls: `conn_leave` was heard, or is long ago.
cdef void conn_go(cc_conn *conn) noexcept nogil
# The peer does what no client does: tell it and end.
cdef void conn_calm(cc_conn *conn) noexcept nogil
