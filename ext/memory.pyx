"""Mapping the sequencer's tables at their configured maximum.

Rows never move and indexes are never rehashed, so a row number is a row for ever and no tap pays
for growth. Memory is taken from the kernel page by page, when a row is first written.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from ext.records cimport (
    CC_TABLE_ACCOUNT, CC_TABLE_COLD, CC_TABLE_HOLD, CC_TABLE_KEYS, CC_TABLE_MEDIUM,
    CC_TABLE_MERCHANT, CC_TABLE_REQUEST, CC_TABLE_SCHEDULED, CC_TABLE_TERMINAL, CC_TABLE_UNDO,
    CC_TERMINAL_SEQ_MAX, CC_BLOCK_MAX, cc_account, cc_account_cold, cc_hold, cc_key, cc_medium,
    cc_merchant, cc_request, cc_scheduled, cc_terminal, cc_undo,
)
from ext.tables cimport CC_OLD_BATCHES, CC_TABLE_COUNT, cc_due, cc_index, cc_tables

cdef extern from "<sys/mman.h>" nogil:
    enum:
        PROT_READ
        PROT_WRITE
        MAP_PRIVATE
        MAP_ANONYMOUS
        MAP_NORESERVE
        MADV_HUGEPAGE
    void *MAP_FAILED
    void *mmap(void *address, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t size)
    int madvise(void *address, size_t size, int advice)

# Rows one command may touch: four parts of three rows, office effects, the terminal's own.
cdef enum:
    TOUCHED_PER_RECORD = 6
    KEYS_PER_DIRTY = 64

cdef size_t HUGE_FROM = 4 << 20   # below this a huge page wastes more than it saves


cdef void *map_zero(size_t size) except NULL:
    cdef void *at = mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0,
    )
    if at == MAP_FAILED:
        raise MemoryError(f"cannot map {size} bytes of table")
    return at


cdef uint32_t slots_for(uint32_t rows) noexcept nogil:
    cdef uint64_t n = 16
    while n < <uint64_t>rows * 2:
        n *= 2
    return <uint32_t>n


cdef int index_open(cc_index *ix, uint32_t rows) except -1:
    cdef uint32_t slots = slots_for(rows)
    cdef size_t size = <size_t>slots * sizeof(uint32_t)
    ix.slot = <uint32_t *>map_zero(size)
    if size >= HUGE_FROM:
        madvise(ix.slot, size, MADV_HUGEPAGE)
    ix.mask = slots - 1
    ix.used = 0
    return 0


cdef void index_close(cc_index *ix) noexcept:
    if ix.slot != NULL:
        munmap(ix.slot, (<size_t>ix.mask + 1) * sizeof(uint32_t))
        ix.slot = NULL


cdef size_t row_bytes(const cc_tables *t, int table) noexcept nogil:
    """Bytes mapped for a table's rows."""
    if table == CC_TABLE_ACCOUNT:
        return (<size_t>t.accounts_max + 1) * sizeof(cc_account)
    if table == CC_TABLE_COLD:
        return (<size_t>t.accounts_max + 1) * sizeof(cc_account_cold)
    if table == CC_TABLE_MEDIUM:
        return (<size_t>t.media_max + 1) * sizeof(cc_medium)
    if table == CC_TABLE_MERCHANT:
        return (<size_t>t.merchants_max + 1) * sizeof(cc_merchant)
    if table == CC_TABLE_TERMINAL:
        return (<size_t>t.terminals_max + 1) * sizeof(cc_terminal)
    if table == CC_TABLE_HOLD:
        return (<size_t>t.holds_max + 1) * sizeof(cc_hold)
    if table == CC_TABLE_UNDO:
        return (<size_t>t.undos_max + 1) * sizeof(cc_undo)
    if table == CC_TABLE_REQUEST:
        return (<size_t>t.requests_max + 1) * sizeof(cc_request)
    if table == CC_TABLE_SCHEDULED:
        return (<size_t>t.schedules_max + 1) * sizeof(cc_scheduled)
    if table == CC_TABLE_KEYS:
        return (<size_t>t.terminals_max + 1) * 2 * (CC_TERMINAL_SEQ_MAX + 1) * sizeof(cc_key)
    return 0


cdef size_t dirty_bytes(const cc_tables *t, int table) noexcept nogil:
    """One byte a row; of the keys one byte for 64 entries."""
    if table == CC_TABLE_ACCOUNT or table == CC_TABLE_COLD:
        return <size_t>t.accounts_max + 1
    if table == CC_TABLE_MEDIUM:
        return <size_t>t.media_max + 1
    if table == CC_TABLE_MERCHANT:
        return <size_t>t.merchants_max + 1
    if table == CC_TABLE_TERMINAL:
        return <size_t>t.terminals_max + 1
    if table == CC_TABLE_HOLD:
        return <size_t>t.holds_max + 1
    if table == CC_TABLE_UNDO:
        return <size_t>t.undos_max + 1
    if table == CC_TABLE_REQUEST:
        return <size_t>t.requests_max + 1
    if table == CC_TABLE_SCHEDULED:
        return <size_t>t.schedules_max + 1
    if table == CC_TABLE_KEYS:
        return (<size_t>t.terminals_max + 1) * 2 * (CC_TERMINAL_SEQ_MAX + 1) // KEYS_PER_DIRTY
    return 64


cdef size_t due_bytes(const cc_tables *t) noexcept nogil:
    """Twice what can wait at once: stale items go when the list is full."""
    return (<size_t>t.holds_max + t.schedules_max + 1) * 2 * sizeof(cc_due)


cdef void *map_rows(cc_tables *t, int table) except NULL:
    cdef size_t size = row_bytes(t, table)
    cdef void *at = map_zero(size)
    if size >= HUGE_FROM and table != CC_TABLE_KEYS and table != CC_TABLE_COLD:
        madvise(at, size, MADV_HUGEPAGE)
    return at


cdef int tables_open(cc_tables *t, const cc_bounds *bounds) except -1:
    """Map empty tables. Raises MemoryError; call tables_close after any outcome."""
    cdef int table
    memset(t, 0, sizeof(cc_tables))
    t.accounts_max, t.media_max = bounds.accounts, bounds.media
    t.merchants_max, t.terminals_max = bounds.merchants, bounds.terminals
    t.holds_max, t.undos_max, t.requests_max = bounds.holds, bounds.undos, bounds.requests
    t.schedules_max = bounds.schedules
    t.accounts = t.media = t.merchants = t.terminals = t.holds = t.undos = 1
    t.requests = t.request_next = t.schedules = 1
    t.account = <cc_account *>map_rows(t, CC_TABLE_ACCOUNT)
    t.cold = <cc_account_cold *>map_rows(t, CC_TABLE_COLD)
    t.medium = <cc_medium *>map_rows(t, CC_TABLE_MEDIUM)
    t.merchant = <cc_merchant *>map_rows(t, CC_TABLE_MERCHANT)
    t.terminal = <cc_terminal *>map_rows(t, CC_TABLE_TERMINAL)
    t.hold = <cc_hold *>map_rows(t, CC_TABLE_HOLD)
    t.undo = <cc_undo *>map_rows(t, CC_TABLE_UNDO)
    t.request = <cc_request *>map_rows(t, CC_TABLE_REQUEST)
    t.scheduled = <cc_scheduled *>map_rows(t, CC_TABLE_SCHEDULED)
    t.keys = <cc_key *>map_rows(t, CC_TABLE_KEYS)
    for table in range(1, CC_TABLE_COUNT):
        t.dirty[table] = <uint8_t *>map_zero(dirty_bytes(t, table))
    index_open(&t.medium_index, t.media_max + 1)
    index_open(&t.terminal_index, t.terminals_max + 1)
    index_open(&t.hold_index, t.holds_max + 1)
    index_open(&t.undo_index, t.undos_max + 1)
    index_open(&t.request_index, t.requests_max + 1)
    index_open(&t.schedule_index, t.schedules_max + 1)
    t.hold_stack = <uint32_t *>map_zero((<size_t>t.holds_max + 1) * sizeof(uint32_t))
    t.schedule_stack = <uint32_t *>map_zero((<size_t>t.schedules_max + 1) * sizeof(uint32_t))
    t.due = <cc_due *>map_zero(due_bytes(t))
    t.touched_max = CC_BLOCK_MAX * TOUCHED_PER_RECORD
    t.touched = <uint64_t *>map_zero(<size_t>t.touched_max * sizeof(uint64_t))
    t.stamp = 1
    return 0


cdef void unmap(void *at, size_t size) noexcept:
    if at != NULL:
        munmap(at, size)


cdef void tables_close(cc_tables *t) noexcept:
    """Unmap everything that tables_open mapped, also after a failure half way."""
    cdef int table
    cdef uint32_t i
    unmap(t.account, row_bytes(t, CC_TABLE_ACCOUNT))
    unmap(t.cold, row_bytes(t, CC_TABLE_COLD))
    unmap(t.medium, row_bytes(t, CC_TABLE_MEDIUM))
    unmap(t.merchant, row_bytes(t, CC_TABLE_MERCHANT))
    unmap(t.terminal, row_bytes(t, CC_TABLE_TERMINAL))
    unmap(t.hold, row_bytes(t, CC_TABLE_HOLD))
    unmap(t.undo, row_bytes(t, CC_TABLE_UNDO))
    unmap(t.request, row_bytes(t, CC_TABLE_REQUEST))
    unmap(t.scheduled, row_bytes(t, CC_TABLE_SCHEDULED))
    unmap(t.keys, row_bytes(t, CC_TABLE_KEYS))
    for table in range(1, CC_TABLE_COUNT):
        unmap(t.dirty[table], dirty_bytes(t, table))
    index_close(&t.medium_index)
    index_close(&t.terminal_index)
    index_close(&t.hold_index)
    index_close(&t.undo_index)
    index_close(&t.request_index)
    index_close(&t.schedule_index)
    unmap(t.hold_stack, (<size_t>t.holds_max + 1) * sizeof(uint32_t))
    unmap(t.schedule_stack, (<size_t>t.schedules_max + 1) * sizeof(uint32_t))
    unmap(t.due, due_bytes(t))
    unmap(t.touched, <size_t>t.touched_max * sizeof(uint64_t))
    for i in range(CC_OLD_BATCHES):
        unmap(t.old_batch[i].keys, (CC_TERMINAL_SEQ_MAX + 1) * sizeof(cc_key))
    memset(t, 0, sizeof(cc_tables))
