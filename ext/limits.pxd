"""The two limits: passwords are asked above them, per day and per meal (clause 4.3).

Cumulative, the present amount included, strictly greater: exactly 100.00 a day asks nothing.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from ext.apply cimport is_row_meal
from ext.records cimport (
    CC_C_DAY, CC_C_MEAL, CC_F_COUNTS_DAY, CC_F_COUNTS_MEAL, CC_F_OVER_DAY, CC_F_OVER_MEAL,
    CC_LIMIT_DEFAULT, cc_account, cc_meals_body,
)
from ext.tables cimport cc_tables

cdef enum:
    SECONDS_A_DAY = 86400
    MINUTES_A_DAY = 1440


cdef inline int64_t local_seconds(const cc_tables *t, int64_t time_us) noexcept nogil:
    return time_us // 1000000 + t.rules.utc_offset_seconds


cdef inline uint8_t meal_key_at(const cc_meals_body *meals, int64_t minute) noexcept nogil:
    """Meal of a local minute: index from 1, bit 7 when it began the day before; 0 none."""
    cdef uint8_t i
    cdef int64_t start, end
    for i in range(meals.count):
        start, end = meals.meals[i].start_minute, meals.meals[i].end_minute
        if start < end:
            if start <= minute < end:
                return i + 1
        elif minute >= start:
            return i + 1
        elif minute < end:
            return (i + 1) | 0x80
    return 0


cdef inline int64_t business_day(const cc_tables *t, int64_t local) noexcept nogil:
    """Of a local second. A cut in the second half of the day is the evening before: 23:30 begins
    the next business day.
    """
    cdef int64_t cut = t.rules.day_cut_minutes
    if cut >= MINUTES_A_DAY // 2:
        cut -= MINUTES_A_DAY
    return (local - cut * 60) // SECONDS_A_DAY


cdef inline uint8_t meal_key_of(const cc_tables *t, int64_t local) noexcept nogil:
    """Meal of a local second, bit 7 as seen from the day the limits count (D2)."""
    cdef int64_t second = local % SECONDS_A_DAY, began = local - second
    cdef uint8_t key = meal_key_at(&t.meals, second // 60)
    if key == 0 or t.rules.limit_day == 0:
        return key
    if key & 0x80:
        began -= SECONDS_A_DAY
    key &= 0x7F
    began += t.meals.meals[key - 1].start_minute * 60
    return key | 0x80 if business_day(t, began) < t.business_date else key


cdef inline uint32_t day_now(const cc_tables *t, const cc_account *a) noexcept nogil:
    """Fen counted in the block's day."""
    return a.day_used if a.day_key == t.day_key else 0


cdef inline uint32_t meal_now(const cc_tables *t, const cc_account *a) noexcept nogil:
    """Fen counted in the block's meal, 0 outside meals."""
    return a.meal_used if is_row_meal(a, t.day_key, t.meal_key) else 0


cdef inline uint32_t day_limit_of(const cc_tables *t, const cc_account *a) noexcept nogil:
    return t.rules.day_limit if a.day_limit == CC_LIMIT_DEFAULT else a.day_limit


cdef inline uint32_t meal_limit_of(const cc_tables *t, const cc_account *a) noexcept nogil:
    return t.rules.meal_limit if a.meal_limit == CC_LIMIT_DEFAULT else a.meal_limit


cdef inline uint16_t counts_of(const cc_tables *t, uint8_t category) noexcept nogil:
    """COUNTS_* flags of a debit at a merchant of this category now."""
    cdef uint16_t flags = 0
    if t.category[category & 15] & CC_C_DAY:
        flags |= CC_F_COUNTS_DAY
    if t.category[category & 15] & CC_C_MEAL and t.meal_key != 0:
        flags |= CC_F_COUNTS_MEAL
    return flags


cdef inline uint16_t over_limits(
    const cc_tables *t, const cc_account *a, uint16_t counts, int64_t amount,
) noexcept nogil:
    """OVER_* flags: which thresholds this amount passes; 0 asks no password."""
    cdef uint16_t over = 0
    cdef int64_t meal = 0 if t.rules.meal_scope else <int64_t>meal_now(t, a)
    if counts & CC_F_COUNTS_DAY and <int64_t>day_now(t, a) + amount > <int64_t>day_limit_of(t, a):
        over |= CC_F_OVER_DAY
    if counts & CC_F_COUNTS_MEAL and meal + amount > <int64_t>meal_limit_of(t, a):
        over |= CC_F_OVER_MEAL
    return over


cdef inline bint counters_hold(
    const cc_tables *t, const cc_account *a, int64_t amount,
) noexcept nogil:
    """Whether 32-bit counters can take the amount."""
    return (
        <int64_t>day_now(t, a) + amount <= 0xFFFFFFFFll
        and <int64_t>meal_now(t, a) + amount <= 0xFFFFFFFFll
    )
