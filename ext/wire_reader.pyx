"""The rarer parts of reading the protobuf wire format: unknown fields, text."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.wire_reader cimport read_any_tag, read_length, read_varint

cdef enum:
    WIRE_VARINT = 0
    WIRE_FIXED64 = 1
    WIRE_BYTES = 2
    WIRE_START_GROUP = 3
    WIRE_END_GROUP = 4
    WIRE_FIXED32 = 5


cdef const uint8_t *skip_scalar(
    const uint8_t *p, const uint8_t *end, uint32_t tag,
) noexcept nogil:
    cdef uint64_t value
    cdef uint32_t length
    cdef uint32_t kind = tag & 7
    if kind == WIRE_VARINT:
        return read_varint(p, end, &value)
    if kind == WIRE_BYTES:
        p = read_length(p, end, &length)
        if p == NULL:
            return NULL
        return p + length
    if kind == WIRE_FIXED64:
        return p + 8 if end - p >= 8 else NULL
    if kind == WIRE_FIXED32:
        return p + 4 if end - p >= 4 else NULL
    return NULL


cdef const uint8_t *skip_value(
    const uint8_t *p, const uint8_t *end, uint32_t tag, int depth,
) noexcept nogil:
    """Groups are walked with the field numbers still open on a stack: they end in order."""
    cdef uint32_t open_fields[100]
    cdef int opened = 0
    if tag & 7 != WIRE_START_GROUP:
        return skip_scalar(p, end, tag)
    while True:
        if tag & 7 == WIRE_START_GROUP:
            if opened >= depth or opened >= 100:
                return NULL
            open_fields[opened] = tag >> 3
            opened += 1
        elif tag & 7 == WIRE_END_GROUP:
            if open_fields[opened - 1] != tag >> 3:
                return NULL
            opened -= 1
            if opened == 0:
                return p
        else:
            p = skip_scalar(p, end, tag)
            if p == NULL:
                return NULL
        p = read_any_tag(p, end, &tag)
        if p == NULL:
            return NULL


cdef int utf8_width(const uint8_t *p, size_t left) noexcept nogil:
    """Return the bytes of the character at p, 0 when it is none."""
    cdef uint8_t first = p[0], low = 0x80, high = 0xBF
    cdef int width, i
    if first < 0x80:
        return 1
    if first < 0xC2 or first > 0xF4:
        return 0
    width = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if left < <size_t>width:
        return 0
    if first == 0xE0:
        low = 0xA0      # shorter forms exist
    elif first == 0xED:
        high = 0x9F     # surrogates
    elif first == 0xF0:
        low = 0x90
    elif first == 0xF4:
        high = 0x8F     # above U+10FFFF
    if p[1] < low or p[1] > high:
        return 0
    for i in range(2, width):
        if p[i] & 0xC0 != 0x80:
            return 0
    return width


cdef bint is_utf8(const uint8_t *p, size_t length) noexcept nogil:
    cdef size_t at = 0
    cdef int width
    while at < length:
        width = utf8_width(p + at, length - at)
        if width == 0:
            return False
        at += <size_t>width
    return True
