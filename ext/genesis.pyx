"""The first block of a journal: the rules, the meals and the categories.

It is an office command like every later change of them, decided by the same code, so that the
journal explains itself from seq 1.
"""

from ext.errors import EngineError

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy, memset

from ext.clocks cimport clock_now_us
from ext.commands cimport (
    CC_EF_CATEGORY, CC_EF_MEALS, CC_EF_RULES, CC_OP_OFFICE, CC_ST_OK, cc_command, cc_effect,
)
from ext.committer cimport flight_carry
from ext.feed cimport cc_feed, cc_ticket, feed_close, feed_open
from ext.records cimport (
    CC_C_DAY, CC_C_HOLD, CC_C_MEAL, CC_C_REFUNDABLE, CC_C_SPEND, CC_C_SUBSIDY, CC_CAT_ACCESS,
    CC_CAT_BATH, CC_CAT_CANTEEN, CC_CAT_SHOP, CC_CAT_UTILITY, CC_CAT_WATER, cc_category_body,
    cc_meals_body, cc_rules_body,
)
from ext.ring cimport ring_place, ring_publish, ring_reserve
from ext.sequencer cimport flight_decide
from ext.shared cimport cc_shared
from ext.store cimport cc_identity

cdef enum:
    MEALS = 4
    EFFECTS = 8                  # rules, meals, six categories
    UUID_VERSION_7 = 0x70
    UUID_VARIANT = 0x80


cdef void default_rules(cc_rules_body *r) noexcept:
    """The regulation's figures where it has them, else what comparable campuses use."""
    memset(r, 0, sizeof(cc_rules_body))
    r.day_limit, r.meal_limit = 10000, 5000        # clause 4.3
    r.day_ceiling, r.meal_ceiling = 50000, 20000
    r.hold_seconds, r.water_hold_seconds = 1800, 300
    r.late_capture_seconds = 40 * 86400
    r.water_tap, r.water_cap = 1000, 0             # clause 4.6
    r.utc_offset_seconds = 28800
    r.pin_max = 3


cdef void set_meal(cc_meals_body *m, int index, uint16_t start, uint16_t end) noexcept:
    m.meals[index].start_minute, m.meals[index].end_minute = start * 60, end * 60


cdef void default_meals(cc_meals_body *m) noexcept:
    """Breakfast, lunch, dinner, night."""
    memset(m, 0, sizeof(cc_meals_body))
    m.count = MEALS
    set_meal(m, 0, 5, 10)
    set_meal(m, 1, 10, 14)
    set_meal(m, 2, 14, 21)
    set_meal(m, 3, 21, 5)
    m.meals[1].end_minute = m.meals[2].start_minute = 14 * 60 + 30


cdef void set_category(cc_effect *e, uint8_t category, uint8_t flags) noexcept:
    cdef cc_category_body *body = <cc_category_body *>e.body
    e.kind = CC_EF_CATEGORY
    body.category, body.flags = category, flags


cdef void fill_effects(cc_effect *e, const cc_identity *identity) noexcept:
    cdef uint8_t spends = CC_C_DAY | CC_C_SPEND | CC_C_REFUNDABLE
    e[0].kind, e[1].kind = CC_EF_RULES, CC_EF_MEALS
    if identity.rules.version != 0:
        memcpy(e[0].body, &identity.rules, sizeof(cc_rules_body))
    else:
        default_rules(<cc_rules_body *>e[0].body)
    if identity.meals.count != 0:
        memcpy(e[1].body, &identity.meals, sizeof(cc_meals_body))
    else:
        default_meals(<cc_meals_body *>e[1].body)
    set_category(&e[2], CC_CAT_CANTEEN, spends | CC_C_MEAL | CC_C_HOLD | CC_C_SUBSIDY)
    set_category(&e[3], CC_CAT_UTILITY, spends)
    set_category(&e[4], CC_CAT_WATER, spends | CC_C_HOLD)
    set_category(&e[5], CC_CAT_BATH, spends | CC_C_HOLD)
    set_category(&e[6], CC_CAT_SHOP, spends)
    set_category(&e[7], CC_CAT_ACCESS, 0)


cdef void fill_request_id(uint8_t *id, int64_t now_us) noexcept:
    """A UUIDv7 of the block's own time; the rest of it need not be random, it is the first one."""
    cdef uint64_t ms = <uint64_t>(now_us // 1000)
    cdef int i
    memset(id, 0, 16)
    for i in range(6):
        id[i] = <uint8_t>(ms >> (40 - 8 * i))
    id[6], id[8] = UUID_VERSION_7, UUID_VARIANT


cdef int write_first_block(cc_shared *s, const cc_identity *identity) except -1:
    cdef cc_feed feed
    cdef cc_ticket ticket
    cdef uint64_t place
    cdef cc_command *c
    memset(&ticket, 0, sizeof(ticket))
    feed_open(&feed, 0)
    try:
        ticket.feed = &feed
        place = ring_reserve(&s.ring, 1)
        c = ring_place(&s.ring, place, 0)
        c.op, c.token, c.fingerprint = CC_OP_OFFICE, <uint64_t>&ticket, 1
        fill_request_id(c.request_id, clock_now_us(&s.clock))
        c.payload = <uint8_t *>calloc(1, 1)
        c.effect = <cc_effect *>calloc(EFFECTS, sizeof(cc_effect))
        if c.payload == NULL or c.effect == NULL:
            raise MemoryError
        c.effects = EFFECTS
        fill_effects(c.effect, identity)
        ring_publish(&s.ring, place, 1)
        with nogil:
            flight_decide(s, &s.flight[0])
            flight_carry(s)
        if ticket.reply.status != CC_ST_OK:
            raise EngineError(
                f"the first block was refused: status {ticket.reply.status} at effect"
                f" {ticket.reply.conflict}; are the rules and meals in range?")
    finally:
        feed_close(&feed)
    return 0
