"""First answers again, originals, older batches, history: everything that RAM does not hold.

A job reaches the reader when the newest block decided before it is acknowledged, so whatever it
names can be read. What cannot be found although RAM pointed to it is damage: the process stops.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memset

from ext.atomics cimport bell_arm, bell_disarm, bell_ring, bell_wait, load32, monotonic_ns
from ext.blocks cimport block_records
from ext.commands cimport (
    CC_CF_LOADED, CC_OP_OFFICE, CC_ST_NOT_FOUND, CC_ST_OVERLOADED, cc_command, cc_reply,
)
from ext.digest cimport crc32c
from ext.feed cimport cc_ticket, feed_push
from ext.jobs cimport (
    CC_J_BATCH, CC_J_ORIGINAL, CC_J_REPLAY, cc_job, lane_empty, lane_put, lane_take,
)
from ext.journal cimport (
    JOURNAL_DAMAGED, cc_fatal, cc_reader, reader_close, reader_open, reader_pause, reader_seek,
)
from ext.keys cimport key_of_record, original_key_of_record
from ext.records cimport (
    CC_O_EFFECT, CC_PARTS_MAX, CC_T_DOCUMENT, CC_T_MEDIUM, CC_T_MERCHANT, CC_T_PIN_CHECK,
    CC_T_SIGN_IN, CC_T_TERMINAL, cc_block_header, cc_key, cc_record,
)
from ext.shared cimport cc_shared
from ext.taps cimport reply_from_records
from ext.views cimport cc_history_row

cdef enum:
    HISTORY_MAX = 1000


cdef void need_record(
    cc_reader *r, uint64_t seq, cc_block_header *head, cc_record *out,
) noexcept nogil:
    """Read a record that must be there, and check it."""
    cdef const uint8_t *block
    cdef size_t length
    cdef int rc = reader_seek(r, seq, &block, &length)
    if rc == 0:
        memcpy(head, block, sizeof(cc_block_header))
        memcpy(out, block_records(block) + (seq - head.first_seq), sizeof(cc_record))
        if (head.crc32c != crc32c(0, head, sizeof(cc_block_header) - 4)
                or out.crc32c != crc32c(0, out, sizeof(cc_record) - 4) or out.seq != seq):
            rc = JOURNAL_DAMAGED
    if rc != 0:
        cc_fatal(b"a record the state points to cannot be read", rc)


cdef int read_parts(
    cc_reader *r, uint64_t seq, cc_block_header *head, cc_record *parts,
) noexcept nogil:
    """All records of the command that `seq` is a part of; how many there are."""
    cdef uint64_t first
    cdef int n, i
    need_record(r, seq, head, &parts[0])
    n = parts[0].parts
    first = seq - (parts[0].part - 1)
    if n < 2 or n > <int>CC_PARTS_MAX or parts[0].part < 1 or parts[0].part > n:
        return 1
    for i in range(n):
        need_record(r, first + i, head, &parts[i])
    return n


cdef void release_one(cc_ticket *ticket) noexcept nogil:
    ticket.next, ticket.released_ns = NULL, monotonic_ns()
    feed_push(ticket.feed, ticket, ticket)


cdef uint32_t row_of(const cc_record *effect) noexcept nogil:
    """The row an effect is about: its answer tells the number that was given."""
    if effect.type == CC_T_MEDIUM:
        return effect.medium
    if effect.type == CC_T_MERCHANT:
        return effect.merchant
    if effect.type == CC_T_TERMINAL:
        return effect.terminal
    return effect.account


cdef uint32_t first_row(cc_reader *r, const cc_record *document) noexcept nogil:
    """Row of the first effect of the office command that a document ends."""
    cdef cc_block_header head
    cdef cc_record effect
    cdef uint64_t seq = document.seq - (document.part - 1)
    if document.outcome != CC_O_EFFECT:
        return 0
    need_record(r, seq, &head, &effect)
    if effect.type == CC_T_PIN_CHECK:
        need_record(r, seq + 1, &head, &effect)
    return row_of(&effect) if effect.type != CC_T_DOCUMENT else 0


cdef void replay(cc_shared *s, cc_reader *r, cc_job *job) noexcept nogil:
    """The first answer again, equal but for `replayed`."""
    cdef cc_record parts[CC_PARTS_MAX]
    cdef cc_block_header head
    cdef cc_reply *reply = &job.ticket.reply
    cdef uint64_t token = reply.token
    cdef int n = read_parts(r, job.seq, &head, parts)
    memset(reply, 0, sizeof(cc_reply))
    reply_from_records(&s.tables, &head, parts, n, reply)
    reply.token, reply.op = token, job.op
    reply.replayed = 1
    if job.op == CC_OP_OFFICE:
        reply.row = first_row(r, &parts[n - 1])
    reply.as_of_seq = job.as_of_seq
    release_one(job.ticket)


cdef void load_original(cc_reader *r, cc_job *job) noexcept nogil:
    cdef cc_block_header head
    cdef cc_command *c = &job.command
    c.originals = read_parts(r, job.seq, &head, c.original)
    c.flags |= CC_CF_LOADED
    c.loads += 1


cdef inline void enter_key(cc_job *job, uint32_t terminal_seq, const cc_key *entry) noexcept nogil:
    """Walking back, the first record met for a number is its newest: that one counts."""
    if job.keys[terminal_seq & 0xFFFF].seq_state == 0:
        job.keys[terminal_seq & 0xFFFF] = entry[0]


cdef void load_batch(cc_shared *s, cc_reader *reader, cc_job *job) noexcept nogil:
    """Collect a batch's keys along its terminal's chain, from now back to its sign-in."""
    cdef cc_record r
    cdef cc_block_header head
    cdef cc_key entry
    cdef uint32_t terminal_seq
    cdef uint64_t seq = job.seq
    job.sign_in_us = 0
    while seq != 0 and load32(&s.stop) == 0:
        need_record(reader, seq, &head, &r)
        if key_of_record(&r, job.batch_no, &terminal_seq, &entry):
            enter_key(job, terminal_seq, &entry)
        if original_key_of_record(&r, job.batch_no, &terminal_seq, &entry):
            enter_key(job, terminal_seq, &entry)
        if r.type == CC_T_SIGN_IN and r.batch_no == job.batch_no:
            job.sign_in_us = head.time_us
            return
        seq = r.body.money.prev_terminal_seq


cdef void read_history(cc_reader *r, cc_job *job) noexcept nogil:
    """A page of the account's chain, newest first. What is in the chain stays: pages are stable."""
    cdef cc_reply *reply = &job.ticket.reply
    cdef uint32_t limit = min(job.limit, <uint32_t>HISTORY_MAX)
    cdef uint64_t seq = job.seq
    cdef cc_history_row *page = NULL
    cdef cc_history_row *row
    cdef cc_block_header head
    if limit != 0:
        page = <cc_history_row *>malloc(limit * sizeof(cc_history_row))
    if page == NULL:
        reply.status = CC_ST_OVERLOADED
        release_one(job.ticket)
        return
    reply.count = 0
    while seq != 0 and reply.count < limit:
        row = &page[reply.count]
        need_record(r, seq, &head, &row.record)
        row.time_us, row.business_date = head.time_us, head.business_date
        row.rule_version = head.rule_version
        if row.record.account != job.account:
            reply.status = CC_ST_NOT_FOUND  # a page token of another account
            break
        seq = row.record.prev_account_seq
        reply.count += 1
    reply.bytes = <uint8_t *>page
    reply.next_seq = seq
    reply.as_of_seq = job.as_of_seq
    release_one(job.ticket)


cdef void do_job(cc_shared *s, cc_reader *r, cc_job *job) noexcept nogil:
    if job.kind == CC_J_REPLAY:
        replay(s, r, job)
    elif job.kind == CC_J_ORIGINAL:
        load_original(r, job)
    elif job.kind == CC_J_BATCH:
        load_batch(s, r, job)
    else:
        read_history(r, job)


cdef void reader_run(cc_shared *s) noexcept nogil:
    cdef cc_job *job
    cdef cc_reader r
    reader_open(&r, &s.journal)
    while load32(&s.stop) == 0:
        job = lane_take(&s.jobs.to_reader)
        if job != NULL:
            do_job(s, &r, job)
            lane_put(&s.jobs.to_sequencer, job)
            bell_ring(&s.ring.bell)
            continue
        reader_pause(&r)  # a snapshot held while asleep would make the file grow
        bell_arm(&s.reader_bell)
        if lane_empty(&s.jobs.to_reader) and load32(&s.stop) == 0:
            bell_wait(&s.reader_bell, -1)
        bell_disarm(&s.reader_bell)
    reader_close(&r)
