"""Reads of the protobuf wire format that stay inside [p, end). NULL: the bytes are malformed.

Lengths and tags take at most five bytes, values at most ten, as in the official library.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef inline const uint8_t *read_long_varint(
    const uint8_t *p, const uint8_t *end, uint64_t *out, int bytes_max,
) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    for i in range(bytes_max):
        if p + i >= end:
            return NULL
        value |= <uint64_t>(p[i] & 0x7F) << (7 * i)
        if p[i] < 0x80:
            out[0] = value
            return p + i + 1
    return NULL


cdef inline const uint8_t *read_varint(
    const uint8_t *p, const uint8_t *end, uint64_t *out,
) noexcept nogil:
    if p < end and p[0] < 0x80:
        out[0] = p[0]
        return p + 1
    return read_long_varint(p, end, out, 10)


cdef inline const uint8_t *read_any_tag(
    const uint8_t *p, const uint8_t *end, uint32_t *out,
) noexcept nogil:
    """Read field number << 3 | wire type; within unknown groups field number 0 passes too."""
    cdef uint64_t value
    if p < end and p[0] < 0x80:
        value = p[0]
        p += 1
    else:
        p = read_long_varint(p, end, &value, 5)
        if p == NULL or value > <uint64_t>0xFFFFFFFF:
            return NULL
    out[0] = <uint32_t>value
    return p


cdef inline const uint8_t *read_tag(
    const uint8_t *p, const uint8_t *end, uint32_t *out,
) noexcept nogil:
    """Read field number << 3 | wire type; field number 0 is malformed."""
    p = read_any_tag(p, end, out)
    return NULL if p == NULL or out[0] < 8 else p


cdef inline const uint8_t *read_length(
    const uint8_t *p, const uint8_t *end, uint32_t *out,
) noexcept nogil:
    """Read a length that the rest of the message covers."""
    cdef uint64_t value
    if p < end and p[0] < 0x80:
        value = p[0]
        p += 1
    else:
        p = read_long_varint(p, end, &value, 5)
        if p == NULL:
            return NULL
    if value > <uint64_t>(end - p):
        return NULL
    out[0] = <uint32_t>value
    return p


# Behind an unknown field's value; `depth` is how many groups may still open.
cdef const uint8_t *skip_value(
    const uint8_t *p, const uint8_t *end, uint32_t tag, int depth,
) noexcept nogil
# 1 when the bytes are UTF-8: shortest forms, no surrogates, up to U+10FFFF.
cdef bint is_utf8(const uint8_t *p, size_t length) noexcept nogil
