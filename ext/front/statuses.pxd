"""Refusals ready to be sent: code, message and details, made once each by whom Python names.

The catalogue's texts and the details of a status have one maker, above this layer. A refusal that
was made before is found without Python; there are as many as reasons, fields and waits.
"""

from libc.stdint cimport uint32_t

from ext.front.parts cimport cc_front, cc_status
from ext.wire_decode cimport cc_wire_error

cdef int statuses_open(cc_front *front, object make) except -1
cdef void statuses_close(cc_front *front) noexcept

# A reason with when to try again; 0: as the maker thinks.
cdef const cc_status *status_of(
    cc_front *front, int reason, uint32_t retry_after_ms) noexcept nogil
# What the decoder found.
cdef const cc_status *status_of_field(
    cc_front *front, const cc_wire_error *err) noexcept nogil
# A request above a method's bound.
cdef const cc_status *status_of_size(cc_front *front, uint32_t allowed) noexcept nogil
# One that was made for a single call.
cdef void status_forget(cc_status *status) noexcept nogil
