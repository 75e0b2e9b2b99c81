"""The data directory: who holds it, which campus it is, which key goes with it.

    DATA/lock         held with flock by the one process that works on the directory
    DATA/campuscard   the identity, 256 bytes, written last: without it there is no directory
    DATA/journal/     the segments
    DATA/state/ ...   what can be made again from the journal
    KEY               the password key, outside DATA, mode 0600
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.records cimport cc_meals_body, cc_rules_body

cdef extern from "store.h" nogil:
    const uint64_t CC_IDENTITY_MAGIC
    const uint64_t CC_KEY_MAGIC
    enum:
        CC_I_TEST
    ctypedef struct cc_identity:
        uint64_t magic
        uint16_t format, min_reader
        uint32_t flags
        uint8_t uuid[16]
        int64_t created_us
        uint64_t segment_bytes
        uint8_t key_check[16]
        uint8_t key_id
        uint8_t spare0[7]
        cc_rules_body rules
        cc_meals_body meals
        uint8_t spare[68]
        uint32_t crc32c
    ctypedef struct cc_key_file:
        uint64_t magic
        uint8_t key_id
        uint8_t spare[7]
        uint8_t key[32]
        uint8_t check[16]

# Takes the directory's lock and reads its identity. Returns the lock's file descriptor, to be
# closed last. DirectoryBusy when another process holds it.
cdef int store_lock(object data_dir, cc_identity *identity) except -1
# Reads the key that belongs to the identity into `key` (32 bytes, of the caller's locked memory).
cdef int store_key(
    object key_file, object data_dir, const cc_identity *identity, uint8_t *key, uint8_t *key_id,
) except -1
