"""decide: what becomes of one command. Pure but for apply: no clock, chance or I/O."""

from ext.commands cimport cc_command, cc_reply
from ext.tables cimport cc_block, cc_tables


# Returns CC_D_*; records it appended to the block are applied.
cdef int decide(
    cc_tables *t, cc_block *b, cc_command *c, cc_reply *reply,
) noexcept nogil
