"""The first block of a journal: the rules, the meals and the categories."""

from ext.shared cimport cc_shared
from ext.store cimport cc_identity


# Decides and commits it; the threads do not run yet.
cdef int write_first_block(cc_shared *s, const cc_identity *identity) except -1
