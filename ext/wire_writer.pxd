"""Writes of the protobuf wire format: shortest forms, no bounds checks.

The caller has shown that what it writes fits: every message has a stated maximum. `tag` is the
field's number << 3 | wire type. A scalar of 0 and an empty string are left out, as proto3 does.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

cdef enum:
    PUT_VARINT = 0
    PUT_BYTES = 2


cdef inline uint8_t *put_varint(uint8_t *p, uint64_t value) noexcept nogil:
    while value >= 0x80:
        p[0] = <uint8_t>(value | 0x80)
        value >>= 7
        p += 1
    p[0] = <uint8_t>value
    return p + 1


cdef inline uint8_t *put_always(uint8_t *p, uint32_t tag, uint64_t value) noexcept nogil:
    p = put_varint(p, tag)
    return put_varint(p, value)


cdef inline uint8_t *put_unsigned(uint8_t *p, uint32_t field, uint64_t value) noexcept nogil:
    if value == 0:
        return p
    return put_always(p, field << 3 | PUT_VARINT, value)


cdef inline uint8_t *put_signed(uint8_t *p, uint32_t field, int64_t value) noexcept nogil:
    return put_unsigned(p, field, <uint64_t>value)


cdef inline uint8_t *put_bytes(
    uint8_t *p, uint32_t field, const void *bytes, size_t length,
) noexcept nogil:
    if length == 0:
        return p
    p = put_always(p, field << 3 | PUT_BYTES, length)
    memcpy(p, bytes, length)
    return p + length


cdef inline uint8_t *open_message(uint8_t *p, uint32_t field) noexcept nogil:
    """Write an embedded message's tag and leave one byte for its length."""
    return put_varint(p, field << 3 | PUT_BYTES) + 1


cdef inline uint8_t *close_message(uint8_t *start, uint8_t *end) noexcept nogil:
    """Write the length before `start`, where open_message returned; longer ones move up."""
    cdef size_t length = <size_t>(end - start)
    cdef int extra
    if length < 0x80:
        (start - 1)[0] = <uint8_t>length
        return end
    extra = 1 if length < 0x4000 else 2
    memmove(start + extra, start, length)
    put_varint(start - 1, length)
    return end + extra
