"""The engine without its surroundings: decide, seal and append, timed block by block.

Commands are made beforehand; there is no queue, no future and no thread but the committer. What a
front end adds is measured through it. The campus is written as records, not as office commands: a
million accounts take seconds.
"""

import threading
from array import array

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ext.ahead cimport (
    AHEAD_ACCOUNT, AHEAD_COMMAND, AHEAD_INDEX, AHEAD_MEDIUM, ask_account, ask_command, ask_index,
    ask_medium,
)
from ext.apply cimport apply_record
from ext.atomics cimport bell_ring, monotonic_ns, store32
from ext.blocktime cimport begin_block, end_block
from ext.clocks cimport clock_now_us
from ext.commands cimport CC_OP_AUTHORIZE, CC_OP_SIGN_IN, cc_command, cc_reply
from ext.committer cimport (
    committer_run, flight_await, flight_carry, flight_of, flight_send, flights_await, take_stand,
)
from ext.decide cimport decide
from ext.digest cimport fingerprint64
from ext.journal cimport journal_pipeline, journal_prepare, journal_raise
from ext.records cimport (
    CC_AS_NORMAL, CC_BLOCK_MAX, CC_CAT_SHOP, CC_E_BIND, CC_E_OPEN, CC_MS_ACTIVE,
    CC_MT_RFID_CARD, CC_O_APPROVED, CC_O_EFFECT, CC_TERMINAL_SEQ_MAX, CC_TERM_KEYPAD,
    CC_TS_IN_SERVICE, CC_T_ACCOUNT, CC_T_MEDIUM, CC_T_MERCHANT, CC_T_TERMINAL, CC_T_TOP_UP,
    CC_W_CASH, CC_W_ONLINE, cc_record,
)
from ext.ring cimport cc_ring, ring_close, ring_open
from ext.shared cimport CC_FLIGHTS, cc_flight, cc_shared, shared_free, shared_new
from ext.startup cimport Opened, engine_close, engine_open
from ext.tables cimport CC_D_BLOCK_FULL, cc_block, cc_tables

cdef enum:
    NO_LIMIT = 0xFFFFFFFE        # fen; the default would ask for passwords soon
    ROOM = 16                    # records left free in a block of the campus
    TOGETHER = 65536             # commands made at a time,
    BLOCKS_TOGETHER = 16         # or of so many blocks


cdef void card_key(uint32_t account, uint8_t *key) noexcept nogil:
    """The card of an account: a UID of four bytes, its number."""
    memset(key, 0, 16)
    key[0], key[1] = CC_MT_RFID_CARD, 4
    memcpy(key + 2, &account, 4)


cdef void terminal_name(uint32_t terminal, uint8_t *name) noexcept nogil:
    cdef int i
    memset(name, 0, 16)
    name[0], name[1] = c"B", c"-"
    for i in range(5):
        name[6 - i] = c"0" + <uint8_t>(terminal % 10)
        terminal //= 10


# ---- a campus ----

cdef cc_record *next_record(cc_shared *s, uint8_t kind) noexcept nogil:
    cdef cc_block *b = &flight_of(s, s.filled).block
    cdef cc_record *r = &b.records[b.n]
    memset(r, 0, sizeof(cc_record))
    r.seq = s.tables.applied_seq + 1
    r.type, r.outcome, r.part, r.parts = kind, CC_O_EFFECT, 1, 1
    return r


cdef void keep(cc_shared *s, cc_record *r) noexcept nogil:
    if r.account != 0:
        r.prev_account_seq = s.tables.account[r.account].last_seq
    apply_record(&s.tables, r)
    flight_of(s, s.filled).block.n += 1


cdef void begin(cc_shared *s) noexcept nogil:
    cdef cc_flight *f = flight_of(s, s.filled)
    f.block.n = f.block.payload_len = 0
    f.began_ns = monotonic_ns()
    begin_block(&s.tables, &f.block, clock_now_us(&s.clock))


cdef void end(cc_shared *s) noexcept nogil:
    cdef cc_flight *f = flight_of(s, s.filled)
    end_block(&s.tables, &f.block)
    take_stand(&s.tables, &f.stand)
    f.decide_ns = monotonic_ns() - f.began_ns


cdef void commit(cc_shared *s) noexcept nogil:
    """Commit the campus so far; the committer does not run."""
    end(s)
    flight_carry(s)
    journal_prepare(&s.journal, NULL)


cdef void go_on(cc_shared *s) noexcept nogil:
    """The next block, when this one is nearly full."""
    if flight_of(s, s.filled).block.n + ROOM > flight_of(s, s.filled).block.max:
        commit(s)
        begin(s)


cdef void add_account(cc_shared *s, uint32_t account, int64_t online) noexcept nogil:
    """Open, give a card, top up."""
    cdef cc_tables *t = &s.tables
    cdef cc_record *r = next_record(s, CC_T_ACCOUNT)
    r.account = account
    r.body.account_row.status, r.body.account_row.event = CC_AS_NORMAL, CC_E_OPEN
    r.body.account_row.day_limit = r.body.account_row.meal_limit = NO_LIMIT
    keep(s, r)
    r = next_record(s, CC_T_MEDIUM)
    r.account = r.medium = account
    card_key(account, r.body.medium_row.key)
    r.body.medium_row.state, r.body.medium_row.event = CC_MS_ACTIVE, CC_E_BIND
    keep(s, r)
    r = next_record(s, CC_T_TOP_UP)
    r.account = account
    r.body.money.amount = online
    r.body.money.debit_wallet, r.body.money.credit_wallet = CC_W_CASH, CC_W_ONLINE
    r.body.money.debit_after = t.ledger[CC_W_CASH].balance - online
    r.body.money.credit_after = online
    r.body.money.day_key, r.body.money.meal_key = t.day_key, t.meal_key
    keep(s, r)


cdef void add_terminal(cc_shared *s, uint32_t terminal, uint32_t merchant) noexcept nogil:
    cdef cc_record *r
    if merchant >= s.tables.merchants:
        r = next_record(s, CC_T_MERCHANT)
        r.merchant = merchant
        r.body.merchant_row.category = CC_CAT_SHOP
        r.body.merchant_row.status = CC_TS_IN_SERVICE
        keep(s, r)
    r = next_record(s, CC_T_TERMINAL)
    r.terminal, r.merchant = terminal, merchant
    terminal_name(terminal, r.body.terminal_row.name)
    r.body.terminal_row.status = CC_TS_IN_SERVICE
    r.body.terminal_row.flags = CC_TERM_KEYPAD
    keep(s, r)


cdef void populate(
    cc_shared *s, uint32_t accounts, uint32_t merchants, uint32_t terminals, int64_t online,
) noexcept nogil:
    cdef uint32_t i
    begin(s)
    for i in range(1, terminals + 1):
        add_terminal(s, i, (i - 1) % merchants + 1)
        go_on(s)
    for i in range(1, accounts + 1):
        add_account(s, i, online)
        go_on(s)
    commit(s)


# ---- authorizations ----

ctypedef struct cc_phases:       # of each block, nanoseconds
    uint64_t *decide
    uint64_t *seal
    uint64_t *append
    uint64_t *block              # from its first decision to its acknowledgement
    uint64_t wall                # of all together, what overlaps counted once

ctypedef struct cc_run:
    cc_ring ring                 # only its memory is used: places of some blocks
    cc_command *command
    cc_reply reply
    uint32_t *next_seq           # of each terminal
    uint64_t approved
    uint64_t at                  # authorizations made so far
    uint32_t block[CC_FLIGHTS]   # that a flight carries, plus one; 0 none
    cc_phases took


cdef bint sign_in(cc_shared *s, cc_run *run, uint32_t first, uint32_t last) noexcept nogil:
    """A new batch for each of some terminals, in a block of its own, or a few."""
    cdef cc_command c
    cdef uint32_t terminal
    begin(s)
    for terminal in range(first, last + 1):
        go_on(s)
        memset(&c, 0, sizeof(c))
        c.op = CC_OP_SIGN_IN
        terminal_name(terminal, c.terminal_name)
        memset(&run.reply, 0, sizeof(cc_reply))
        decide(&s.tables, &flight_of(s, s.filled).block, &c, &run.reply)
        if run.reply.record.outcome != CC_O_APPROVED:
            return False
        run.next_seq[terminal] = 1
    commit(s)
    return True


cdef void make_command(
    cc_shared *s, cc_run *run, cc_command *c, uint32_t account, uint32_t terminal, int64_t amount,
) noexcept nogil:
    memset(c, 0, <size_t>(<uint8_t *>&c.original - <uint8_t *>c))
    c.op = CC_OP_AUTHORIZE
    terminal_name(terminal, c.terminal_name)
    c.batch_no = s.tables.terminal[terminal].batch_no
    c.terminal_seq = run.next_seq[terminal]
    run.next_seq[terminal] += 1
    card_key(account, c.medium_key)
    c.amount = amount
    c.fingerprint = fingerprint64(c.medium_key, 16) ^ c.terminal_seq


cdef int make_commands(
    cc_shared *s, cc_run *run, uint32_t n, const uint32_t[::1] account,
    const uint32_t[::1] terminal, const uint32_t[::1] amount,
) noexcept nogil:
    """Up to n authorizations, fewer before a terminal needs a new batch; -1 it cannot have one.

    Draws are used again from the start when they run out.
    """
    cdef uint32_t i, j, from_terminal
    for i in range(n):
        j = <uint32_t>(run.at % <uint64_t>account.shape[0])
        from_terminal = terminal[j]
        if not 0 < from_terminal < s.tables.terminals:
            return -1
        if run.next_seq[from_terminal] > CC_TERMINAL_SEQ_MAX:
            if i != 0:
                return i
            if not sign_in(s, run, from_terminal, from_terminal):
                return -1
        make_command(s, run, &run.command[i], account[j], from_terminal, amount[j])
        run.at += 1
    return n


cdef uint32_t decide_block(cc_shared *s, cc_run *run, uint32_t from_, uint32_t n) noexcept nogil:
    """Decide commands from_ .. n - 1 as far as one block takes them; how many are done."""
    cdef cc_tables *t = &s.tables
    cdef cc_block *b = &flight_of(s, s.filled).block
    cdef uint32_t i
    begin(s)
    for i in range(from_, n):
        if i + AHEAD_COMMAND < n:
            ask_command(&run.command[i + AHEAD_COMMAND])
        if i + AHEAD_INDEX < n:
            ask_index(t, &run.command[i + AHEAD_INDEX])
        if i + AHEAD_MEDIUM < n:
            ask_medium(t, &run.command[i + AHEAD_MEDIUM])
        if i + AHEAD_ACCOUNT < n:
            ask_account(t, &run.command[i + AHEAD_ACCOUNT])
        memset(&run.reply, 0, sizeof(cc_reply))
        if decide(t, b, &run.command[i], &run.reply) == CC_D_BLOCK_FULL:
            end(s)
            return i
        run.approved += run.reply.record.outcome == CC_O_APPROVED
    end(s)
    return n


cdef void note(cc_shared *s, cc_run *run, int at) noexcept nogil:
    """What the block took that a flight has carried to its end."""
    cdef cc_flight *f = &s.flight[at]
    cdef uint32_t block = run.block[at]
    if block == 0:
        return
    run.took.decide[block - 1] += <uint64_t>f.decide_ns
    run.took.seal[block - 1] += <uint64_t>f.seal_ns
    run.took.append[block - 1] += <uint64_t>f.append_ns
    run.took.block[block - 1] += <uint64_t>(f.ended_ns - f.began_ns)
    run.block[at] = 0


cdef void carry(
    cc_shared *s, cc_run *run, uint32_t first, uint32_t blocks, uint32_t size,
) noexcept nogil:
    """Decide and commit the commands of some blocks, as the sequencer does, until all are safe."""
    cdef uint32_t done = 0
    cdef int at
    cdef int64_t began = monotonic_ns()
    while done < blocks * size:
        flight_await(s)
        at = <int>(s.filled % CC_FLIGHTS)
        note(s, run, at)
        # A block may be full a little before its size; the next one goes on from there.
        done = decide_block(s, run, done, min(done + size, blocks * size))
        run.block[at] = first + (done - 1) // size + 1
        flight_send(s)
    flights_await(s)
    run.took.wall += <uint64_t>(monotonic_ns() - began)
    for at in range(CC_FLIGHTS):
        note(s, run, at)
    journal_prepare(&s.journal, NULL)


cdef bint authorize_all(
    cc_shared *s, cc_run *run, uint32_t blocks, uint32_t size, const uint32_t[::1] account,
    const uint32_t[::1] terminal, const uint32_t[::1] amount,
) noexcept nogil:
    """Make the commands of some blocks, let the engine have them, and so on."""
    cdef uint32_t done = 0, together
    cdef int made
    run.took.wall = 0
    if run.next_seq[1] == 0 and not sign_in(s, run, 1, s.tables.terminals - 1):
        return False
    while done < blocks:
        together = min(blocks - done, max(<uint32_t>BLOCKS_TOGETHER, <uint32_t>TOGETHER // size))
        made = make_commands(s, run, together * size, account, terminal, amount)
        if made < 0:
            return False
        carry(s, run, done, <uint32_t>made // size, size)
        done += <uint32_t>made // size
    return True


cdef class Campus:
    """An open directory whose engine is driven by hand; only its committer runs."""

    cdef cc_shared *s
    cdef Opened opened
    cdef cc_run run

    def __cinit__(self, str data_dir not None, str key_file not None, dict options=None):
        memset(&self.run, 0, sizeof(cc_run))
        self.s = shared_new()
        self.opened = engine_open(self.s, data_dir, key_file, options or {})
        ring_open(&self.run.ring, BLOCKS_TOGETHER * CC_BLOCK_MAX, False)
        self.run.command = self.run.ring.slot
        self.run.next_seq = <uint32_t *>calloc(self.s.tables.terminals_max + 1, sizeof(uint32_t))
        if self.run.next_seq == NULL:
            raise MemoryError

    def __dealloc__(self):
        ring_close(&self.run.ring)
        free(self.run.next_seq)
        if self.s != NULL:
            if self.opened is not None:
                engine_close(self.s, self.opened)
            shared_free(self.s)

    def close(self):
        """Let go of the directory."""
        engine_close(self.s, self.opened)

    def populate(
        self, uint32_t accounts, *, uint32_t merchants, uint32_t terminals, int64_t online_fen,
    ):
        """Write accounts with a card each, merchants, and terminals of the merchants in turn."""
        if self.s.tables.accounts != 1:
            raise ValueError("the campus has accounts already")
        if (accounts > self.s.tables.accounts_max or terminals > self.s.tables.terminals_max
                or merchants > self.s.tables.merchants_max or not 0 < merchants <= terminals
                or accounts > self.s.tables.media_max):
            raise ValueError("more rows than the options allow, or no merchants")
        with nogil:
            populate(self.s, accounts, merchants, terminals, online_fen)

    def pipeline(self, bint pipelined):
        """Choose how blocks are committed from now on: pipelined, or each in full."""
        cdef int rc = journal_pipeline(&self.s.journal, pipelined)
        if rc != 0:
            journal_raise(rc, b"choosing how to commit", 0)

    def authorize(
        self, uint32_t blocks, uint32_t size, const uint32_t[::1] accounts not None,
        const uint32_t[::1] terminals not None, const uint32_t[::1] amounts not None,
    ):
        """Decide and commit `blocks` blocks of `size` authorizations.

        Draw i takes accounts[i], terminals[i], amounts[i] (fen), round and round. Returns the
        nanoseconds of each block by phase, those of all together (phases of neighbouring blocks
        overlap), and how many authorizations were approved.
        """
        cdef object times = {
            name: array("Q", bytes(8 * blocks))
            for name in ("decide_ns", "seal_ns", "append_ns", "block_ns")
        }
        cdef uint64_t[::1] decide_ns = times["decide_ns"], seal_ns = times["seal_ns"]
        cdef uint64_t[::1] append_ns = times["append_ns"], block_ns = times["block_ns"]
        cdef bint good
        cdef uint64_t before = self.run.approved
        if not 1 <= size <= CC_BLOCK_MAX or blocks < 1:
            raise ValueError(f"1 to {CC_BLOCK_MAX} authorizations a block, at least one block")
        if not 0 < len(accounts) == len(terminals) == len(amounts):
            raise ValueError("as many accounts as terminals as amounts")
        self.run.took.decide, self.run.took.seal = &decide_ns[0], &seal_ns[0]
        self.run.took.append, self.run.took.block = &append_ns[0], &block_ns[0]
        self.s.commit_stop = 0
        committer = threading.Thread(target=self._commit, name="committer")
        committer.start()
        try:
            with nogil:
                good = authorize_all(
                    self.s, &self.run, blocks, size, accounts, terminals, amounts)
        finally:
            store32(&self.s.commit_stop, 1)
            bell_ring(&self.s.commit_bell)
            committer.join()
        if not good:
            raise ValueError("a terminal is not there, or could not sign in")
        return {**times, "wall_ns": self.run.took.wall, "approved": self.run.approved - before}

    def _commit(self):
        with nogil:
            committer_run(self.s)
