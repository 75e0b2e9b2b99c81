"""apply_record: the only code that changes a table, live and in replay.

Records carry after-images, so applying one twice, or onto rows that are already newer, ends in the
same state once everything after it has been applied too (a checkpoint may be fuzzy).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ext.holds cimport hold_close, hold_expire, hold_grey, hold_open
from ext.keys cimport apply_keys, clear_batch
from ext.records cimport (
    CC_F_COUNTS_DAY, CC_F_COUNTS_MEAL, CC_F_DUE, CC_F_PIN_BAD, CC_F_WATER, CC_O_APPROVED,
    CC_O_EFFECT, CC_P_DATED, CC_P_SESSION,
    CC_TABLE_CATEGORY, CC_TABLE_REQUEST, CC_TABLE_RULES, CC_T_ACCOUNT, CC_T_ADJUST,
    CC_T_CAPTURE, CC_T_CATEGORY, CC_T_DOCUMENT, CC_T_HOLD, CC_T_HOLD_EXPIRED, CC_T_HOLD_GREY,
    CC_T_HOLD_RETIRED, CC_T_MEALS, CC_T_MEDIUM, CC_T_MERCHANT, CC_T_PURCHASE, CC_T_REFUND,
    CC_T_RELEASE, CC_T_REVERSAL, CC_T_RULES, CC_T_SCHEDULED, CC_T_SIGN_IN, CC_T_SIGN_OFF,
    CC_T_TERMINAL, CC_T_UNSCHEDULED, CC_W_MERCHANT, CC_W_ONLINE, CC_W_SUBSIDY, CC_W_WATER,
    cc_account, cc_account_body, cc_account_cold, cc_hold, cc_meals_body, cc_medium,
    cc_merchant, cc_money_body, cc_record, cc_request, cc_rules_body, cc_terminal, cc_undo,
)
from ext.rows cimport (
    drop, find16, find8, put16, put8, touch_account, touch_cold, touch_ledger, touch_medium,
    touch_merchant, touch_terminal, touch_undo, weigh_fixed,
)
from ext.schedules cimport schedule_close, schedule_open
from ext.tables cimport cc_tables


cdef inline void set_side(
    cc_tables *t, const cc_record *r, uint8_t wallet, int64_t after,
) noexcept nogil:
    """Give one side of a movement its balance after."""
    if wallet == CC_W_ONLINE:
        touch_account(t, r.account).online = after
    elif wallet == CC_W_MERCHANT:
        touch_merchant(t, r.merchant).payable = after
    elif wallet == CC_W_SUBSIDY:
        touch_account(t, r.account).subsidy = after
    elif wallet == CC_W_WATER:
        touch_cold(t, r.account).water = after
    elif wallet != 0:
        touch_ledger(t, wallet & 31).balance = after


cdef inline uint16_t meal_day_of(uint16_t day_key, uint8_t meal_key) noexcept nogil:
    """The day a meal began: bit 7 of the key says the day before."""
    return day_key - 1 if meal_key & 0x80 else day_key


cdef inline bint is_row_meal(
    const cc_account *a, uint16_t day_key, uint8_t meal_key,
) noexcept nogil:
    return (
        meal_key != 0 and a.meal_index == (meal_key & 0x7F)
        and a.meal_day == meal_day_of(day_key, meal_key)
    )


cdef inline void apply_counters(cc_account *a, const cc_record *r) noexcept nogil:
    """A purchase or hold brings its day and meal; what gives back changes only the row's own."""
    cdef const cc_money_body *m = &r.body.money
    cdef bint spends = r.type == CC_T_PURCHASE or r.type == CC_T_HOLD
    if r.flags & CC_F_COUNTS_DAY:
        if spends:
            a.day_key = m.day_key
        if a.day_key == m.day_key:
            a.day_used = m.day_used
    if r.flags & CC_F_COUNTS_MEAL:
        if spends:
            a.meal_day = meal_day_of(m.day_key, m.meal_key)
            a.meal_index = m.meal_key & 0x7F
        if is_row_meal(a, m.day_key, m.meal_key):
            a.meal_used = m.meal_used


cdef inline void apply_undo(cc_tables *t, const cc_record *r) noexcept nogil:
    """What was taken back of an original, under the seq of its first part."""
    cdef uint64_t first
    cdef uint32_t row
    cdef cc_undo *u
    if r.body.money.original_part == 0:
        return
    first = r.original_seq - (r.body.money.original_part - 1)
    row = find8(&t.undo_index, <const uint8_t *>t.undo, sizeof(cc_undo), first)
    if row == 0:
        row = t.undos
        t.undos += 1
        u = touch_undo(t, row)
        u.original_seq = first
        put8(&t.undo_index, first, row)
    u = touch_undo(t, row)
    if r.type == CC_T_REVERSAL:
        u.reversed = 1
    else:
        u.refunded = r.aux


cdef inline void apply_holds(cc_tables *t, cc_account *a, const cc_record *r) noexcept nogil:
    if r.type == CC_T_HOLD:
        hold_open(t, r)
        if r.flags & CC_F_WATER:
            a.water_hold = <uint32_t>r.seq
    elif r.type == CC_T_HOLD_EXPIRED:
        hold_expire(t, r.original_seq, r.body.money.credit_after)
    elif r.type == CC_T_HOLD_GREY:
        hold_grey(t, r.original_seq)
    else:  # capture, release, retirement, reversal of a hold
        hold_close(t, r.original_seq)
        if r.flags & CC_F_WATER and a.water_hold == <uint32_t>r.original_seq:
            a.water_hold = 0


cdef inline void end_session(cc_tables *t, uint32_t account) noexcept nogil:
    """The password is asked again above a limit."""
    cdef cc_account_cold *c
    if t.cold[account].session_s != 0:
        c = touch_cold(t, account)
        c.session_s = c.session_medium = c.session_terminal = c.session_rules = 0


cdef inline void apply_password(cc_tables *t, const cc_record *r) noexcept nogil:
    """A wrong try has its day and ends a session; a right password may begin one."""
    cdef cc_account_cold *c
    if r.flags & CC_F_PIN_BAD:
        end_session(t, r.account)
    if r.body.money.pin_marks & CC_P_DATED:
        touch_cold(t, r.account).pin_fail_day = r.body.money.day_key
    if r.body.money.pin_marks & CC_P_SESSION:
        c = touch_cold(t, r.account)
        c.session_s = <uint32_t>(t.time_us // 1000000)
        c.session_medium, c.session_terminal = r.medium, r.terminal
        c.session_rules = t.block_rules


cdef inline void apply_money(cc_tables *t, const cc_record *r) noexcept nogil:
    """Taps, due records and funds: everything with a money body."""
    cdef const cc_money_body *m = &r.body.money
    cdef bint done = r.outcome == CC_O_APPROVED or r.outcome == CC_O_EFFECT
    cdef cc_account *a
    if done and m.debit_wallet != 0 and r.type != CC_T_HOLD:
        set_side(t, r, m.debit_wallet, m.debit_after)
        set_side(t, r, m.credit_wallet, m.credit_after)
    if r.account != 0:
        a = touch_account(t, r.account)
        a.last_seq = r.seq
        a.held = m.held_after
        a.pin_fails = m.pin_fails
        if m.pin_marks != 0 or r.flags & CC_F_PIN_BAD:
            apply_password(t, r)
        if done:
            apply_counters(a, r)
            if CC_T_HOLD <= r.type <= CC_T_REVERSAL:
                apply_holds(t, a, r)
    if done and (r.type == CC_T_REVERSAL or r.type == CC_T_REFUND):
        apply_undo(t, r)


cdef inline void apply_sign(cc_tables *t, const cc_record *r) noexcept nogil:
    cdef cc_terminal *terminal
    if r.outcome != CC_O_APPROVED:
        return
    terminal = touch_terminal(t, r.terminal)
    if r.type == CC_T_SIGN_OFF:
        terminal.signed_in = 0
        return
    clear_batch(t, r.terminal, r.batch_no)
    terminal.prev_batch_no = terminal.batch_no if terminal.batch_no < r.batch_no else r.batch_no - 1
    terminal.batch_no = r.batch_no
    terminal.keys_sum[r.batch_no & 1] = 0
    terminal.sign_in_seq = r.seq
    terminal.signed_in = 1


cdef inline void apply_tap(cc_tables *t, const cc_record *r) noexcept nogil:
    if r.type == CC_T_SIGN_IN or r.type == CC_T_SIGN_OFF:
        apply_sign(t, r)
    else:
        apply_money(t, r)
    if r.terminal != 0 and not r.flags & CC_F_DUE:
        touch_terminal(t, r.terminal).last_seq = r.seq
        apply_keys(t, r)


# ---- papers ----
cdef inline void apply_account(cc_tables *t, const cc_record *r) noexcept nogil:
    cdef const cc_account_body *b = &r.body.account_row
    cdef cc_account *a = touch_account(t, r.account)
    cdef cc_account_cold *c = touch_cold(t, r.account)
    a.day_limit, a.meal_limit = b.day_limit, b.meal_limit
    a.status, a.flags, a.pin_fails = b.status, b.flags, b.pin_fails
    a.last_seq = r.seq
    memcpy(c.pin_tag, b.pin_tag, 16)
    memcpy(c.pin_salt, b.pin_salt, 8)
    c.pin_version, c.pin_kid, c.kind = b.pin_version, b.pin_kid, b.kind
    c.changes = b.changes
    end_session(t, r.account)
    if r.account >= t.accounts:
        t.accounts = r.account + 1


cdef inline void apply_medium(cc_tables *t, const cc_record *r) noexcept nogil:
    cdef cc_medium *m = touch_medium(t, r.medium)
    memcpy(m.key, r.body.medium_row.key, 16)
    m.account = r.account
    m.state, m.flags = r.body.medium_row.state, r.body.medium_row.flags
    m.expires_day, m.changes = r.body.medium_row.expires_day, r.body.medium_row.changes
    put16(&t.medium_index, <const uint8_t *>t.medium, sizeof(cc_medium), m.key, r.medium)
    touch_account(t, r.account).last_seq = r.seq
    end_session(t, r.account)
    if r.medium >= t.media:
        t.media = r.medium + 1


cdef inline void apply_merchant(cc_tables *t, const cc_record *r) noexcept nogil:
    cdef cc_merchant *m = touch_merchant(t, r.merchant)
    m.category = r.body.merchant_row.category
    m.status, m.flags = r.body.merchant_row.status, r.body.merchant_row.flags
    if r.merchant >= t.merchants:
        t.merchants = r.merchant + 1


cdef inline void apply_terminal(cc_tables *t, const cc_record *r) noexcept nogil:
    cdef cc_terminal *m = touch_terminal(t, r.terminal)
    memcpy(m.name, r.body.terminal_row.name, 16)
    m.merchant, m.max_amount = r.merchant, r.body.terminal_row.max_amount
    m.status, m.flags = r.body.terminal_row.status, r.body.terminal_row.flags
    put16(&t.terminal_index, <const uint8_t *>t.terminal, sizeof(cc_terminal), m.name, r.terminal)
    if r.terminal >= t.terminals:
        t.terminals = r.terminal + 1


cdef inline void apply_category(cc_tables *t, const cc_record *r) noexcept nogil:
    cdef uint32_t row = r.body.category_row.category & 15
    cdef uint32_t flags = t.category[row]
    weigh_fixed(t, CC_TABLE_CATEGORY, row, <const uint8_t *>&flags, sizeof(flags), True)
    t.category[row] = r.body.category_row.flags
    flags = t.category[row]
    weigh_fixed(t, CC_TABLE_CATEGORY, row, <const uint8_t *>&flags, sizeof(flags), False)
    t.dirty[CC_TABLE_CATEGORY][row] = 1


cdef inline void apply_rules(cc_tables *t, const cc_record *r) noexcept nogil:
    """Rules and meals: the version goes into the next block's header."""
    if r.type == CC_T_RULES:
        weigh_fixed(t, CC_TABLE_RULES, 1, <uint8_t *>&t.rules, sizeof(cc_rules_body), True)
        t.rules = r.body.rules
        weigh_fixed(t, CC_TABLE_RULES, 1, <uint8_t *>&t.rules, sizeof(cc_rules_body), False)
        t.rule_version = r.body.rules.version
        t.dirty[CC_TABLE_RULES][1] = 1
        return
    weigh_fixed(t, CC_TABLE_RULES, 2, <uint8_t *>&t.meals, sizeof(cc_meals_body), True)
    t.meals = r.body.meals
    weigh_fixed(t, CC_TABLE_RULES, 2, <uint8_t *>&t.meals, sizeof(cc_meals_body), False)
    t.rule_version = r.body.meals.version
    t.dirty[CC_TABLE_RULES][2] = 1


cdef inline void apply_schedule(cc_tables *t, const cc_record *r) noexcept nogil:
    """An effect waits from now on, or no longer."""
    if r.type == CC_T_SCHEDULED:
        schedule_open(t, r)
    else:
        schedule_close(t, r.original_seq)
    if r.account != 0:
        touch_account(t, r.account).last_seq = r.seq


cdef inline void apply_document(cc_tables *t, const cc_record *r) noexcept nogil:
    """The request_id of the command; rows are reused in a circle once they have left the window."""
    cdef const uint8_t *id = r.body.document.request_id
    cdef uint32_t row = find16(
        &t.request_index, <const uint8_t *>t.request, sizeof(cc_request), id)
    cdef cc_request *q
    if row == 0:
        row = t.request_next
        t.request_next = row + 1 if row < t.requests_max else 1
        if row >= t.requests:
            t.requests = row + 1
        q = &t.request[row]
        if q.seq != 0:
            drop(&t.request_index, <const uint8_t *>t.request, sizeof(cc_request), row, True)
    q = &t.request[row]
    weigh_fixed(t, CC_TABLE_REQUEST, row, <const uint8_t *>q, sizeof(cc_request), True)
    memcpy(q.id, id, 16)
    q.seq, q.fingerprint = r.seq, r.fingerprint
    weigh_fixed(t, CC_TABLE_REQUEST, row, <const uint8_t *>q, sizeof(cc_request), False)
    put16(&t.request_index, <const uint8_t *>t.request, sizeof(cc_request), id, row)
    t.dirty[CC_TABLE_REQUEST][row] = 1


cdef inline void apply_record(cc_tables *t, const cc_record *r) noexcept nogil:
    """Change the tables as the record says. Every type there is has its branch."""
    if r.type < CC_T_ACCOUNT:
        apply_tap(t, r)
        t.applied_seq = r.seq
        return
    if r.flags & CC_F_DUE:
        schedule_close(t, r.original_seq)
    if r.type == CC_T_DOCUMENT:
        apply_document(t, r)
    elif r.type == CC_T_ACCOUNT:
        apply_account(t, r)
    elif r.type == CC_T_MEDIUM:
        apply_medium(t, r)
    elif r.type == CC_T_MERCHANT:
        apply_merchant(t, r)
    elif r.type == CC_T_TERMINAL:
        apply_terminal(t, r)
    elif r.type == CC_T_CATEGORY:
        apply_category(t, r)
    elif r.type == CC_T_SCHEDULED or r.type == CC_T_UNSCHEDULED:
        apply_schedule(t, r)
    else:
        apply_rules(t, r)
    t.applied_seq = r.seq


cdef inline bint known_type(uint8_t type) noexcept nogil:
    """Whether this build can apply a record; an unknown one halts recovery."""
    return (
        CC_T_PURCHASE <= type <= 13 or 32 <= type <= CC_T_ADJUST
        or CC_T_ACCOUNT <= type <= CC_T_UNSCHEDULED or type == CC_T_DOCUMENT
    )
