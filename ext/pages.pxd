"""The state's unit on disk: neighbouring rows of one table, 1 KiB, with the seq they are as of."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.records cimport (
    CC_TABLE_ACCOUNT, CC_TABLE_COLD, CC_TABLE_HOLD, CC_TABLE_KEYS, CC_TABLE_MEDIUM,
    CC_TABLE_MERCHANT, CC_TABLE_REQUEST, CC_TABLE_SCHEDULED, CC_TABLE_TERMINAL, CC_TABLE_UNDO,
)
from ext.tables cimport cc_tables

cdef enum:
    CC_PAGE_BYTES = 1024

ctypedef struct cc_page:     # the value under table << 32 | page
    uint64_t seq             # the rows are as of
    uint32_t batch_no        # KEYS: the batch the entries belong to
    uint32_t crc32c          # of the fields above and the bytes
    uint8_t bytes[CC_PAGE_BYTES]

ctypedef struct cc_counts:   # first rows never used, and where the circle of requests stands
    uint32_t accounts, media, merchants, terminals, holds, undos, requests, request_next
    uint32_t schedules, spare


cdef inline uint32_t page_rows(uint32_t table) noexcept nogil:
    """Rows a page; of KEYS, entries. 0: the table is not kept in pages of rows."""
    if table == CC_TABLE_MEDIUM or table == CC_TABLE_UNDO or table == CC_TABLE_REQUEST:
        return 32
    if table == CC_TABLE_ACCOUNT or table == CC_TABLE_COLD or table == CC_TABLE_MERCHANT \
            or table == CC_TABLE_HOLD:
        return 16
    if table == CC_TABLE_TERMINAL or table == CC_TABLE_SCHEDULED:
        return 8
    return 64 if table == CC_TABLE_KEYS else 0


cdef uint32_t page_count(const cc_tables *t, uint32_t table) noexcept nogil
cdef uint32_t page_limit(const cc_tables *t, uint32_t table) noexcept nogil
cdef bint page_take_dirty(cc_tables *t, uint32_t table, uint32_t page) noexcept nogil
cdef void page_copy(
    const cc_tables *t, uint32_t table, uint32_t page, cc_page *out,
) noexcept nogil
cdef void page_seal(cc_page *page, uint32_t table, uint32_t number) noexcept nogil
cdef bint page_sound(const cc_page *page, uint32_t table, uint32_t number) noexcept nogil
cdef bint page_restore(
    cc_tables *t, uint32_t table, uint32_t page, const cc_page *source,
) noexcept nogil
cdef uint32_t batch_of_keys(const cc_tables *t, uint32_t page) noexcept nogil
cdef void counts_take(const cc_tables *t, cc_counts *counts) noexcept nogil
