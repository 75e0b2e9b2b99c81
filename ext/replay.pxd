"""Redoing the journal: one thread checks blocks, another applies what is checked."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.atomics cimport cc_bell
from ext.journal cimport cc_journal
from ext.tables cimport cc_tables

cdef enum:
    REPLAY_STATE = 20001         # beside the journal's codes: a state hash differs
    REPLAY_TYPE = 20002          # a record of a type this version does not know
    REPLAY_TIME = 20003          # a block older than the one before it
    REPLAY_ROOM = 20004          # a row beyond the configured maximum

ctypedef struct cc_replay:
    cc_journal *journal
    cc_tables *tables
    uint64_t from_seq            # redo what comes after it
    uint64_t to_seq
    uint64_t even_from           # rows may be newer than their turn up to this seq
    uint8_t chain[32]            # of the block at from_seq, then of the newest applied
    # the checking thread's
    uint64_t checked_seq         # blocks up to here are sound
    uint32_t checked_all         # it has ended
    int check_rc
    uint64_t bad_seq
    const char *finding
    cc_bell bell                 # wakes the applying thread
    # the applying thread's
    int rc
    uint64_t records
    uint32_t stop                # it has ended: nobody waits for more checking


cdef void replay_check(cc_replay *p) noexcept nogil
cdef void replay_apply(cc_replay *p) noexcept nogil
