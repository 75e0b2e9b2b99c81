"""Effects that wait for their time: taken down, cancelled, carried out.

A scheduled effect holds what changes, never a whole row: when its time has come the after-image is
made from the row as it then stands, so that changes decided in any order add up.

**Source:** regulation 六.3a, 九.2: a rule holds from a first moment on.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from ext.apply cimport apply_record
from ext.commands cimport (
    CC_EF_ACCOUNT_STATUS, CC_EF_CATEGORY, CC_EF_MEALS, CC_EF_MEDIUM_STATE, CC_EF_RULES,
    CC_ST_INVALID, CC_ST_TABLE_FULL, CC_X_STATUS, CC_X_UNCHANGED, cc_effect,
)
from ext.images cimport account_image, medium_image
from ext.reasons cimport CC_R_CONFLICT
from ext.records cimport (
    CC_F_DUE, CC_MS_UNBOUND, CC_M_FROZEN, CC_O_DECLINED, CC_O_EFFECT, CC_T_ACCOUNT,
    CC_T_CATEGORY, CC_T_MEALS, CC_T_MEDIUM, CC_T_RULES, CC_T_UNSCHEDULED, cc_account_body,
    cc_medium_body, cc_record, cc_rules_body, cc_scheduled, cc_scheduled_body,
)
from ext.schedules cimport schedule_room
from ext.tables cimport cc_block, cc_tables

cdef enum:
    RULES_WORDS = 10             # fields of four bytes, then those of one, then of two
    PIN_MAX_FIELD = 10
    LATER_FIELD = 12             # limit_day: from here on they wait by themselves
    RULES_HALVES = 14
    RULES_FIELDS = 16
    MINUTES_A_DAY = 1440
    MEALS_BYTES = 36             # count, padding, eight periods
    STATE = 0                    # places in a medium's values
    FLAGS = 1


# ---- taken down ----

cdef bint switches_known(const cc_effect *e) noexcept nogil:
    cdef const cc_rules_body *rules = <const cc_rules_body *>e.body
    return (
        rules.limit_day <= 1 and rules.pin_reset <= 1 and rules.day_cut_minutes < MINUTES_A_DAY
    )


cdef int check_scheduled(const cc_tables *t, const cc_effect *e, uint32_t before) noexcept nogil:
    """What it expects of its row is for its time; now only ranges and room are looked at."""
    cdef uint8_t waits_for = CC_X_STATUS | CC_X_UNCHANGED
    if e.kind == CC_EF_ACCOUNT_STATUS or e.kind == CC_EF_MEDIUM_STATE:
        if not e.expect & CC_X_STATUS or e.expect & ~waits_for:
            return CC_ST_INVALID
        if e.kind == CC_EF_ACCOUNT_STATUS and e.mask != 0:
            return CC_ST_INVALID
        if e.kind == CC_EF_MEDIUM_STATE and (
                e.mask > 0xFF or (<const cc_medium_body *>e.body).state > CC_MS_UNBOUND):
            return CC_ST_INVALID
    elif e.kind == CC_EF_RULES:
        if e.expect != 0 or not switches_known(e):
            return CC_ST_INVALID
        if e.mask >> LATER_FIELD and e.mask & ((1 << LATER_FIELD) - 1):
            return CC_ST_INVALID
        if e.mask >> PIN_MAX_FIELD & 1 and (<const cc_rules_body *>e.body).pin_max == 0:
            return CC_ST_INVALID
    elif e.kind == CC_EF_MEALS or e.kind == CC_EF_CATEGORY:
        if e.expect != 0 or e.mask != 0:
            return CC_ST_INVALID
    else:
        return CC_ST_INVALID
    return 0 if before < schedule_room(t) else CC_ST_TABLE_FULL


cdef inline uint32_t field_at(uint32_t field) noexcept nogil:
    """Where a field stands in the rules from day_limit on."""
    if field < RULES_WORDS:
        return field * 4
    if field < RULES_HALVES:
        return RULES_WORDS * 4 + (field - RULES_WORDS)
    return RULES_WORDS * 4 + (RULES_HALVES - RULES_WORDS) + (field - RULES_HALVES) * 2


cdef inline uint32_t field_size(uint32_t field) noexcept nogil:
    if field < RULES_WORDS:
        return 4
    return 1 if field < RULES_HALVES else 2


cdef inline uint32_t values_from(uint16_t mask) noexcept nogil:
    """Where the values of a mask's fields begin in the rules from day_limit on."""
    return field_at(LATER_FIELD) if mask >> LATER_FIELD else 0


cdef void copy_fields(
    uint16_t mask, const uint8_t *values, uint32_t values_at, uint8_t *into, uint32_t into_at,
) noexcept nogil:
    """`values_at`, `into_at`: how far behind day_limit the two begin."""
    cdef uint32_t field
    for field in range(RULES_FIELDS):
        if mask >> field & 1:
            memcpy(
                into + (field_at(field) - into_at), values + (field_at(field) - values_at),
                field_size(field))


cdef void fill_scheduled(const cc_tables *t, const cc_effect *e, cc_record *r) noexcept nogil:
    cdef cc_scheduled_body *s = &r.body.scheduled
    cdef const cc_medium_body *medium = <const cc_medium_body *>e.body
    cdef const cc_rules_body *rules = <const cc_rules_body *>e.body
    s.due_s, s.mask, s.kind, s.expect = e.due_s, e.mask, e.kind, e.expect
    if e.kind == CC_EF_ACCOUNT_STATUS or e.kind == CC_EF_MEDIUM_STATE:
        s.event, s.expect_status = e.event, e.expect_status
    if e.kind == CC_EF_ACCOUNT_STATUS:
        s.changes = t.cold[r.account].changes
        s.values[0] = (<const cc_account_body *>e.body).status
    elif e.kind == CC_EF_MEDIUM_STATE:
        s.changes = t.medium[r.medium].changes
        s.expect_flags = e.expect_flags & <uint8_t>e.mask
        s.values[STATE] = medium.state
        s.values[FLAGS] = medium.flags & <uint8_t>e.mask
    elif e.kind == CC_EF_RULES:
        copy_fields(
            e.mask, <const uint8_t *>&rules.day_limit, 0, s.values, values_from(e.mask))
    else:
        memcpy(s.values, e.body, MEALS_BYTES if e.kind == CC_EF_MEALS else 2)


cdef void fill_unscheduled(const cc_scheduled *s, cc_record *r) noexcept nogil:
    r.account, r.medium = s.account, s.medium
    r.original_seq = s.seq
    r.body.scheduled = s.body


# ---- carried out ----

cdef bint still_fits(const cc_tables *t, const cc_scheduled *s) noexcept nogil:
    """Whether its row is as the effect expects it."""
    cdef const cc_scheduled_body *b = &s.body
    cdef uint16_t changes
    if b.kind == CC_EF_ACCOUNT_STATUS:
        changes = t.cold[s.account].changes
        if t.account[s.account].status != b.expect_status:
            return False
    elif b.kind == CC_EF_MEDIUM_STATE:
        changes = t.medium[s.medium].changes
        if b.expect_status != 0 and t.medium[s.medium].state != b.expect_status:
            return False
        if t.medium[s.medium].flags & <uint8_t>b.mask != b.expect_flags:
            return False
    else:
        return True
    return not b.expect & CC_X_UNCHANGED or changes == b.changes


cdef void fill_account(const cc_tables *t, const cc_scheduled *s, cc_record *r) noexcept nogil:
    r.type, r.account = CC_T_ACCOUNT, s.account
    account_image(t, s.account, &r.body.account_row)
    r.body.account_row.event = s.body.event
    r.body.account_row.status = s.body.values[0]
    r.body.account_row.changes += 1


cdef void fill_medium(const cc_tables *t, const cc_scheduled *s, cc_record *r) noexcept nogil:
    cdef cc_medium_body *m = &r.body.medium_row
    cdef uint8_t mask = <uint8_t>s.body.mask
    r.type, r.account, r.medium = CC_T_MEDIUM, s.account, s.medium
    medium_image(t, s.medium, m)
    m.event = s.body.event
    if s.body.values[STATE] != 0:
        m.state = s.body.values[STATE]
    m.flags = (m.flags & ~mask) | s.body.values[FLAGS]
    if (m.flags ^ t.medium[s.medium].flags) & CC_M_FROZEN:
        m.changes += 1


cdef void fill_parameters(
    const cc_tables *t, const cc_block *b, const cc_scheduled *s, cc_record *r,
) noexcept nogil:
    if s.body.kind == CC_EF_RULES:
        r.type = CC_T_RULES
        r.body.rules = t.rules
        copy_fields(
            s.body.mask, s.body.values, values_from(s.body.mask),
            <uint8_t *>&r.body.rules.day_limit, 0)
        r.body.rules.version = b.head.rule_version + 1
    elif s.body.kind == CC_EF_MEALS:
        r.type = CC_T_MEALS
        memcpy(r.body.bytes, s.body.values, MEALS_BYTES)
        r.body.meals.version = b.head.rule_version + 1
    else:
        r.type = CC_T_CATEGORY
        memcpy(r.body.bytes, s.body.values, 2)


cdef void carry_out(cc_tables *t, cc_block *b, const cc_scheduled *s) noexcept nogil:
    cdef cc_record *r = &b.records[b.n]
    memset(r, 0, sizeof(cc_record))
    r.seq = t.applied_seq + 1
    r.part = r.parts = 1
    r.outcome = CC_O_EFFECT
    r.flags = CC_F_DUE
    r.original_seq = s.seq
    if not still_fits(t, s):
        fill_unscheduled(s, r)
        r.type, r.outcome, r.reason = CC_T_UNSCHEDULED, CC_O_DECLINED, CC_R_CONFLICT
    elif s.body.kind == CC_EF_ACCOUNT_STATUS:
        fill_account(t, s, r)
    elif s.body.kind == CC_EF_MEDIUM_STATE:
        fill_medium(t, s, r)
    else:
        fill_parameters(t, b, s, r)
    if r.account != 0:
        r.prev_account_seq = t.account[r.account].last_seq
    apply_record(t, r)
    b.n += 1
