"""Checksums, mixes, the chain's hash and the password's keyed tag.

A row is mixed WITHOUT its trailing 4-byte `stamp`: pass sizeof(row) - 4. Rows that have no stamp
(rules, meals, categories, requests) are mixed whole. An idempotency key goes through mix64 into
the terminal row's keys_sum.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.records cimport cc_key, cc_record

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "digest.h" nogil:
    enum:
        CC_MIX_MAX
    void mix128 "cc_mix128"(
        uint32_t table, uint32_t row, const uint8_t *bytes, size_t length,
        uint64_t *lo, uint64_t *hi,
    ) noexcept
    uint64_t mix64 "cc_mix64"(
        uint32_t terminal, uint32_t batch_no, uint32_t terminal_seq, const cc_key *key,
    ) noexcept
    uint64_t fingerprint64 "cc_fingerprint64"(const uint8_t *bytes, size_t length) noexcept

# CRC32C; start with 0, go on with the last result.
cdef uint32_t crc32c(uint32_t crc, const void *data, size_t length) noexcept nogil
# Sets the CRC of n neighbouring records.
cdef void crc32c_seal(cc_record *record, size_t n) noexcept nogil
# Index of the first record whose CRC is wrong; n when none is.
cdef size_t crc32c_check(const cc_record *record, size_t n) noexcept nogil

# SHA-256 over several buffers. One context per thread, made once: hashing allocates nothing.
cdef void *sha256_new() noexcept nogil
cdef void sha256_free(void *context) noexcept nogil
cdef int sha256_vec(void *context, const iovec *part, int parts, uint8_t *out) noexcept nogil

# The keyed tag of a transaction password. One context per thread; it holds the key, not we.
cdef void *pin_mac_new(const uint8_t *key) noexcept nogil
cdef void pin_mac_free(void *mac) noexcept nogil
cdef int pin_mac(
    void *mac, uint32_t account, uint32_t version, const uint8_t *salt,
    const uint8_t *pin, uint8_t pin_len, uint8_t *tag,
) noexcept nogil
cdef bint pin_mac_equal(const uint8_t *tag, const uint8_t *other) noexcept nogil
# 16 bytes that tell one key from another and nothing about it.
cdef int key_check_value(const uint8_t *key, uint8_t *out) noexcept nogil
# Overwrites a secret; the compiler may not leave it out.
cdef void wipe(void *secret, size_t length) noexcept nogil
