"""Seals and checks blocks (see blocks.pxd)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from ext.digest cimport (
    crc32c, crc32c_check, crc32c_seal, iovec, sha256_free, sha256_new, sha256_vec,
)
from ext.records cimport (
    CC_BLOCK_MAX, CC_ENGINE_VERSION, CC_FORMAT, CC_MAGIC, CC_MIN_READER, CC_PAYLOAD_MAX,
    cc_block_header, cc_block_trailer, cc_record,
)
from ext.tables cimport cc_block


cdef int block_seal(
    cc_block *block, const uint8_t *previous, uint64_t state_lo, uint64_t state_hi,
    void *sha, cc_block_trailer *trailer, iovec *part,
) noexcept nogil:
    cdef cc_block_header *head = &block.head
    cdef uint32_t padding = (8 - block.payload_len % 8) % 8
    if padding:
        memset(block.payload + block.payload_len, 0, padding)
        block.payload_len += padding
    head.magic = CC_MAGIC
    head.format = CC_FORMAT
    head.min_reader = CC_MIN_READER
    head.engine_version = CC_ENGINE_VERSION
    head.count = block.n
    head.last_seq = head.first_seq + block.n - 1
    head.payload_len = block.payload_len
    memcpy(head.prev_hash, previous, 32)
    head.crc32c = crc32c(0, head, sizeof(cc_block_header) - 4)
    crc32c_seal(block.records, block.n)

    memset(trailer, 0, sizeof(cc_block_trailer))
    trailer.state_lo = state_lo
    trailer.state_hi = state_hi
    trailer.payload_crc32c = crc32c(0, block.payload, block.payload_len)
    part[0].iov_base = head
    part[0].iov_len = sizeof(cc_block_header)
    part[1].iov_base = block.records
    part[1].iov_len = block.n * sizeof(cc_record)
    part[2].iov_base = block.payload
    part[2].iov_len = block.payload_len
    part[3].iov_base = trailer
    part[3].iov_len = 16        # the chain covers the state hash, not itself
    if sha256_vec(sha, part, 4, trailer.chain) != 0:
        return BLOCK_SYSTEM
    trailer.crc32c = crc32c(0, trailer, sizeof(cc_block_trailer) - 4)
    part[3].iov_len = sizeof(cc_block_trailer)
    return BLOCK_OK


cdef int _check_header(
    const uint8_t *block, size_t length, uint64_t first_seq, const uint8_t *previous,
) noexcept nogil:
    cdef const cc_block_header *head = block_header(block)
    if length < sizeof(cc_block_header):
        return BLOCK_LENGTH
    if head.magic != CC_MAGIC:
        return BLOCK_MAGIC
    if head.crc32c != crc32c(0, head, sizeof(cc_block_header) - 4):
        return BLOCK_HEADER_CRC
    # Only now: a flipped bit is damage, not a newer version.
    if head.min_reader > CC_FORMAT:
        return BLOCK_FORMAT
    if block_shape(block, length) != BLOCK_OK:
        return BLOCK_LENGTH
    if head.last_seq != head.first_seq + head.count - 1 or head.first_seq == 0:
        return BLOCK_SEQ
    if first_seq != 0 and head.first_seq != first_seq:
        return BLOCK_SEQ
    if previous != NULL and memcmp(previous, head.prev_hash, 32) != 0:
        return BLOCK_PREVIOUS
    return BLOCK_OK


cdef int block_check(
    const uint8_t *block, size_t length, uint64_t first_seq, const uint8_t *previous,
    void *sha, uint64_t *bad_seq,
) noexcept nogil:
    cdef const cc_block_header *head = block_header(block)
    cdef const cc_record *record = block_records(block)
    cdef const cc_block_trailer *trailer
    cdef iovec part[2]
    cdef uint8_t chain[32]
    cdef size_t bad, i
    cdef int rc = _check_header(block, length, first_seq, previous)
    if rc != BLOCK_OK:
        bad_seq[0] = first_seq if first_seq or rc <= BLOCK_HEADER_CRC else head.first_seq
        return rc
    bad_seq[0] = head.first_seq
    bad = crc32c_check(record, head.count)
    if bad < head.count:
        bad_seq[0] = head.first_seq + bad
        return BLOCK_RECORD_CRC
    for i in range(head.count):
        if record[i].seq != head.first_seq + i:
            bad_seq[0] = head.first_seq + i
            return BLOCK_RECORD_SEQ
    trailer = block_trailer(block)
    if trailer.crc32c != crc32c(0, trailer, sizeof(cc_block_trailer) - 4):
        return BLOCK_TRAILER_CRC
    if trailer.payload_crc32c != crc32c(0, block_payload(block), head.payload_len):
        return BLOCK_PAYLOAD_CRC
    part[0].iov_base = <void*>block
    part[0].iov_len = length - sizeof(cc_block_trailer) + 16
    if sha256_vec(sha, part, 1, chain) != 0:
        return BLOCK_SYSTEM
    if memcmp(chain, trailer.chain, 32) != 0:
        return BLOCK_CHAIN
    return BLOCK_OK


cdef const char *block_finding(int code) noexcept nogil:
    if code == BLOCK_OK:
        return b"ok"
    if code == BLOCK_LENGTH:
        return b"length differs from its header's"
    if code == BLOCK_MAGIC:
        return b"not a block"
    if code == BLOCK_FORMAT:
        return b"written by a newer version"
    if code == BLOCK_HEADER_CRC:
        return b"header CRC"
    if code == BLOCK_SEQ:
        return b"gap in the sequence"
    if code == BLOCK_PREVIOUS:
        return b"does not follow the block before it"
    if code == BLOCK_RECORD_CRC:
        return b"record CRC"
    if code == BLOCK_RECORD_SEQ:
        return b"record out of sequence"
    if code == BLOCK_TRAILER_CRC:
        return b"trailer CRC"
    if code == BLOCK_PAYLOAD_CRC:
        return b"payload CRC"
    if code == BLOCK_CHAIN:
        return b"chain hash"
    return b"libcrypto failed"


# ---- the same for Python: followers, tests, tools that read a copy ----

def seal(
    bytes records not None, bytes payload=b"", *, uint64_t first_seq, bytes previous=bytes(32),
    state=0, time_us=0, uint32_t business_date=0, uint32_t rule_version=0, uint32_t epoch=0,
    debits_fen=0,
):
    """Return a sealed block of records (their CRCs are set here) and its payload area."""
    cdef cc_block block
    cdef cc_block_trailer trailer
    cdef iovec part[4]
    cdef uint8_t *buffer
    cdef void *sha
    cdef int rc, i
    cdef size_t count = len(records) // sizeof(cc_record)
    if len(records) % sizeof(cc_record) or not 0 < count <= CC_BLOCK_MAX:
        raise ValueError(f"1 to {CC_BLOCK_MAX} records of {sizeof(cc_record)} bytes")
    if len(payload) > CC_PAYLOAD_MAX or len(previous) != 32 or first_seq == 0:
        raise ValueError("payload too long, previous hash not 32 bytes, or first_seq 0")
    buffer = <uint8_t*>malloc(len(records) + len(payload) + 8)
    sha = sha256_new()
    if buffer == NULL or sha == NULL:
        free(buffer)
        sha256_free(sha)
        raise MemoryError
    try:
        memset(&block, 0, sizeof(block))
        memcpy(buffer, <const char*>records, len(records))
        memcpy(buffer + len(records), <const char*>payload, len(payload))
        block.records = <cc_record*>buffer
        block.n = <uint32_t>count
        block.payload = buffer + len(records)
        block.payload_len = <uint32_t>len(payload)
        block.head.first_seq = first_seq
        block.head.time_us = time_us
        block.head.business_date = business_date
        block.head.rule_version = rule_version
        block.head.epoch = epoch
        block.head.debits = debits_fen
        rc = block_seal(
            &block, previous, state & 0xFFFFFFFFFFFFFFFF, state >> 64, sha, &trailer, part)
        if rc != BLOCK_OK:
            raise OSError(block_finding(rc).decode())
        return b"".join([(<char*>part[i].iov_base)[:part[i].iov_len] for i in range(4)])
    finally:
        free(buffer)
        sha256_free(sha)


def check(const uint8_t[::1] block not None, uint64_t first_seq=0, bytes previous=None):
    """Return ("", 0) for a sound block, or what is wrong and the seq it is wrong at."""
    cdef void *sha = sha256_new()
    cdef uint64_t bad_seq = 0
    cdef int rc
    if sha == NULL:
        raise MemoryError
    if block.shape[0] == 0:
        rc = BLOCK_LENGTH
        bad_seq = first_seq
    else:
        rc = block_check(
            &block[0], block.shape[0], first_seq,
            <const uint8_t*>NULL if previous is None else <const uint8_t*>previous,
            sha, &bad_seq)
    sha256_free(sha)
    return ("", 0) if rc == BLOCK_OK else (block_finding(rc).decode(), bad_seq)
