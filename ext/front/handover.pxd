"""Calls that Python answers, on their way there and back: one wake-up a group."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.front.parts cimport cc_call, cc_front, cc_handed, cc_io

# Gives a call with its one message to Python, or refuses it where too many are there. A stream
# has no message then: Python says whether its token is good.
cdef void call_hand(cc_call *call, const uint8_t *message, size_t length) noexcept nogil
# All that wait for Python, oldest first.
cdef cc_handed *handed_take(cc_front *front) noexcept nogil
# The caller of one that Python has is gone, or is answered: it need not go on.
cdef void handed_gone(cc_call *call) noexcept nogil
# All that was said of one that Python feeds has left.
cdef void handed_read(cc_call *call) noexcept nogil
# Those that Python is to look at again, linked by `next_told`. Each must be looked at, once.
cdef cc_handed *handed_told(cc_front *front) noexcept nogil
# Whether its caller is gone, and what waits to be read. False: it had been returned.
cdef bint handed_look(cc_handed *handed, bint *gone, uint64_t *ahead) noexcept nogil
# One message of a call that goes on, to be returned like the call; NULL: no memory.
cdef cc_handed *piece_of(cc_handed *handed, uint8_t *message, uint32_t length) noexcept nogil
# Bytes of a fed call that its reader has not taken.
cdef uint64_t handed_ahead(const cc_handed *handed) noexcept nogil
# What Python has done with one. It belongs to the thread again.
cdef void handed_return(cc_handed *handed) noexcept nogil
# All that Python has returned, oldest first.
cdef cc_handed *handed_collect(cc_io *io) noexcept nogil
# Does as one of these says, and frees it. Returns a stream whose token is good; NULL: it is none.
cdef cc_call *handed_settle(cc_io *io, cc_handed *handed) noexcept nogil
cdef void handed_free(cc_handed *handed) noexcept nogil
# The thread, or who ends it, is done with one that was returned.
cdef void handed_leave(cc_handed *handed) noexcept nogil
