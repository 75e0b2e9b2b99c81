"""Asking the memory for rows before their command's turn: at a million accounts each is a miss.

A command's rows hang together: the index names the medium, the medium the account. So they are
asked for in steps, each when the one before has arrived. A wrong guess costs nothing.
"""

from libc.stdint cimport uint32_t

from ext.atomics cimport prefetch
from ext.commands cimport CC_OP_AUTHORIZE, CC_OP_HOLD, cc_command
from ext.records cimport CC_TERMINAL_SEQ_MAX, cc_medium, cc_terminal
from ext.keys cimport key_place
from ext.rows cimport find16, load64, spot16
from ext.tables cimport cc_tables

cdef enum:
    AHEAD_COMMAND = 40   # the command itself: another core has written it
    AHEAD_INDEX = 24     # commands before its turn: the slot of the medium's key
    AHEAD_MEDIUM = 16    # the medium's row
    AHEAD_ACCOUNT = 8    # the account's row, the idempotency key's entry
    CANDIDATES = 4       # rows of media that share a neighbourhood of the index
    LINE = 64


cdef inline uint32_t medium_slot(const cc_tables *t, const cc_command *c) noexcept nogil:
    return spot16(load64(c.medium_key), load64(c.medium_key + 8)) & t.medium_index.mask


cdef inline void ask_command(const cc_command *c) noexcept nogil:
    """What a tap fills of it: up to the originals."""
    prefetch(c)
    prefetch(<const char *>c + LINE)
    prefetch(<const char *>c + 2 * LINE)


cdef inline void ask_index(const cc_tables *t, const cc_command *c) noexcept nogil:
    if c.op == CC_OP_AUTHORIZE or c.op == CC_OP_HOLD:
        prefetch(&t.medium_index.slot[medium_slot(t, c)])


cdef inline void ask_medium(const cc_tables *t, const cc_command *c) noexcept nogil:
    """Every row that the search may have to look at, up to a few: one in three is not the first."""
    cdef uint32_t at, row, i
    if c.op != CC_OP_AUTHORIZE and c.op != CC_OP_HOLD:
        return
    at = medium_slot(t, c)
    for i in range(CANDIDATES):
        row = t.medium_index.slot[(at + i) & t.medium_index.mask]
        if row == 0:
            return
        prefetch(&t.medium[row])


cdef inline void ask_account(const cc_tables *t, const cc_command *c) noexcept nogil:
    cdef uint32_t medium, terminal
    if c.op != CC_OP_AUTHORIZE and c.op != CC_OP_HOLD:
        return
    medium = find16(
        &t.medium_index, <const unsigned char *>t.medium, sizeof(cc_medium), c.medium_key)
    prefetch(&t.account[t.medium[medium].account])
    terminal = find16(
        &t.terminal_index, <const unsigned char *>t.terminal, sizeof(cc_terminal), c.terminal_name)
    if terminal != 0 and c.terminal_seq <= CC_TERMINAL_SEQ_MAX:
        prefetch(&t.keys[key_place(terminal, c.batch_no, c.terminal_seq)])
