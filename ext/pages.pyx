"""Rows into pages and back. Stamps are volatile: zero in a page.

The pages of an account's, medium's ... rows follow from the row number; the ledger is one page of
its own, and the rules, meals and categories share another.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ext.digest cimport crc32c
from ext.records cimport (
    CC_CATEGORIES, CC_TABLE_ACCOUNT, CC_TABLE_COLD, CC_TABLE_HOLD, CC_TABLE_KEYS, CC_TABLE_LEDGER,
    CC_TABLE_MEDIUM, CC_TABLE_MERCHANT, CC_TABLE_REQUEST, CC_TABLE_RULES, CC_TABLE_SCHEDULED,
    CC_TABLE_TERMINAL, CC_TABLE_UNDO, cc_ledger, cc_meals_body, cc_rules_body, cc_terminal,
)
from ext.pages cimport CC_PAGE_BYTES, cc_counts, cc_page, page_rows
from ext.tables cimport cc_tables

ctypedef struct cc_rules_page:
    cc_rules_body rules
    cc_meals_body meals
    uint8_t category[CC_CATEGORIES]

cdef enum:
    PAGES_PER_SLOT = 1024        # 65,536 entries
    SLOTS = 2                    # batches of a terminal in RAM


cdef uint32_t rows_used(const cc_tables *t, uint32_t table) noexcept nogil:
    """First row of the table never used."""
    if table == CC_TABLE_ACCOUNT or table == CC_TABLE_COLD:
        return t.accounts
    if table == CC_TABLE_MEDIUM:
        return t.media
    if table == CC_TABLE_MERCHANT:
        return t.merchants
    if table == CC_TABLE_TERMINAL:
        return t.terminals
    if table == CC_TABLE_HOLD:
        return t.holds
    if table == CC_TABLE_UNDO:
        return t.undos
    if table == CC_TABLE_SCHEDULED:
        return t.schedules
    return t.requests


cdef uint32_t rows_mapped(const cc_tables *t, uint32_t table) noexcept nogil:
    if table == CC_TABLE_ACCOUNT or table == CC_TABLE_COLD:
        return t.accounts_max + 1
    if table == CC_TABLE_MEDIUM:
        return t.media_max + 1
    if table == CC_TABLE_MERCHANT:
        return t.merchants_max + 1
    if table == CC_TABLE_TERMINAL:
        return t.terminals_max + 1
    if table == CC_TABLE_HOLD:
        return t.holds_max + 1
    if table == CC_TABLE_UNDO:
        return t.undos_max + 1
    if table == CC_TABLE_SCHEDULED:
        return t.schedules_max + 1
    return t.requests_max + 1


cdef uint32_t pages_of(uint32_t table, uint32_t rows) noexcept nogil:
    return (rows + page_rows(table) - 1) // page_rows(table)


cdef uint32_t page_count(const cc_tables *t, uint32_t table) noexcept nogil:
    """Pages that hold used rows."""
    if table == CC_TABLE_LEDGER or table == CC_TABLE_RULES:
        return 1
    if table == CC_TABLE_KEYS:
        return t.terminals * SLOTS * PAGES_PER_SLOT
    return pages_of(table, rows_used(t, table)) if page_rows(table) != 0 else 0


cdef uint32_t page_limit(const cc_tables *t, uint32_t table) noexcept nogil:
    """Pages the table's mapping has room for: what a state made with larger bounds may exceed."""
    if table == CC_TABLE_LEDGER or table == CC_TABLE_RULES:
        return 1
    if table == CC_TABLE_KEYS:
        return (t.terminals_max + 1) * SLOTS * PAGES_PER_SLOT
    return pages_of(table, rows_mapped(t, table)) if page_rows(table) != 0 else 0


cdef uint8_t *page_rows_at(const cc_tables *t, uint32_t table, uint32_t page) noexcept nogil:
    """Where a page's rows stand. Mappings are whole memory pages, so the last one is whole too."""
    cdef size_t at = <size_t>page * CC_PAGE_BYTES
    if table == CC_TABLE_ACCOUNT:
        return <uint8_t *>t.account + at
    if table == CC_TABLE_COLD:
        return <uint8_t *>t.cold + at
    if table == CC_TABLE_MEDIUM:
        return <uint8_t *>t.medium + at
    if table == CC_TABLE_MERCHANT:
        return <uint8_t *>t.merchant + at
    if table == CC_TABLE_TERMINAL:
        return <uint8_t *>t.terminal + at
    if table == CC_TABLE_HOLD:
        return <uint8_t *>t.hold + at
    if table == CC_TABLE_UNDO:
        return <uint8_t *>t.undo + at
    if table == CC_TABLE_REQUEST:
        return <uint8_t *>t.request + at
    if table == CC_TABLE_SCHEDULED:
        return <uint8_t *>t.scheduled + at
    return <uint8_t *>t.keys + at


cdef bint page_take_dirty(cc_tables *t, uint32_t table, uint32_t page) noexcept nogil:
    """Whether a row of the page changed since the last call; it counts as clean then."""
    cdef uint8_t *dirty = t.dirty[table]
    cdef uint64_t seen = 0, part
    cdef uint32_t rows = page_rows(table), i
    if table == CC_TABLE_LEDGER or table == CC_TABLE_RULES:
        return True
    if table == CC_TABLE_KEYS:
        seen = dirty[page]
        dirty[page] = 0
        return seen != 0
    dirty += <size_t>page * rows
    for i in range(0, rows, 8):
        memcpy(&part, dirty + i, 8)
        seen |= part
    if seen != 0:
        memset(dirty, 0, rows)
    return seen != 0


cdef uint32_t batch_of_keys(const cc_tables *t, uint32_t page) noexcept nogil:
    """The batch whose entries stand in a page of keys now, 0 none."""
    cdef uint32_t slot = page // PAGES_PER_SLOT
    cdef const cc_terminal *r = &t.terminal[slot // SLOTS]
    if (r.batch_no & 1) == (slot & 1):
        return r.batch_no
    return r.prev_batch_no


cdef void page_copy(
    const cc_tables *t, uint32_t table, uint32_t page, cc_page *out,
) noexcept nogil:
    """Copy a page's rows as they stand. seq and checksum are the caller's."""
    cdef cc_rules_page *rules
    out.batch_no = 0
    if table == CC_TABLE_LEDGER:
        memcpy(out.bytes, t.ledger, CC_PAGE_BYTES)
        return
    if table == CC_TABLE_RULES:
        memset(out.bytes, 0, CC_PAGE_BYTES)
        rules = <cc_rules_page *>out.bytes
        rules.rules, rules.meals = t.rules, t.meals
        memcpy(rules.category, t.category, CC_CATEGORIES)
        return
    memcpy(out.bytes, page_rows_at(t, table, page), CC_PAGE_BYTES)
    if table == CC_TABLE_KEYS:
        out.batch_no = batch_of_keys(t, page)


cdef bint stamped(uint32_t table) noexcept nogil:
    return table != CC_TABLE_KEYS and table != CC_TABLE_REQUEST and table != CC_TABLE_RULES


cdef uint32_t page_checksum(const cc_page *page, uint32_t table, uint32_t number) noexcept nogil:
    cdef uint64_t name = <uint64_t>table << 32 | number
    cdef uint32_t crc = crc32c(0, &name, sizeof(name))
    crc = crc32c(crc, page, 12)
    return crc32c(crc, page.bytes, CC_PAGE_BYTES)


cdef void page_seal(cc_page *page, uint32_t table, uint32_t number) noexcept nogil:
    """Zero the stamps and set the checksum, which covers the page's name too."""
    cdef uint32_t stride, at
    if stamped(table):
        stride = sizeof(cc_ledger)
        if table != CC_TABLE_LEDGER:
            stride = CC_PAGE_BYTES // page_rows(table)
        at = stride
        while at <= CC_PAGE_BYTES:
            memset(page.bytes + at - 4, 0, 4)
            at += stride
    page.crc32c = page_checksum(page, table, number)


cdef bint page_sound(const cc_page *page, uint32_t table, uint32_t number) noexcept nogil:
    return page.crc32c == page_checksum(page, table, number)


cdef void rows_reached(cc_tables *t, uint32_t table, uint32_t page) noexcept nogil:
    """Count the rows of a restored page that are used; a fuzzy page may be ahead of the counts."""
    cdef uint32_t rows = page_rows(table), i, last = 0
    cdef size_t stride = CC_PAGE_BYTES // rows, j
    cdef uint8_t *at = page_rows_at(t, table, page)
    cdef uint8_t seen
    for i in range(rows):
        seen = 0
        for j in range(stride):
            seen |= at[i * stride + j]
        if seen != 0:
            last = page * rows + i + 1
    if table == CC_TABLE_ACCOUNT or table == CC_TABLE_COLD:
        t.accounts = max(t.accounts, last)
    elif table == CC_TABLE_MEDIUM:
        t.media = max(t.media, last)
    elif table == CC_TABLE_MERCHANT:
        t.merchants = max(t.merchants, last)
    elif table == CC_TABLE_TERMINAL:
        t.terminals = max(t.terminals, last)
    elif table == CC_TABLE_HOLD:
        t.holds = max(t.holds, last)
    elif table == CC_TABLE_UNDO:
        t.undos = max(t.undos, last)
    elif table == CC_TABLE_SCHEDULED:
        t.schedules = max(t.schedules, last)


cdef bint page_restore(
    cc_tables *t, uint32_t table, uint32_t page, const cc_page *source,
) noexcept nogil:
    """Put a page's rows back; False when they are KEYS of a batch the terminal's row lacks.

    Such entries are of a batch that was over before, or of one whose sign-in replay will meet.
    """
    cdef const cc_rules_page *rules
    if table == CC_TABLE_LEDGER:
        memcpy(t.ledger, source.bytes, CC_PAGE_BYTES)
        return True
    if table == CC_TABLE_RULES:
        rules = <const cc_rules_page *>source.bytes
        t.rules, t.meals = rules.rules, rules.meals
        memcpy(t.category, rules.category, CC_CATEGORIES)
        return True
    if table == CC_TABLE_KEYS and source.batch_no != batch_of_keys(t, page):
        return False
    memcpy(page_rows_at(t, table, page), source.bytes, CC_PAGE_BYTES)
    if table != CC_TABLE_KEYS and table != CC_TABLE_REQUEST:
        rows_reached(t, table, page)
    return True


cdef void counts_take(const cc_tables *t, cc_counts *counts) noexcept nogil:
    counts.accounts, counts.media, counts.merchants = t.accounts, t.media, t.merchants
    counts.terminals, counts.holds, counts.undos = t.terminals, t.holds, t.undos
    counts.requests, counts.request_next = t.requests, t.request_next
    counts.schedules = t.schedules
