"""The words of a refusal: campuscard.v1.Refusal from a reply, in both languages."""

from libc.stdint cimport uint8_t

from ext.commands cimport cc_reply

cdef enum:
    WIRE_REFUSAL_MAX = 1536     # bytes of one Refusal at most

# Writes Refusal's fields behind p; WIRE_REFUSAL_MAX bytes must be free. Returns the new end.
cdef uint8_t *put_refusal(uint8_t *p, const cc_reply *reply) noexcept nogil
