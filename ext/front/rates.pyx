"""Token buckets of terminals, in whole thousandths of a call."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from ext.digest cimport fingerprint64
from ext.front.parts cimport FRONT_BUCKETS, cc_bucket, cc_io

cdef enum:
    WHOLE = 1000         # a call's token
    NEAR = 8             # buckets looked at for one name
    A_MICROSECOND = 1000
    A_SECOND_US = 1000000


cdef inline int64_t filled(
    const cc_bucket *b, int64_t now_ns, int64_t rate, int64_t most,
) noexcept nogil:
    """What a bucket holds now. Beyond a full one's time nothing is multiplied."""
    cdef int64_t since_us = (now_ns - b.filled_ns) // A_MICROSECOND
    if since_us >= most * A_SECOND_US // (rate * WHOLE) + 1:
        return most
    return min(most, b.tokens + since_us * rate * WHOLE // A_SECOND_US)


cdef cc_bucket *bucket_of(cc_io *io, const uint8_t *name) noexcept nogil:
    """The name's bucket, or the fullest near its place, which forgets least, made its own."""
    cdef uint64_t at = fingerprint64(name, 16)
    cdef int64_t rate = io.front.bounds.rate, most = <int64_t>io.front.bounds.burst * WHOLE
    cdef int64_t fullest = -1, tokens
    cdef cc_bucket *b
    cdef cc_bucket *chosen = NULL
    cdef uint32_t i
    for i in range(NEAR):
        b = &io.bucket[(at + i) % FRONT_BUCKETS]
        if memcmp(b.name, name, 16) == 0:
            return b
        tokens = most + 1 if b.name[0] == 0 else filled(b, io.now_ns, rate, most)
        if tokens > fullest:
            fullest, chosen = tokens, b
    memcpy(chosen.name, name, 16)
    chosen.tokens, chosen.filled_ns = most, io.now_ns
    return chosen


cdef uint32_t rate_take(cc_io *io, const uint8_t *name) noexcept nogil:
    cdef int64_t rate = io.front.bounds.rate, most = <int64_t>io.front.bounds.burst * WHOLE
    cdef cc_bucket *b = bucket_of(io, name)
    cdef int64_t tokens = filled(b, io.now_ns, rate, most)
    # Less than a thousandth is not lost: it is counted with the next look.
    if tokens > b.tokens:
        b.tokens, b.filled_ns = tokens, io.now_ns
    if b.tokens < WHOLE:
        return <uint32_t>max(<int64_t>1, (WHOLE - b.tokens) // rate)
    b.tokens -= WHOLE
    return 0
