"""Reading the acknowledged journal from Python's threads."""

from ext.errors import JournalCorrupt, Refused

from libc.stdint cimport uint8_t, uint64_t

from ext.atomics cimport load64
from ext.journal cimport (
    JOURNAL_DAMAGED, JOURNAL_END, cc_reader, journal_raise, journal_read_record, reader_close,
    reader_next, reader_open, reader_seek,
)
from ext.records cimport cc_block_header, cc_record
from ext.shared cimport cc_shared
from ext.views cimport transaction_view


cdef list blocks_from(cc_shared *s, uint64_t from_seq, uint64_t max_bytes):
    """Whole blocks from the one holding from_seq on: at least one, if there is one."""
    cdef cc_reader r
    cdef const uint8_t *block
    cdef size_t length
    cdef uint64_t taken = 0
    cdef int rc
    cdef list found = []
    reader_open(&r, &s.journal)
    r.limit = load64(&s.acknowledged_seq)
    try:
        with nogil:
            rc = reader_seek(&r, from_seq if from_seq != 0 else 1, &block, &length)
        while rc == 0 and (not found or taken + length <= max_bytes):
            found.append((<const char *>block)[:length])
            taken += length
            with nogil:
                rc = reader_next(&r, &block, &length)
        if rc == JOURNAL_DAMAGED:
            raise JournalCorrupt(r.bad_seq, (<bytes>r.finding).decode())
        if rc != 0 and rc != JOURNAL_END:
            journal_raise(rc, b"reading the journal", from_seq)
        return found
    finally:
        reader_close(&r)


cdef dict record_at(cc_shared *s, uint64_t seq):
    """One acknowledged record; Refused when there is none."""
    cdef cc_block_header head
    cdef cc_record record
    cdef int rc = JOURNAL_END
    if 0 < seq <= load64(&s.acknowledged_seq):
        with nogil:
            rc = journal_read_record(&s.journal, seq, &head, &record)
    if rc == JOURNAL_END:
        raise Refused("TRANSACTION_NOT_FOUND")
    if rc != 0:
        journal_raise(rc, b"reading a record", seq)
    return transaction_view(&record)
