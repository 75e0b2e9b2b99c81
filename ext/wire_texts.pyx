"""The words of a refusal: the catalogue's templates filled with the decision's numbers.

All numbers come from the record, so that a replayed answer reads as the first one did; only the
tries left are the reply's.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, strlen

from ext.commands cimport cc_reply
from ext.reasons cimport (
    CC_R_INSUFFICIENT, CC_R_PIN_LOCKED, CC_R_PIN_REQUIRED, CC_R_PIN_WRONG,
    CC_R_REFUND_EXCEEDS_ORIGINAL, CC_R_WATER_CAP, cc_reason_text, cc_reason_text_of,
)
from ext.records cimport (
    CC_F_OVER_DAY, CC_F_OVER_MEAL, CC_T_ACCOUNT, CC_T_HOLD, CC_T_PURCHASE, cc_money_body,
)
from ext.wire_writer cimport PUT_VARINT, close_message, open_message, put_always, put_bytes

cdef extern from "wire.h" nogil:
    enum:
        CC_N_ASKED
        CC_N_AVAILABLE
        CC_N_DAY_LIMIT
        CC_N_DAY_USED
        CC_N_MEAL_LIMIT
        CC_N_MEAL_USED
        CC_N_REFUNDABLE
        CC_N_TRIES_LEFT
        CC_N_WATER_CAP
        CC_N_COUNT
    enum:
        CC_CHINESE
        CC_ENGLISH
    const char *cc_wire_numbers[CC_N_COUNT]
    const char *cc_wire_limit_words[2][2][3]

cdef enum:
    NOT_TOLD = 0xFFFFFFFF   # record.aux when the amount asked does not fit

ctypedef struct cc_numbers:
    int64_t value[CC_N_COUNT]
    bint known[CC_N_COUNT]
    int64_t balance         # ONLINE


cdef inline void know(cc_numbers *n, int which, int64_t value) noexcept nogil:
    n.value[which] = value
    n.known[which] = True


cdef void gather(const cc_reply *reply, cc_numbers *n) noexcept nogil:
    """Find the numbers behind the refusal: what each reason's record says."""
    cdef const cc_money_body *body = &reply.record.body.money
    cdef uint64_t limits = <uint64_t>body.credit_after
    cdef int reason = reply.record.reason
    cdef int i
    for i in range(CC_N_COUNT):
        n.value[i] = 0
        n.known[i] = False
    n.balance = 0
    if reply.record.type >= CC_T_ACCOUNT:
        return
    n.balance = body.debit_after
    if reply.record.aux != 0 and reply.record.aux != NOT_TOLD:
        know(n, CC_N_ASKED, reply.record.aux)
    if reason == CC_R_INSUFFICIENT and reply.record.type == CC_T_PURCHASE:
        know(n, CC_N_AVAILABLE, body.debit_after - body.held_after + body.credit_after)
    elif reason == CC_R_INSUFFICIENT and reply.record.type == CC_T_HOLD:
        know(n, CC_N_AVAILABLE, body.debit_after - body.held_after)
    elif reason == CC_R_WATER_CAP:
        know(n, CC_N_WATER_CAP, body.credit_after)
    elif reason == CC_R_REFUND_EXCEEDS_ORIGINAL:
        know(n, CC_N_REFUNDABLE, body.credit_after)
    elif reason == CC_R_PIN_REQUIRED or reason == CC_R_PIN_WRONG or reason == CC_R_PIN_LOCKED:
        if reply.record.flags & CC_F_OVER_DAY:
            know(n, CC_N_DAY_LIMIT, <int64_t>(limits & NOT_TOLD))
            know(n, CC_N_DAY_USED, body.day_used)
        if reply.record.flags & CC_F_OVER_MEAL:
            know(n, CC_N_MEAL_LIMIT, <int64_t>(limits >> 32))
            know(n, CC_N_MEAL_USED, body.meal_used)
        if reason != CC_R_PIN_REQUIRED:
            know(n, CC_N_TRIES_LEFT, reply.pin_left)


cdef uint8_t *put_text(uint8_t *p, const char *text) noexcept nogil:
    cdef size_t length = strlen(text)
    memcpy(p, text, length)
    return p + length


cdef uint8_t *put_count(uint8_t *p, uint64_t value) noexcept nogil:
    """Write decimal digits."""
    cdef uint8_t digits[20]
    cdef int n = 0
    while True:
        digits[n] = <uint8_t>(0x30 + value % 10)
        n += 1
        value //= 10
        if value == 0:
            break
    while n > 0:
        n -= 1
        p[0] = digits[n]
        p += 1
    return p


cdef uint8_t *put_yuan(uint8_t *p, int64_t fen) noexcept nogil:
    """Write fen as yuan with two decimals."""
    cdef uint64_t size = <uint64_t>fen
    if fen < 0:
        p[0] = 0x2D
        p += 1
        size = 0 - size
    p = put_count(p, size // 100)
    p[0] = 0x2E
    p[1] = <uint8_t>(0x30 + size // 10 % 10)
    p[2] = <uint8_t>(0x30 + size % 10)
    return p + 3


cdef uint8_t *put_limit(
    uint8_t *p, int language, int meal, int64_t limit, int64_t used,
) noexcept nogil:
    cdef const char **words = <const char**>&cc_wire_limit_words[language][meal][0]
    p = put_text(p, words[0])
    p = put_yuan(p, limit)
    p = put_text(p, words[1])
    p = put_yuan(p, used)
    return put_text(p, words[2])


cdef uint8_t *put_limits(uint8_t *p, int language, const cc_numbers *n) noexcept nogil:
    """Write the limits that were passed, the meal's first."""
    if n.known[CC_N_MEAL_LIMIT]:
        p = put_limit(p, language, 1, n.value[CC_N_MEAL_LIMIT], n.value[CC_N_MEAL_USED])
        if n.known[CC_N_DAY_LIMIT]:
            p = put_text(p, b"; ")
    if n.known[CC_N_DAY_LIMIT]:
        p = put_limit(p, language, 0, n.value[CC_N_DAY_LIMIT], n.value[CC_N_DAY_USED])
    return p


cdef inline bint names(const char *at, size_t length, const char *name) noexcept nogil:
    return length == strlen(name) and memcmp(at, name, length) == 0


cdef uint8_t *put_known(uint8_t *p, const cc_numbers *n, int which) noexcept nogil:
    """Write a number, or a dash: nothing is said that the record does not know."""
    return put_yuan(p, n.value[which]) if n.known[which] else put_text(p, b"-")


cdef uint8_t *put_placeholder(
    uint8_t *p, const char *at, size_t length, int language, const cc_numbers *n,
) noexcept nogil:
    if names(at, length, b"limits"):
        return put_limits(p, language, n)
    if names(at, length, b"asked"):
        return put_known(p, n, CC_N_ASKED)
    if names(at, length, b"available"):
        return put_known(p, n, CC_N_AVAILABLE)
    if names(at, length, b"balance"):
        return put_yuan(p, n.balance)
    if names(at, length, b"limit"):
        return put_known(p, n, CC_N_WATER_CAP)
    if n.known[CC_N_TRIES_LEFT]:    # {left}: tries of a password, else fen of a refund
        return put_count(p, <uint64_t>n.value[CC_N_TRIES_LEFT])
    return put_known(p, n, CC_N_REFUNDABLE)


cdef uint8_t *put_template(
    uint8_t *p, const char *text, int language, const cc_numbers *n,
) noexcept nogil:
    """Copy the text; a name in braces becomes its number."""
    cdef const char *end
    while text[0] != 0:
        if text[0] != 0x7B:
            p[0] = <uint8_t>text[0]
            p += 1
            text += 1
            continue
        end = text + 1
        while end[0] != 0x7D and end[0] != 0:
            end += 1
        p = put_placeholder(p, text + 1, <size_t>(end - text - 1), language, n)
        text = end + 1 if end[0] else end
    return p


cdef uint8_t *put_number(uint8_t *p, const char *name, int64_t value) noexcept nogil:
    """Write one entry of the map: key and value both, also when 0."""
    cdef uint8_t *start = open_message(p, 4)
    p = put_bytes(start, 1, name, strlen(name))
    p = put_always(p, 2 << 3 | PUT_VARINT, <uint64_t>value)
    return close_message(start, p)


cdef uint8_t *put_refusal(uint8_t *p, const cc_reply *reply) noexcept nogil:
    cdef const cc_reason_text *text = cc_reason_text_of(reply.record.reason)
    cdef cc_numbers n
    cdef uint8_t *start
    cdef int i
    gather(reply, &n)
    p = put_bytes(p, 1, text.clause, text.clause_len)
    start = open_message(p, 2)
    p = close_message(start, put_template(start, text.zh, CC_CHINESE, &n))
    start = open_message(p, 3)
    p = close_message(start, put_template(start, text.en, CC_ENGLISH, &n))
    for i in range(CC_N_COUNT):
        if n.known[i]:
            p = put_number(p, cc_wire_numbers[i], n.value[i])
    return p
