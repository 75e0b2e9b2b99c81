"""Holds, captures and releases: amounts reserved before they are known."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from ext.apply cimport is_row_meal
from ext.commands cimport cc_command, cc_reply
from ext.records cimport (
    CC_F_COUNTS_DAY, CC_F_COUNTS_MEAL, CC_F_WATER, cc_account, cc_hold, cc_record,
)
from ext.tables cimport cc_block, cc_tables
from ext.taps cimport cc_tap


cdef inline uint16_t hold_flags(const cc_hold *h) noexcept nogil:
    """What every record about a hold says of it."""
    return (
        (CC_F_WATER if h.water else 0) | (CC_F_COUNTS_DAY if h.counts & 1 else 0)
        | (CC_F_COUNTS_MEAL if h.counts & 2 else 0)
    )


cdef inline uint32_t less(uint32_t used, int64_t back) noexcept nogil:
    """A counter after giving back; never below 0. Negative `back` adds."""
    cdef int64_t left = <int64_t>used - back
    if left < 0:
        return 0
    return 0xFFFFFFFFu if left > 0xFFFFFFFFll else <uint32_t>left


cdef inline void give_back(const cc_account *a, cc_record *r, int64_t back) noexcept nogil:
    """Counters after, where the record's day and meal are still the row's; 0 where they are not."""
    r.body.money.day_used = r.body.money.meal_used = 0
    if a.day_key == r.body.money.day_key:
        r.body.money.day_used = less(a.day_used, back if r.flags & CC_F_COUNTS_DAY else 0)
    if is_row_meal(a, r.body.money.day_key, r.body.money.meal_key):
        r.body.money.meal_used = less(a.meal_used, back if r.flags & CC_F_COUNTS_MEAL else 0)


# What the record of a hold's end says: nothing was posted, or `amount` of it; the rest is freed.
cdef void fill_freed(const cc_tables *t, cc_record *r, const cc_hold *h) noexcept nogil
cdef void fill_posted(
    const cc_tables *t, cc_record *r, const cc_hold *h, int64_t amount,
) noexcept nogil
# Seq of the account's open transfer to the water purse, 0 none.
cdef uint64_t open_water_hold(const cc_tables *t, uint32_t account) noexcept nogil
# Frees a hold by RELEASE or REVERSAL; x.type says which.
cdef cc_record *free_hold(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, const cc_hold *h,
) noexcept nogil
cdef cc_record *post_hold(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, const cc_hold *h,
) noexcept nogil
# Before a water hold's checks: 0 go on, else a reason.
cdef int resolve_water(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x,
) noexcept nogil
cdef int reserve(
    cc_tables *t, cc_block *b, const cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil
cdef int decide_held(
    cc_tables *t, cc_block *b, cc_command *c, cc_tap *x, cc_reply *reply,
) noexcept nogil
