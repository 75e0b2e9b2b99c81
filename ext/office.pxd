"""Office commands: a payload and its effects, all or nothing."""

from ext.commands cimport cc_command, cc_reply
from ext.tables cimport cc_block, cc_tables


cdef int decide_office(
    cc_tables *t, cc_block *b, cc_command *c, cc_reply *reply,
) noexcept nogil
