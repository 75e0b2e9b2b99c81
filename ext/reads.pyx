"""Reads: nothing is journaled, the answer is as of the newest record decided."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from ext.commands cimport (
    CC_CF_BY_ACCOUNT, CC_CF_BY_SEQ, CC_OP_GET_ACCOUNT, CC_OP_GET_BALANCE, CC_OP_GET_TRANSACTION,
    CC_OP_HISTORY, CC_ST_NOT_FOUND, cc_command, cc_reply,
)
from ext.dues cimport find_hold
from ext.keys cimport find_key
from ext.limits cimport day_limit_of, day_now, meal_limit_of, meal_now
from ext.originals cimport BATCH_READY, BATCH_EXPIRED, batch_at_hand
from ext.pins cimport fails_now
from ext.records cimport (
    CC_K_NONE, CC_MS_UNBOUND, CC_TERMINAL_SEQ_MAX, cc_key, cc_medium, cc_terminal,
)
from ext.reserve cimport open_water_hold
from ext.rows cimport find16
from ext.tables cimport CC_D_HISTORY, CC_D_READ, CC_D_REPLAY, cc_tables


cdef int not_found(cc_reply *reply) noexcept nogil:
    reply.status = CC_ST_NOT_FOUND
    return CC_D_READ


cdef uint32_t terminal_of(const cc_tables *t, const cc_command *c) noexcept nogil:
    return find16(
        &t.terminal_index, <const uint8_t *>t.terminal, sizeof(cc_terminal), c.terminal_name)


cdef int read_account(cc_tables *t, const cc_command *c, cc_reply *reply) noexcept nogil:
    """Wallets, present counters and effective limits; the password's tag stays here."""
    cdef uint32_t medium, row = c.account
    if not c.flags & CC_CF_BY_ACCOUNT and c.op == CC_OP_GET_BALANCE:
        medium = find16(
            &t.medium_index, <const uint8_t *>t.medium, sizeof(cc_medium), c.medium_key)
        if terminal_of(t, c) == 0 or medium == 0 or t.medium[medium].state == CC_MS_UNBOUND:
            return not_found(reply)
        row = t.medium[medium].account
    if row == 0 or row >= t.accounts or t.account[row].status == 0:
        return not_found(reply)
    reply.account_row, reply.cold_row = t.account[row], t.cold[row]
    reply.account_row.day_used = day_now(t, &t.account[row])
    reply.account_row.meal_used = meal_now(t, &t.account[row])
    reply.account_row.pin_fails = fails_now(t, row)
    reply.account_row.stamp = reply.cold_row.stamp = 0
    memset(reply.cold_row.pin_tag, 0, 16)
    memset(reply.cold_row.pin_salt, 0, 8)
    reply.limit_day, reply.limit_meal = day_limit_of(t, &t.account[row]), meal_limit_of(
        t, &t.account[row])
    reply.record.account = reply.row = row
    if c.op == CC_OP_GET_ACCOUNT:
        reply.next_seq = open_water_hold(t, row)
        reply.hold_state = t.hold[find_hold(t, reply.next_seq)].state
    return CC_D_READ


cdef int read_transaction(cc_tables *t, const cc_command *c, cc_reply *reply) noexcept nogil:
    cdef uint32_t terminal
    cdef cc_key *entry
    cdef int said
    if c.flags & CC_CF_BY_SEQ:
        reply.record.seq = c.original_seq
        if c.original_seq == 0 or c.original_seq > t.applied_seq:
            return not_found(reply)
        return CC_D_REPLAY
    terminal = terminal_of(t, c)
    if terminal == 0 or c.batch_no == 0 or c.batch_no > t.terminal[terminal].batch_no \
            or c.terminal_seq > CC_TERMINAL_SEQ_MAX:
        return not_found(reply)
    said = batch_at_hand(t, terminal, c.batch_no, reply)
    if said == BATCH_EXPIRED:
        return not_found(reply)
    if said != BATCH_READY:
        return said
    entry = find_key(t, terminal, c.batch_no, c.terminal_seq)
    if entry == NULL or entry.seq_state & 3 == CC_K_NONE:
        return not_found(reply)
    reply.record.seq = entry.seq_state >> 2
    return CC_D_REPLAY


cdef int read_history(cc_tables *t, const cc_command *c, cc_reply *reply) noexcept nogil:
    if c.account == 0 or c.account >= t.accounts or c.original_seq > t.applied_seq:
        return not_found(reply)
    reply.next_seq = c.original_seq if c.original_seq != 0 else t.account[c.account].last_seq
    return CC_D_HISTORY


cdef int decide_read(cc_tables *t, const cc_command *c, cc_reply *reply) noexcept nogil:
    """Returns CC_D_READ when answered, or what the reader has to do."""
    cdef uint32_t terminal
    reply.rule_version, reply.time_us = t.rule_version, t.time_us
    reply.business_date = t.business_date
    if c.op == CC_OP_GET_BALANCE or c.op == CC_OP_GET_ACCOUNT:
        return read_account(t, c, reply)
    if c.op == CC_OP_GET_TRANSACTION:
        return read_transaction(t, c, reply)
    if c.op == CC_OP_HISTORY:
        return read_history(t, c, reply)
    terminal = terminal_of(t, c)
    if t.terminal[terminal].signed_in:
        reply.record.batch_no = t.terminal[terminal].batch_no
    return CC_D_READ
