"""Calls that Python answers, on their way there and back: one wake-up a group."""

from libc.stdint cimport uint8_t, uint32_t

from ext.front.parts cimport cc_call, cc_front, cc_handed, cc_io

# Gives a call with its one message to Python, or refuses it where too many are there. A stream
# has no message then: Python says whether its token is good.
cdef void call_hand(cc_call *call, const uint8_t *message, size_t length) noexcept nogil
# All that wait for Python, oldest first.
cdef cc_handed *handed_take(cc_front *front) noexcept nogil
# What Python has done with one. It belongs to the thread again.
cdef void handed_return(cc_handed *handed) noexcept nogil
# All that Python has returned, oldest first.
cdef cc_handed *handed_collect(cc_io *io) noexcept nogil
# Does as one of these says, and frees it. Returns a stream whose token is good; NULL: it is none.
cdef cc_call *handed_settle(cc_io *io, cc_handed *handed) noexcept nogil
cdef void handed_free(cc_handed *handed) noexcept nogil
