"""A block: header 128 B, n records of 128 B, payload area, trailer 64 B. Sealing and checking.

The payload area's length is a multiple of 8, so that the trailer is aligned.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.digest cimport iovec
from ext.records cimport (
    CC_BLOCK_MAX, CC_PAYLOAD_MAX, cc_block_header, cc_block_trailer, cc_record,
)
from ext.tables cimport cc_block

# What block_check found wrong, in the order it looks.
cdef enum:
    BLOCK_OK = 0
    BLOCK_LENGTH = 1        # shorter than a header, or not the length its header says
    BLOCK_MAGIC = 2         # not a block
    BLOCK_FORMAT = 3        # made by a newer version than this one can read
    BLOCK_HEADER_CRC = 4
    BLOCK_SEQ = 5           # does not start where the block before it ended
    BLOCK_PREVIOUS = 6      # its previous hash is not the chain hash of the block before it
    BLOCK_RECORD_CRC = 7
    BLOCK_RECORD_SEQ = 8    # seq is not first + index
    BLOCK_TRAILER_CRC = 9
    BLOCK_PAYLOAD_CRC = 10
    BLOCK_CHAIN = 11        # the chain hash in the trailer is not that of the content
    BLOCK_SYSTEM = 12       # libcrypto failed

cdef enum:
    BLOCK_PARTS = 4         # header, records, payload, trailer


cdef inline size_t block_bytes(size_t count, size_t payload_len) noexcept nogil:
    """Length of a sealed block."""
    return sizeof(cc_block_header) + count * sizeof(cc_record) + payload_len \
        + sizeof(cc_block_trailer)


cdef inline const cc_block_header *block_header(const uint8_t *block) noexcept nogil:
    return <const cc_block_header*>block


cdef inline const cc_record *block_records(const uint8_t *block) noexcept nogil:
    return <const cc_record*>(block + sizeof(cc_block_header))


cdef inline const uint8_t *block_payload(const uint8_t *block) noexcept nogil:
    return block + sizeof(cc_block_header) + block_header(block).count * sizeof(cc_record)


cdef inline const cc_block_trailer *block_trailer(const uint8_t *block) noexcept nogil:
    return <const cc_block_trailer*>(block_payload(block) + block_header(block).payload_len)


cdef inline int block_shape(const uint8_t *block, size_t length) noexcept nogil:
    """Whether the header can be trusted to find the parts: lengths only, no checksum."""
    if length < sizeof(cc_block_header) + sizeof(cc_record) + sizeof(cc_block_trailer):
        return BLOCK_LENGTH
    if not 0 < block_header(block).count <= CC_BLOCK_MAX:
        return BLOCK_LENGTH
    if block_header(block).payload_len > CC_PAYLOAD_MAX or block_header(block).payload_len % 8:
        return BLOCK_LENGTH
    if length != block_bytes(block_header(block).count, block_header(block).payload_len):
        return BLOCK_LENGTH
    return BLOCK_OK

# Completes a built block: magic, format, counts, previous hash, CRCs, chain hash. The caller has
# set time, business date, rule version, shard, epoch, debits and first_seq in the header, and
# every record but its CRC; the payload buffer has room for 7 bytes of padding. Fills `trailer`
# and the four parts to append. 0, or BLOCK_SYSTEM.
cdef int block_seal(
    cc_block *block, const uint8_t *previous, uint64_t state_lo, uint64_t state_hi,
    void *sha, cc_block_trailer *trailer, iovec *part,
) noexcept nogil

# Checks a block as it lies in the journal. `first_seq` 0: any. `previous` NULL: any.
# BLOCK_OK, or what is wrong, with *bad_seq naming the record or the block's first seq.
cdef int block_check(
    const uint8_t *block, size_t length, uint64_t first_seq, const uint8_t *previous,
    void *sha, uint64_t *bad_seq,
) noexcept nogil

# A short English phrase for a finding.
cdef const char *block_finding(int code) noexcept nogil
