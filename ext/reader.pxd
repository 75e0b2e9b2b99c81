"""The thread that reads the journal, so that the sequencer never does."""

from ext.shared cimport cc_shared

# The loop, until shared.stop. A thread's body, without the GIL.
cdef void reader_run(cc_shared *s) noexcept nogil
