"""Asking the memory for rows before their command's turn: at a million accounts each is a miss.

A command's rows hang together: the index names the medium, the medium the account. So they are
asked for in three steps, each when the one before has arrived. A wrong guess costs nothing.
"""

from libc.stdint cimport uint32_t

from ext.atomics cimport prefetch
from ext.commands cimport CC_OP_AUTHORIZE, CC_OP_HOLD, cc_command
from ext.records cimport CC_TERMINAL_SEQ_MAX, cc_terminal
from ext.keys cimport key_place
from ext.rows cimport find16, load64, spot16
from ext.tables cimport cc_tables

cdef enum:
    AHEAD_INDEX = 24     # commands before its turn: the slot of the medium's key
    AHEAD_MEDIUM = 16    # the medium's row
    AHEAD_ACCOUNT = 8    # the account's row, the idempotency key's entry


cdef inline uint32_t medium_slot(const cc_tables *t, const cc_command *c) noexcept nogil:
    return spot16(load64(c.medium_key), load64(c.medium_key + 8)) & t.medium_index.mask


cdef inline void ask_index(const cc_tables *t, const cc_command *c) noexcept nogil:
    if c.op == CC_OP_AUTHORIZE or c.op == CC_OP_HOLD:
        prefetch(&t.medium_index.slot[medium_slot(t, c)])


cdef inline void ask_medium(const cc_tables *t, const cc_command *c) noexcept nogil:
    if c.op == CC_OP_AUTHORIZE or c.op == CC_OP_HOLD:
        prefetch(&t.medium[t.medium_index.slot[medium_slot(t, c)]])


cdef inline void ask_account(const cc_tables *t, const cc_command *c) noexcept nogil:
    cdef uint32_t terminal
    if c.op != CC_OP_AUTHORIZE and c.op != CC_OP_HOLD:
        return
    prefetch(&t.account[t.medium[t.medium_index.slot[medium_slot(t, c)]].account])
    terminal = find16(
        &t.terminal_index, <const unsigned char *>t.terminal, sizeof(cc_terminal), c.terminal_name)
    if terminal != 0 and c.terminal_seq <= CC_TERMINAL_SEQ_MAX:
        prefetch(&t.keys[key_place(terminal, c.batch_no, c.terminal_seq)])
