"""Office commands: a payload and its effects, all or nothing.

core/ has decided the paper; here only what must hold at this very moment is checked: the state
each effect expects, ranges, room, and the transaction password where one was asked for.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ext.apply cimport apply_record
from ext.commands cimport (
    CC_CF_HAS_PIN, CC_EF_ACCOUNT_LIMITS, CC_EF_ACCOUNT_OPEN, CC_EF_ACCOUNT_STATUS, CC_EF_ADJUST,
    CC_EF_CANCEL, CC_EF_CATEGORY, CC_EF_MEALS, CC_EF_MEDIUM_BIND, CC_EF_MEDIUM_STATE,
    CC_EF_MERCHANT, CC_EF_PIN_RESET, CC_EF_PIN_SET, CC_EF_RULES, CC_EF_SETTLE, CC_EF_SUBSIDY,
    CC_EF_TERMINAL, CC_EF_TOP_UP, CC_ST_CONFLICT, CC_ST_INVALID, CC_ST_REQUEST_REUSED,
    CC_ST_TABLE_FULL, CC_X_LAST_SEQ, CC_X_ROW_FREE, CC_X_STATUS, cc_command, cc_effect, cc_reply,
)
from ext.digest cimport pin_mac
from ext.due_effects cimport (
    check_scheduled, fill_scheduled, fill_unscheduled, switches_known,
)
from ext.dues cimport find_hold, find_scheduled
from ext.images cimport account_image
from ext.limits cimport day_limit_of, day_now, meal_limit_of, meal_now
from ext.pins cimport fails_now, pin_verdict
from ext.reasons cimport CC_R_OK, CC_R_PIN_LOCKED, CC_R_PIN_WRONG
from ext.records cimport (
    CC_A_MUST_CHANGE, CC_AMOUNT_MAX, CC_AS_CLOSED, CC_AS_NORMAL, CC_BALANCE_MAX, CC_CATEGORIES,
    CC_EFFECTS_MAX, CC_F_KEY_IS_REQUEST, CC_F_PIN_BAD, CC_F_PIN_OK, CC_HS_GREY, CC_LIMIT_DEFAULT,
    CC_MS_UNBOUND, CC_M_FROZEN, CC_O_APPROVED, CC_O_DECLINED, CC_O_EFFECT, CC_P_DATED,
    CC_TS_WITHDRAWN, CC_T_ACCOUNT, CC_T_CAPTURE, CC_T_DOCUMENT, CC_T_MEALS, CC_T_MEDIUM,
    CC_T_MERCHANT, CC_T_PIN_CHECK, CC_T_RELEASE, CC_T_RULES, CC_T_SCHEDULED, CC_T_TERMINAL,
    CC_T_TOP_UP, CC_T_UNSCHEDULED, CC_W_MERCHANT, CC_W_ONLINE, CC_W_SUBSIDY, CC_W_SUBSIDY_SOURCE,
    CC_W_SYSTEM_FIRST, CC_W_SYSTEM_LAST, CC_W_WATER, cc_account_body, cc_hold, cc_medium,
    cc_medium_body, cc_meals_body, cc_record, cc_request, cc_rules_body, cc_scheduled, cc_terminal,
)
from ext.reserve cimport fill_freed, fill_posted
from ext.rows cimport find16
from ext.tables cimport (
    CC_D_BLOCK_FULL, CC_D_DONE, CC_D_REPLAY, CC_KEY_WINDOW_S, cc_block, cc_tables,
)
from ext.taps cimport done


cdef inline bint is_funds(const cc_effect *e) noexcept nogil:
    return CC_EF_TOP_UP <= e.kind <= CC_EF_ADJUST


cdef inline bint is_account(const cc_effect *e) noexcept nogil:
    return CC_EF_ACCOUNT_STATUS <= e.kind <= CC_EF_PIN_RESET


cdef int64_t uuid_time_us(const uint8_t *id) noexcept nogil:
    """A UUIDv7's own time: 48 bits of milliseconds, big-endian."""
    cdef int64_t ms = 0
    cdef int i
    for i in range(6):
        ms = ms << 8 | id[i]
    return ms * 1000


# ---- expectations and ranges, before anything is written ----

cdef uint32_t next_row_of(const cc_tables *t, uint8_t kind) noexcept nogil:
    if kind == CC_EF_ACCOUNT_OPEN:
        return t.accounts
    if kind == CC_EF_MEDIUM_BIND:
        return t.media
    return t.merchants if kind == CC_EF_MERCHANT else t.terminals


cdef uint32_t most_of(const cc_tables *t, uint8_t kind) noexcept nogil:
    if kind == CC_EF_ACCOUNT_OPEN:
        return t.accounts_max
    if kind == CC_EF_MEDIUM_BIND:
        return t.media_max
    return t.merchants_max if kind == CC_EF_MERCHANT else t.terminals_max


cdef int check_new(const cc_tables *t, const cc_effect *e, uint32_t before) noexcept nogil:
    """A row that is to be made: `before` of its table come earlier in the command."""
    cdef uint32_t next = next_row_of(t, e.kind) + before
    if next > most_of(t, e.kind):
        return CC_ST_TABLE_FULL
    return CC_ST_CONFLICT if e.row != 0 and e.row != next else 0


cdef int check_named(const cc_tables *t, const cc_effect *e, uint32_t opened) noexcept nogil:
    """A medium or terminal that is to be made or changed: its key, its account or merchant."""
    cdef const cc_medium_body *m = <const cc_medium_body *>e.body
    cdef uint32_t row
    if e.kind == CC_EF_TERMINAL:
        row = find16(
            &t.terminal_index, <const uint8_t *>t.terminal, sizeof(cc_terminal), e.body)
        if e.link >= t.merchants or e.body[0] == 0:
            return CC_ST_INVALID
        return CC_ST_CONFLICT if row != 0 and row != e.row else 0
    if e.link >= t.accounts + opened or (e.link == 0 and opened == 0) or m.key[0] == 0:
        return CC_ST_INVALID
    row = find16(&t.medium_index, <const uint8_t *>t.medium, sizeof(cc_medium), m.key)
    return CC_ST_CONFLICT if row != 0 and t.medium[row].state != CC_MS_UNBOUND else 0


cdef bint wallet_known(
    const cc_tables *t, const cc_effect *e, uint8_t w, uint32_t opened,
) noexcept nogil:
    if w == CC_W_ONLINE or w == CC_W_WATER or w == CC_W_SUBSIDY:
        return e.row < t.accounts + opened and (e.row != 0 or opened != 0)
    if w == CC_W_MERCHANT:
        return 0 < e.link < t.merchants
    return CC_W_SYSTEM_FIRST <= w <= CC_W_SYSTEM_LAST


cdef uint8_t debit_of(const cc_effect *e) noexcept nogil:
    return CC_W_SUBSIDY_SOURCE if e.kind == CC_EF_SUBSIDY else e.event


cdef uint8_t credit_of(const cc_effect *e) noexcept nogil:
    if e.kind == CC_EF_TOP_UP:
        return CC_W_ONLINE
    return CC_W_SUBSIDY if e.kind == CC_EF_SUBSIDY else e.spare


cdef int check_funds(const cc_tables *t, const cc_effect *e, uint32_t opened) noexcept nogil:
    cdef uint8_t debit = debit_of(e), credit = credit_of(e)
    if e.amount < 1 or e.amount > CC_AMOUNT_MAX or debit == credit:
        return CC_ST_INVALID
    if e.kind == CC_EF_TOP_UP and not CC_W_SYSTEM_FIRST <= debit <= CC_W_SYSTEM_LAST:
        return CC_ST_INVALID
    if not wallet_known(t, e, debit, opened) or not wallet_known(t, e, credit, opened):
        return CC_ST_INVALID
    if balance(t, e, credit) + e.amount > CC_BALANCE_MAX \
            or balance(t, e, debit) - e.amount < -CC_BALANCE_MAX:
        return CC_ST_INVALID
    return 0


cdef int64_t balance(const cc_tables *t, const cc_effect *e, uint8_t w) noexcept nogil:
    if w == CC_W_ONLINE:
        return t.account[e.row].online
    if w == CC_W_SUBSIDY:
        return t.account[e.row].subsidy
    if w == CC_W_WATER:
        return t.cold[e.row].water
    if w == CC_W_MERCHANT:
        return t.merchant[e.link].payable
    return t.ledger[w & 31].balance


cdef int check_expected(const cc_tables *t, const cc_effect *e) noexcept nogil:
    """The state an effect was decided on, against the row as it stands."""
    if e.row >= (t.media if e.kind == CC_EF_MEDIUM_STATE else t.accounts):
        return 0  # out of range: refused as INVALID below
    if e.kind == CC_EF_MEDIUM_STATE:
        if e.expect & CC_X_STATUS and (
                t.medium[e.row].state != e.expect_status
                or t.medium[e.row].flags != e.expect_flags):
            return CC_ST_CONFLICT
        return 0
    if e.kind > CC_EF_PIN_RESET and not is_funds(e):
        return 0
    if e.expect & CC_X_STATUS and t.account[e.row].status != e.expect_status:
        return CC_ST_CONFLICT
    if e.expect & CC_X_LAST_SEQ and t.account[e.row].last_seq != e.expect_last_seq:
        return CC_ST_CONFLICT
    return 0


cdef int check_other(const cc_tables *t, const cc_effect *e) noexcept nogil:
    cdef const cc_meals_body *meals = <const cc_meals_body *>e.body
    cdef uint8_t i
    if e.kind == CC_EF_CATEGORY:
        return 0 if e.body[0] < CC_CATEGORIES else CC_ST_INVALID
    if e.kind == CC_EF_RULES:
        if (<const cc_rules_body *>e.body).pin_max == 0 or not switches_known(e):
            return CC_ST_INVALID
        return 0
    if e.kind == CC_EF_MEALS:
        if meals.count > 8:
            return CC_ST_INVALID
        for i in range(meals.count):
            if meals.meals[i].start_minute >= 1440 or meals.meals[i].end_minute > 1440:
                return CC_ST_INVALID
        return 0
    if e.kind == CC_EF_MERCHANT:
        if e.body[0] >= CC_CATEGORIES or e.body[1] > CC_TS_WITHDRAWN:
            return CC_ST_INVALID
    return 0


cdef inline bint makes_row(const cc_tables *t, const cc_effect *e) noexcept nogil:
    return e.row == 0 or e.row >= next_row_of(t, e.kind)


cdef int check_waiting(const cc_tables *t, const cc_command *c, uint32_t index) noexcept nogil:
    """An effect that is to wait for its time, or the end of such waiting."""
    cdef const cc_effect *e = &c.effect[index]
    cdef uint32_t i, before = 0
    cdef bint ranged = True
    if e.kind == CC_EF_CANCEL:
        for i in range(index):
            if c.effect[i].kind == CC_EF_CANCEL and c.effect[i].scheduled_seq == e.scheduled_seq:
                return CC_ST_CONFLICT
        return 0 if find_scheduled(t, e.scheduled_seq) != 0 else CC_ST_CONFLICT
    for i in range(index):
        before += 1 if c.effect[i].due_s != 0 else 0
    if e.kind == CC_EF_ACCOUNT_STATUS:
        ranged = 0 < e.row < t.accounts and account_status_known(e)
    elif e.kind == CC_EF_MEDIUM_STATE:
        ranged = 0 < e.row < t.media
    elif e.kind != CC_EF_RULES:
        ranged = check_other(t, e) == 0
    return check_scheduled(t, e, before) if ranged else CC_ST_INVALID


cdef int check_settled(const cc_tables *t, const cc_command *c, uint32_t index) noexcept nogil:
    """The end of a water transfer that nobody has told: its hold is grey, and this account's."""
    cdef const cc_effect *e = &c.effect[index]
    cdef uint32_t i, row
    if e.row == 0 or e.row >= t.accounts or e.due_s != 0:
        return CC_ST_INVALID
    if e.event != CC_T_CAPTURE and e.event != CC_T_RELEASE:
        return CC_ST_INVALID
    for i in range(index):
        if c.effect[i].kind == CC_EF_SETTLE and c.effect[i].hold_seq == e.hold_seq:
            return CC_ST_CONFLICT
    row = find_hold(t, e.hold_seq)
    if row == 0 or t.hold[row].state != CC_HS_GREY or t.hold[row].account != e.row:
        return CC_ST_CONFLICT
    return 0


cdef inline bint account_status_known(const cc_effect *e) noexcept nogil:
    return CC_AS_NORMAL <= (<const cc_account_body *>e.body).status <= CC_AS_CLOSED


cdef int check_effect(
    const cc_tables *t, const cc_command *c, uint32_t index,
) noexcept nogil:
    cdef const cc_effect *e = &c.effect[index]
    cdef uint32_t i, before = 0, opened = 0
    cdef int status
    if e.kind == CC_EF_SETTLE:
        return check_settled(t, c, index)
    if e.due_s != 0 or e.kind == CC_EF_CANCEL:
        return check_waiting(t, c, index)
    for i in range(index):
        before += 1 if c.effect[i].kind == e.kind and makes_row(t, &c.effect[i]) else 0
        opened += 1 if c.effect[i].kind == CC_EF_ACCOUNT_OPEN else 0
    status = check_expected(t, e) if opened == 0 else 0
    if status != 0:
        return status
    if is_funds(e):
        return check_funds(t, e, opened)
    if is_account(e):
        if e.row == 0 or e.row >= t.accounts:
            return CC_ST_INVALID
        if e.kind == CC_EF_ACCOUNT_STATUS and not account_status_known(e):
            return CC_ST_INVALID
        return 0
    if e.kind == CC_EF_MEDIUM_STATE:
        return 0 if 0 < e.row < t.media else CC_ST_INVALID
    if e.kind == CC_EF_MEDIUM_BIND or e.kind == CC_EF_TERMINAL:
        status = check_named(t, e, opened)
        if status != 0:
            return status
    status = check_other(t, e)
    if status != 0 or e.kind == CC_EF_CATEGORY or e.kind == CC_EF_RULES or e.kind == CC_EF_MEALS:
        return status
    if e.row == 0 or e.expect & CC_X_ROW_FREE or e.row >= next_row_of(t, e.kind) \
            or e.kind == CC_EF_ACCOUNT_OPEN or e.kind == CC_EF_MEDIUM_BIND:
        return check_new(t, e, before)
    return 0


# ---- records ----

cdef cc_record *office_record(
    cc_tables *t, cc_block *b, const cc_command *c, uint8_t type, uint32_t account, uint32_t first,
) noexcept nogil:
    cdef cc_record *r = &b.records[b.n]
    memset(r, 0, sizeof(cc_record))
    r.seq = t.applied_seq + 1
    r.type = type
    r.outcome = CC_O_EFFECT
    r.flags = CC_F_KEY_IS_REQUEST
    r.part = <uint8_t>(b.n - first + 1)
    r.account = account
    r.fingerprint = c.fingerprint
    memcpy(&r.batch_no, c.request_id + 8, 4)
    memcpy(&r.terminal_seq, c.request_id + 12, 4)
    if account != 0:
        r.prev_account_seq = t.account[account].last_seq
    return r


cdef void money_now(cc_tables *t, cc_record *r) noexcept nogil:
    """What every record with a money body says of its account and day."""
    r.body.money.day_key, r.body.money.meal_key = t.day_key, t.meal_key
    if r.account != 0:
        r.body.money.held_after = t.account[r.account].held
        r.body.money.pin_fails = fails_now(t, r.account)
        r.body.money.day_used = day_now(t, &t.account[r.account])
        r.body.money.meal_used = meal_now(t, &t.account[r.account])


cdef inline void keep(cc_tables *t, cc_block *b, cc_record *r, uint8_t parts) noexcept nogil:
    r.parts = parts
    apply_record(t, r)
    b.n += 1


cdef void fill_account(
    cc_tables *t, const cc_command *c, const cc_effect *e, cc_record *r,
) noexcept nogil:
    """After-image of an account's papers; a new password is stored as its keyed tag."""
    cdef cc_account_body *row = &r.body.account_row
    cdef const cc_account_body *asked = <const cc_account_body *>e.body
    account_image(t, r.account, row)
    row.event = e.event
    if e.kind == CC_EF_ACCOUNT_OPEN:
        row.day_limit = row.meal_limit = CC_LIMIT_DEFAULT
        row.status, row.kind = CC_AS_NORMAL, asked.kind
    elif e.kind == CC_EF_ACCOUNT_STATUS:
        row.status = asked.status
        row.changes += 1
    elif e.kind == CC_EF_ACCOUNT_LIMITS:
        row.day_limit, row.meal_limit = asked.day_limit, asked.meal_limit
    if e.pin_len != 0 and e.kind != CC_EF_ACCOUNT_STATUS and e.kind != CC_EF_ACCOUNT_LIMITS:
        row.pin_version += 1
        row.pin_kid, row.pin_fails = t.pin_kid, 0
        memcpy(row.pin_salt, c.request_id + 8, 8)
        row.flags &= ~<uint8_t>CC_A_MUST_CHANGE
        if e.kind != CC_EF_PIN_SET:
            row.flags |= CC_A_MUST_CHANGE
        pin_mac(
            t.pin_mac, r.account, row.pin_version, row.pin_salt, e.pin, e.pin_len, row.pin_tag)


cdef void fill_funds(cc_tables *t, const cc_effect *at, cc_record *r) noexcept nogil:
    cdef cc_effect e = at[0]
    e.row = r.account
    money_now(t, r)
    r.merchant = e.link
    r.body.money.amount = e.amount
    r.body.money.debit_wallet, r.body.money.credit_wallet = debit_of(&e), credit_of(&e)
    r.body.money.debit_after = balance(t, &e, debit_of(&e)) - e.amount
    r.body.money.credit_after = balance(t, &e, credit_of(&e)) + e.amount
    e.pin_len = 0


cdef uint8_t type_of(const cc_effect *e) noexcept nogil:
    if e.kind <= CC_EF_PIN_RESET:
        return CC_T_ACCOUNT
    if e.kind <= CC_EF_MEDIUM_STATE:
        return CC_T_MEDIUM
    if e.kind >= CC_EF_TOP_UP:
        return <uint8_t>(CC_T_TOP_UP + (e.kind - CC_EF_TOP_UP))
    return <uint8_t>(CC_T_MERCHANT + (e.kind - CC_EF_MERCHANT))


cdef uint32_t write_waiting(
    cc_tables *t, cc_block *b, const cc_command *c, const cc_effect *e, uint32_t first,
    uint8_t parts,
) noexcept nogil:
    """Append the record of an effect that is to wait, or of one that no longer is."""
    cdef const cc_scheduled *s = NULL
    cdef uint32_t account = 0
    cdef cc_record *r
    if e.kind == CC_EF_CANCEL:
        s = &t.scheduled[find_scheduled(t, e.scheduled_seq)]
        r = office_record(t, b, c, CC_T_UNSCHEDULED, s.account, first)
        fill_unscheduled(s, r)
    else:
        if e.kind == CC_EF_ACCOUNT_STATUS:
            account = e.row
        elif e.kind == CC_EF_MEDIUM_STATE:
            account = t.medium[e.row].account
        r = office_record(t, b, c, CC_T_SCHEDULED, account, first)
        r.medium = e.row if e.kind == CC_EF_MEDIUM_STATE else 0
        fill_scheduled(t, e, r)
    if c.flags & CC_CF_HAS_PIN:
        r.flags |= CC_F_PIN_OK
    keep(t, b, r, parts)
    return r.medium if r.medium != 0 else r.account


cdef uint32_t write_settled(
    cc_tables *t, cc_block *b, const cc_command *c, const cc_effect *e, uint32_t first,
    uint8_t parts,
) noexcept nogil:
    """Append the CAPTURE or RELEASE of a grey hold; it is in no terminal's chain."""
    cdef cc_hold h = t.hold[find_hold(t, e.hold_seq)]
    cdef cc_record *r = office_record(t, b, c, e.event, h.account, first)
    money_now(t, r)
    r.medium, r.merchant = h.medium, h.merchant
    if e.event == CC_T_CAPTURE:
        fill_posted(t, r, &h, h.amount)
    else:
        fill_freed(t, r, &h)
    if c.flags & CC_CF_HAS_PIN:
        r.flags |= CC_F_PIN_OK
    keep(t, b, r, parts)
    return h.account


cdef void fill_medium(
    const cc_tables *t, const cc_effect *e, uint32_t row, cc_record *r,
) noexcept nogil:
    """After-image of a medium, as asked; of one that is there key and count stay its own."""
    cdef cc_medium_body *m = &r.body.medium_row
    r.medium = row
    m.event, m.changes = e.event, 0
    if e.kind == CC_EF_MEDIUM_STATE:
        memcpy(m.key, t.medium[row].key, 16)
        m.changes = t.medium[row].changes
        if (m.flags ^ t.medium[row].flags) & CC_M_FROZEN:
            m.changes += 1


cdef uint32_t write_effect(
    cc_tables *t, cc_block *b, const cc_command *c, const cc_effect *e, uint32_t first,
    uint32_t opened, uint8_t parts,
) noexcept nogil:
    """Append one effect's record; returns the number of the row it is about."""
    cdef uint32_t account = 0, row = e.row
    cdef cc_record *r
    if e.kind == CC_EF_SETTLE:
        return write_settled(t, b, c, e, first, parts)
    if e.due_s != 0 or e.kind == CC_EF_CANCEL:
        return write_waiting(t, b, c, e, first, parts)
    if e.kind <= CC_EF_PIN_RESET or is_funds(e):
        if row == 0:
            row = t.accounts if e.kind == CC_EF_ACCOUNT_OPEN else opened
        account = row
    elif e.kind == CC_EF_MEDIUM_BIND:
        account = e.link if e.link != 0 else opened
        row = t.media if row == 0 else row
    elif e.kind == CC_EF_MEDIUM_STATE:
        account = t.medium[row].account
    elif row == 0:
        row = next_row_of(t, e.kind)
    r = office_record(t, b, c, type_of(e), account, first)
    if is_funds(e):
        fill_funds(t, e, r)
    elif r.type == CC_T_ACCOUNT:
        fill_account(t, c, e, r)
    else:
        memcpy(r.body.bytes, e.body, 56)
    if r.type == CC_T_MEDIUM:
        fill_medium(t, e, row, r)
    elif r.type == CC_T_MERCHANT:
        r.merchant = row
    elif r.type == CC_T_TERMINAL:
        r.terminal, r.merchant = row, e.link
    elif r.type == CC_T_RULES:
        r.body.rules.version = b.head.rule_version + 1
    elif r.type == CC_T_MEALS:
        r.body.meals.version = b.head.rule_version + 1
    if c.flags & CC_CF_HAS_PIN:
        r.flags |= CC_F_PIN_OK
    keep(t, b, r, parts)
    return row


cdef void write_document(
    cc_tables *t, cc_block *b, const cc_command *c, uint32_t first, uint16_t reason,
) noexcept nogil:
    cdef cc_record *r = office_record(t, b, c, CC_T_DOCUMENT, 0, first)
    r.body.document.kind = c.document_kind
    r.body.document.effects = <uint16_t>(b.n - first)
    r.body.document.actor = c.actor
    memcpy(r.body.document.request_id, c.request_id, 16)
    if reason != CC_R_OK:
        r.outcome, r.reason = CC_O_DECLINED, reason
    else:
        r.body.document.offset, r.body.document.length = b.payload_len, c.payload_len
        memcpy(b.payload + b.payload_len, c.payload, c.payload_len)
        b.payload_len += c.payload_len
        if c.flags & CC_CF_HAS_PIN:
            r.flags |= CC_F_PIN_OK
    keep(t, b, r, r.part)


cdef void write_pin_check(
    cc_tables *t, cc_block *b, const cc_command *c, uint32_t first, int reason, uint8_t parts,
) noexcept nogil:
    cdef cc_record *r = office_record(t, b, c, CC_T_PIN_CHECK, c.account, first)
    money_now(t, r)
    r.outcome = CC_O_APPROVED
    r.body.money.debit_after = t.account[c.account].online
    if reason == CC_R_OK:
        r.flags |= CC_F_PIN_OK
        r.body.money.pin_fails = 0
    else:
        r.outcome, r.reason = CC_O_DECLINED, <uint16_t>reason
        if reason == CC_R_PIN_LOCKED or reason == CC_R_PIN_WRONG:
            r.body.money.credit_after = <int64_t>(
                <uint64_t>day_limit_of(t, &t.account[c.account])
                | <uint64_t>meal_limit_of(t, &t.account[c.account]) << 32)
        if reason == CC_R_PIN_WRONG:
            r.flags |= CC_F_PIN_BAD
            r.body.money.pin_fails += 1
            r.body.money.pin_marks = CC_P_DATED
    keep(t, b, r, parts)


cdef int seen_before(cc_tables *t, const cc_command *c, cc_reply *reply) noexcept nogil:
    """The request_id's first answer; -1 when it is new."""
    cdef uint32_t row = find16(
        &t.request_index, <const uint8_t *>t.request, sizeof(cc_request), c.request_id)
    if row == 0:
        row = t.request_next
        if row < t.requests and t.request[row].seq != 0 and uuid_time_us(
                t.request[row].id) > t.time_us - CC_KEY_WINDOW_S * 1000000:
            reply.status = CC_ST_TABLE_FULL
            return CC_D_DONE
        return -1
    if t.request[row].fingerprint != c.fingerprint:
        reply.status = CC_ST_REQUEST_REUSED
        return CC_D_DONE
    reply.record.seq = t.request[row].seq
    return CC_D_REPLAY


cdef int check_all(const cc_tables *t, const cc_command *c, cc_reply *reply) noexcept nogil:
    cdef uint32_t i
    cdef int status
    if uuid_time_us(c.request_id) < t.time_us - CC_KEY_WINDOW_S * 1000000:
        status, i = CC_ST_INVALID, 0xFFFFFFFFu
    else:
        status, i = 0, 0
        while status == 0 and i < c.effects:
            status = check_effect(t, c, i)
            i += 0 if status != 0 else 1
    reply.status, reply.conflict = <uint8_t>status, i if status != 0 else 0
    return status


cdef int decide_office(
    cc_tables *t, cc_block *b, cc_command *c, cc_reply *reply,
) noexcept nogil:
    cdef uint32_t first = b.n, opened = 0, row = 0, i
    cdef int said = seen_before(t, c, reply)
    cdef uint8_t parts
    cdef int verdict = CC_R_OK
    if said != -1:
        return said
    if b.n + CC_EFFECTS_MAX + 2 > b.max or b.payload_len + c.payload_len > b.payload_max:
        return CC_D_BLOCK_FULL
    if c.effects > CC_EFFECTS_MAX or c.payload_len > b.payload_max or (
            c.flags & CC_CF_HAS_PIN and (c.account == 0 or c.account >= t.accounts)):
        reply.status = CC_ST_INVALID
        return CC_D_DONE
    if c.flags & CC_CF_HAS_PIN:
        verdict = pin_verdict(t, c.account, c)
        if verdict != CC_R_OK:
            write_pin_check(t, b, c, first, verdict, 2)
            write_document(t, b, c, first, <uint16_t>verdict)
            return done(t, b, first, reply)
    if check_all(t, c, reply) != 0:
        return CC_D_DONE
    parts = <uint8_t>(c.effects + 1 + (1 if c.flags & CC_CF_HAS_PIN else 0))
    if c.flags & CC_CF_HAS_PIN:
        write_pin_check(t, b, c, first, CC_R_OK, parts)
    for i in range(c.effects):
        row = write_effect(t, b, c, &c.effect[i], first, opened, parts)
        if c.effect[i].kind == CC_EF_ACCOUNT_OPEN:
            opened = row
        if i == 0:
            reply.row = row
    write_document(t, b, c, first, CC_R_OK)
    return done(t, b, first, reply)
