"""The engine without its surroundings: decide, seal and append, timed block by block.

Commands are made beforehand; there is no queue, no future and no other thread. What a front end
adds is measured through it. The campus is written as records, not as office commands: a million
accounts take seconds.
"""

from array import array

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ext.ahead cimport (
    AHEAD_ACCOUNT, AHEAD_INDEX, AHEAD_MEDIUM, ask_account, ask_index, ask_medium,
)
from ext.apply cimport apply_record
from ext.atomics cimport monotonic_ns
from ext.blocks cimport BLOCK_OK, block_seal
from ext.blocktime cimport begin_block, end_block
from ext.clocks cimport clock_now_us
from ext.commands cimport CC_OP_AUTHORIZE, CC_OP_SIGN_IN, cc_command, cc_reply
from ext.decide cimport decide
from ext.digest cimport fingerprint64
from ext.journal cimport cc_fatal, journal_append, journal_prepare
from ext.records cimport (
    CC_AS_NORMAL, CC_BLOCK_MAX, CC_CAT_SHOP, CC_E_BIND, CC_E_OPEN, CC_MS_ACTIVE,
    CC_MT_RFID_CARD, CC_O_APPROVED, CC_O_EFFECT, CC_TERMINAL_SEQ_MAX, CC_TERM_KEYPAD,
    CC_TS_IN_SERVICE, CC_T_ACCOUNT, CC_T_MEDIUM, CC_T_MERCHANT, CC_T_TERMINAL, CC_T_TOP_UP,
    CC_W_CASH, CC_W_ONLINE, cc_record,
)
from ext.ring cimport cc_ring, ring_close, ring_open
from ext.sequencer cimport flight_commit, flight_release
from ext.shared cimport cc_flight, cc_shared, shared_free, shared_new
from ext.startup cimport Opened, engine_close, engine_open
from ext.tables cimport CC_D_BLOCK_FULL, cc_block, cc_tables

cdef enum:
    NO_LIMIT = 0xFFFFFFFE        # fen; the default would ask for passwords soon
    ROOM = 16                    # records left free in a block of the campus


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
    cdef cc_record *r = &s.flight.block.records[s.flight.block.n]
    memset(r, 0, sizeof(cc_record))
    r.seq = s.tables.applied_seq + 1
    r.type, r.outcome, r.part, r.parts = kind, CC_O_EFFECT, 1, 1
    return r


cdef void keep(cc_shared *s, cc_record *r) noexcept nogil:
    if r.account != 0:
        r.prev_account_seq = s.tables.account[r.account].last_seq
    apply_record(&s.tables, r)
    s.flight.block.n += 1


cdef void begin(cc_shared *s) noexcept nogil:
    s.flight.block.n = s.flight.block.payload_len = 0
    begin_block(&s.tables, &s.flight.block, clock_now_us(&s.clock))


cdef void commit(cc_shared *s) noexcept nogil:
    end_block(&s.tables, &s.flight.block)
    flight_commit(s, &s.flight)
    flight_release(s, &s.flight)
    journal_prepare(&s.journal)


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
        if s.flight.block.n + ROOM > s.flight.block.max:
            commit(s)
            begin(s)
    for i in range(1, accounts + 1):
        add_account(s, i, online)
        if s.flight.block.n + ROOM > s.flight.block.max:
            commit(s)
            begin(s)
    commit(s)


# ---- authorizations ----

ctypedef struct cc_run:
    cc_ring ring                 # only its memory is used: places of a block
    cc_command *command
    cc_reply reply
    uint32_t size
    uint32_t *next_seq           # of each terminal
    uint64_t approved
    uint64_t at                  # authorizations made so far


cdef bint sign_in(cc_shared *s, cc_run *run, uint32_t first, uint32_t last) noexcept nogil:
    """A new batch for each of some terminals, in a block of its own, or a few."""
    cdef cc_command c
    cdef uint32_t terminal
    begin(s)
    for terminal in range(first, last + 1):
        if s.flight.block.n + ROOM > s.flight.block.max:
            commit(s)
            begin(s)
        memset(&c, 0, sizeof(c))
        c.op = CC_OP_SIGN_IN
        terminal_name(terminal, c.terminal_name)
        memset(&run.reply, 0, sizeof(cc_reply))
        decide(&s.tables, &s.flight.block, &c, &run.reply)
        if run.reply.record.outcome != CC_O_APPROVED:
            return False
        run.next_seq[terminal] = 1
    commit(s)
    return True


cdef bint make_commands(
    cc_shared *s, cc_run *run, uint32_t n, const uint32_t[::1] account,
    const uint32_t[::1] terminal, const uint32_t[::1] amount,
) noexcept nogil:
    """The next n authorizations; draws are used again from the start when they run out."""
    cdef cc_command *c
    cdef uint32_t i, j, from_terminal
    for i in range(n):
        j = <uint32_t>(run.at % <uint64_t>account.shape[0])
        c = &run.command[i]
        from_terminal = terminal[j]
        if not 0 < from_terminal < s.tables.terminals:
            return False
        if run.next_seq[from_terminal] > CC_TERMINAL_SEQ_MAX \
                and not sign_in(s, run, from_terminal, from_terminal):
            return False
        memset(c, 0, <size_t>(<uint8_t *>&c.original - <uint8_t *>c))
        c.op = CC_OP_AUTHORIZE
        terminal_name(from_terminal, c.terminal_name)
        c.batch_no = s.tables.terminal[from_terminal].batch_no
        c.terminal_seq = run.next_seq[from_terminal]
        run.next_seq[from_terminal] += 1
        card_key(account[j], c.medium_key)
        c.amount = amount[j]
        c.fingerprint = fingerprint64(c.medium_key, 16) ^ c.terminal_seq
        run.at += 1
    return True


cdef uint32_t decide_block(cc_shared *s, cc_run *run, uint32_t from_, uint32_t n) noexcept nogil:
    """Decide commands from_ .. n - 1 as far as one block takes them; how many are done."""
    cdef cc_tables *t = &s.tables
    cdef cc_block *b = &s.flight.block
    cdef uint32_t i
    begin(s)
    for i in range(from_, n):
        if i + AHEAD_INDEX < n:
            ask_index(t, &run.command[i + AHEAD_INDEX])
        if i + AHEAD_MEDIUM < n:
            ask_medium(t, &run.command[i + AHEAD_MEDIUM])
        if i + AHEAD_ACCOUNT < n:
            ask_account(t, &run.command[i + AHEAD_ACCOUNT])
        memset(&run.reply, 0, sizeof(cc_reply))
        if decide(t, b, &run.command[i], &run.reply) == CC_D_BLOCK_FULL:
            end_block(t, b)
            return i
        run.approved += run.reply.record.outcome == CC_O_APPROVED
    end_block(t, b)
    return n


cdef void commit_timed(cc_shared *s, uint64_t *seal_ns, uint64_t *append_ns) noexcept nogil:
    """As flight_commit, with a time for each of its two halves."""
    cdef cc_flight *f = &s.flight
    cdef int64_t began = monotonic_ns(), sealed
    cdef int rc = block_seal(
        &f.block, s.chain, s.tables.state_lo, s.tables.state_hi, s.sha, &f.trailer, f.part)
    if rc != BLOCK_OK:
        cc_fatal(b"sealing a block failed", rc)
    sealed = monotonic_ns()
    rc = journal_append(&s.journal, &f.block.head, f.part)
    if rc != 0:
        cc_fatal(s.journal.fault.what, rc)
    seal_ns[0] += <uint64_t>(sealed - began)
    append_ns[0] += <uint64_t>(monotonic_ns() - sealed)
    memcpy(s.chain, f.trailer.chain, 32)
    flight_release(s, f)


cdef class Campus:
    """An open directory whose engine is driven by hand; its threads do not run."""

    cdef cc_shared *s
    cdef Opened opened
    cdef cc_run run

    def __cinit__(self, str data_dir not None, str key_file not None, dict options=None):
        memset(&self.run, 0, sizeof(cc_run))
        self.s = shared_new()
        self.opened = engine_open(self.s, data_dir, key_file, options or {})
        ring_open(&self.run.ring, CC_BLOCK_MAX, False)
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

    def authorize(
        self, uint32_t blocks, uint32_t size, const uint32_t[::1] accounts not None,
        const uint32_t[::1] terminals not None, const uint32_t[::1] amounts not None,
    ):
        """Decide and commit `blocks` blocks of `size` authorizations.

        Draw i takes accounts[i], terminals[i], amounts[i] (fen), round and round. Returns the
        nanoseconds of each block by phase, and how many authorizations were approved.
        """
        cdef uint64_t[::1] decide_ns = array("Q", bytes(8 * blocks))
        cdef uint64_t[::1] seal_ns = array("Q", bytes(8 * blocks))
        cdef uint64_t[::1] append_ns = array("Q", bytes(8 * blocks))
        cdef uint32_t i, done
        cdef int64_t began
        cdef bint good = True
        cdef uint64_t before = self.run.approved
        if not 1 <= size <= CC_BLOCK_MAX:
            raise ValueError(f"1 to {CC_BLOCK_MAX} authorizations a block")
        if not 0 < len(accounts) == len(terminals) == len(amounts):
            raise ValueError("as many accounts as terminals as amounts")
        with nogil:
            if self.run.next_seq[1] == 0:
                good = sign_in(self.s, &self.run, 1, self.s.tables.terminals - 1)
            for i in range(blocks):
                good = good and make_commands(
                    self.s, &self.run, size, accounts, terminals, amounts)
                if not good:
                    break
                done = 0
                while done < size:
                    began = monotonic_ns()
                    done = decide_block(self.s, &self.run, done, size)
                    decide_ns[i] += <uint64_t>(monotonic_ns() - began)
                    commit_timed(self.s, &seal_ns[i], &append_ns[i])
                journal_prepare(&self.s.journal)
        if not good:
            raise ValueError("a terminal is not there, or could not sign in")
        return {
            "decide_ns": decide_ns.base, "seal_ns": seal_ns.base, "append_ns": append_ns.base,
            "approved": self.run.approved - before,
        }
