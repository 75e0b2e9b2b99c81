"""The transaction password: looked at only above a limit, counted, never kept (clause 4.3)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from ext.commands cimport cc_command
from ext.digest cimport pin_mac, pin_mac_equal
from ext.reasons cimport (
    CC_R_OK, CC_R_PIN_LOCKED, CC_R_PIN_NOT_SET, CC_R_PIN_UNVERIFIABLE, CC_R_PIN_WRONG,
)
from ext.records cimport cc_account_cold
from ext.tables cimport cc_tables


cdef inline uint8_t fails_now(const cc_tables *t, uint32_t account) noexcept nogil:
    """Wrong tries that count. Those of an earlier day do not, unless only a reset ends them (D6);
    of a try of which no day is known only a reset does.
    """
    cdef uint8_t fails = t.account[account].pin_fails
    cdef uint16_t day
    if fails == 0 or t.rules.pin_reset != 0:
        return fails
    day = t.cold[account].pin_fail_day
    return 0 if day != 0 and day < t.day_key else fails


cdef inline bint session_stands(
    const cc_tables *t, uint32_t account, uint32_t medium, uint32_t terminal,
) noexcept nogil:
    """Whether a right password of before still serves, for this medium at this terminal (D5)."""
    cdef const cc_account_cold *cold = &t.cold[account]
    return (
        t.rules.pin_session_seconds != 0 and cold.session_s != 0
        and cold.session_rules == t.rule_version
        and cold.session_medium == medium and cold.session_terminal == terminal
        and t.time_us // 1000000 - cold.session_s < t.rules.pin_session_seconds
    )


cdef inline int pin_verdict(cc_tables *t, uint32_t account, const cc_command *c) noexcept nogil:
    """A reason: OK, PIN_WRONG, or without evaluating anything PIN_LOCKED, PIN_NOT_SET or, under
    another key than it was set with, PIN_UNVERIFIABLE.
    """
    cdef const cc_account_cold *cold = &t.cold[account]
    cdef uint8_t tag[16]
    if fails_now(t, account) >= t.rules.pin_max:
        return CC_R_PIN_LOCKED
    if cold.pin_version == 0:
        return CC_R_PIN_NOT_SET
    if cold.pin_kid != t.pin_kid or pin_mac(
            t.pin_mac, account, cold.pin_version, cold.pin_salt, c.pin, c.pin_len, tag) != 0:
        return CC_R_PIN_UNVERIFIABLE
    return CC_R_OK if pin_mac_equal(tag, cold.pin_tag) else CC_R_PIN_WRONG
