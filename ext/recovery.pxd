"""From the disk to tables that stand where the journal ends: load state/, redo what came after."""

from libc.stdint cimport uint64_t

from ext.memory cimport cc_bounds
from ext.shared cimport cc_shared


cdef class Recovered:
    """What a start did, for the log and the tests."""

    cdef readonly uint64_t state_seq   # replay began after this one; 0: at the beginning
    cdef readonly uint64_t records     # replayed
    cdef readonly str discarded        # why state/ was not used, "" when it was or was not there


# Fills s.tables, s.chain and what head() tells from DATA. s.journal is open, s.tables are mapped
# and empty, s.checkpoint has its memory. Raises JournalCorrupt, EngineError.
cdef Recovered recover(cc_shared *s, str data_dir, const cc_bounds *bounds)
