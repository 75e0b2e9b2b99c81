"""Opening and closing a journal."""

from libc.stdint cimport uint64_t

from ext.journal cimport cc_journal

# Opens DATA/journal: looks it over without trusting it, and makes sure that what it found is on
# the disk. segment_bytes 0: the default; bytes_max 0: no limit. Not writable: nothing is changed.
# Raises JournalCorrupt with the seq, or EngineError.
cdef int journal_open(
    cc_journal *j, object data_dir, uint64_t segment_bytes, uint64_t bytes_max, bint writable,
) except -1
cdef void journal_close(cc_journal *j) noexcept
