"""After-images of rows as they stand, to be changed by who writes the record."""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from ext.pins cimport fails_now
from ext.records cimport cc_account_body, cc_medium_body
from ext.tables cimport cc_tables


cdef inline void account_image(
    const cc_tables *t, uint32_t account, cc_account_body *out,
) noexcept nogil:
    """An account's papers; the event is the caller's."""
    memcpy(out.pin_tag, t.cold[account].pin_tag, 16)
    memcpy(out.pin_salt, t.cold[account].pin_salt, 8)
    out.pin_version, out.pin_kid = t.cold[account].pin_version, t.cold[account].pin_kid
    out.kind, out.changes = t.cold[account].kind, t.cold[account].changes
    out.day_limit = t.account[account].day_limit
    out.meal_limit = t.account[account].meal_limit
    out.status, out.flags = t.account[account].status, t.account[account].flags
    out.pin_fails = fails_now(t, account)


cdef inline void medium_image(
    const cc_tables *t, uint32_t medium, cc_medium_body *out,
) noexcept nogil:
    """A medium's papers; the event is the caller's."""
    memcpy(out.key, t.medium[medium].key, 16)
    out.state, out.flags = t.medium[medium].state, t.medium[medium].flags
    out.expires_day, out.changes = t.medium[medium].expires_day, t.medium[medium].changes
