"""Reading and writing state/.

Keys are table << 32 | page. Rows are overwritten in place, some a transaction: a checkpoint cut
short leaves rows newer than its predecessor's meta says, which a replay from there makes good.
"""

import mmap
import os

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from ext.audit cimport audit_rows, cc_audit
from ext.digest cimport crc32c, mix64
from ext.lmdb09 cimport (
    MDB_CREATE, MDB_FIRST, MDB_INTEGERKEY, MDB_NEXT, MDB_NOLOCK, MDB_NOTFOUND, MDB_RDONLY,
    MDB_cursor, MDB_txn, MDB_val, mdb,
)
from ext.pages cimport cc_page, page_limit, page_restore, page_sound
from ext.records cimport CC_TABLE_KEYS, CC_TABLE_REQUEST, CC_TERMINAL_SEQ_MAX
from ext.state cimport cc_state, cc_state_meta
from ext.tables cimport cc_tables

cdef enum:
    STATE_FORMAT = 2
    STATE_MODE = 0o600
    # What loading can find wrong, beside LMDB's own codes.
    DAMAGED_PAGE = 1
    DAMAGED_META = 2
    TOO_LARGE = 3

DAMAGE = {
    DAMAGED_PAGE: "a page fails its checksum",
    DAMAGED_META: "its summary fails its checksum",
    TOO_LARGE: "it holds more rows than the configured maximum",
}


class StateDamaged(Exception):
    """The checkpoint cannot be used; the journal can rebuild it."""


cdef int raise_for(int rc, str what) except -1:
    if rc == 0:
        return 0
    raise StateDamaged(f"{what}: {DAMAGE.get(rc) or mdb.strerror(rc).decode()}")


cdef int look_over(str path) except -1:
    """LMDB trusts its file: one damaged page number would end the process, at every start."""
    cdef const uint8_t[::1] file
    cdef cc_audit found
    cdef int rc
    try:
        fd = os.open(os.path.join(path, "data.mdb"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        if os.fstat(fd).st_size == 0:
            return 0
        file = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    finally:
        os.close(fd)
    with nogil:
        rc = audit_rows(&file[0], file.shape[0], &found)
    if rc != 0:
        raise StateDamaged(f"state: {found.finding.decode()}")
    return 0


cdef int state_open(cc_state *s, str path, size_t map_bytes) except -1:
    """Open or make the environment. Raises StateDamaged, OSError."""
    cdef MDB_txn *txn = NULL
    cdef int rc
    memset(s, 0, sizeof(cc_state))
    os.makedirs(path, mode=0o700, exist_ok=True)
    look_over(path)
    raise_for(mdb.env_create(&s.env), "state")
    rc = mdb.env_set_mapsize(s.env, map_bytes)
    if rc == 0:
        # No lock file: the data directory's own lock keeps every other process out.
        rc = mdb.env_open(s.env, os.fsencode(path), MDB_NOLOCK, STATE_MODE)
    if rc == 0:
        rc = mdb.txn_begin(s.env, NULL, 0, &txn)
    if rc == 0:
        rc = mdb.dbi_open(txn, NULL, MDB_INTEGERKEY | MDB_CREATE, &s.dbi)
        if rc == 0:
            rc = mdb.txn_commit(txn)
        else:
            mdb.txn_abort(txn)
    if rc != 0:
        state_close(s)
    return raise_for(rc, "state")


cdef void state_close(cc_state *s) noexcept:
    if s.env != NULL:
        mdb.env_close(s.env)
        s.env = NULL


# ---- loading ----

cdef uint32_t meta_checksum(const cc_state_meta *meta) noexcept nogil:
    return crc32c(0, meta, <size_t>(<const uint8_t *>&meta.crc32c - <const uint8_t *>meta))


cdef int read_meta(cc_state *s, MDB_txn *txn, cc_state_meta *meta) noexcept nogil:
    cdef uint64_t name = 0
    cdef MDB_val key, value
    cdef int rc
    key.mv_size, key.mv_data = sizeof(name), &name
    rc = mdb.get(txn, s.dbi, &key, &value)
    if rc != 0:
        return rc
    if value.mv_size != sizeof(cc_state_meta):
        return DAMAGED_META
    memcpy(meta, value.mv_data, sizeof(cc_state_meta))
    if meta.crc32c != meta_checksum(meta) or meta.format != STATE_FORMAT:
        return DAMAGED_META
    return 0


cdef void forget_key_sums(cc_tables *t) noexcept nogil:
    cdef uint32_t i
    for i in range(t.terminals):
        t.terminal[i].keys_sum[0] = t.terminal[i].keys_sum[1] = 0


cdef void sum_keys(cc_tables *t, uint32_t page, uint32_t batch_no) noexcept nogil:
    """Add a page's entries to the terminal's sum.

    A terminal's row and its entries may be as of different seqs; the sum is of what was loaded, so
    that replay can take entries out of it and put others in.
    """
    cdef size_t first = <size_t>page * 64, i
    cdef uint32_t slot = <uint32_t>(first >> 16)
    cdef uint64_t sum = 0
    for i in range(first, first + 64):
        sum += mix64(slot >> 1, batch_no, <uint32_t>(i & CC_TERMINAL_SEQ_MAX), &t.keys[i])
    t.terminal[slot >> 1].keys_sum[slot & 1] += sum


cdef int load_page(
    cc_tables *t, uint64_t name, const MDB_val *value, cc_state_meta *meta,
) noexcept nogil:
    cdef uint32_t table = <uint32_t>(name >> 32), page = <uint32_t>name
    cdef cc_page copy
    if value.mv_size != sizeof(cc_page):
        return DAMAGED_PAGE
    memcpy(&copy, value.mv_data, sizeof(cc_page))
    if not page_sound(&copy, table, page):
        return DAMAGED_PAGE
    if page >= page_limit(t, table):
        return TOO_LARGE
    if copy.seq > meta.newest_seq:
        meta.newest_seq = copy.seq
    if page_restore(t, table, page, &copy) and table == CC_TABLE_KEYS:
        sum_keys(t, page, copy.batch_no)
    return 0


cdef int load_pages(
    cc_state *s, MDB_txn *txn, cc_tables *t, cc_state_meta *meta,
) noexcept nogil:
    cdef MDB_cursor *cursor = NULL
    cdef MDB_val key, value
    cdef uint64_t name
    cdef bint summed = False
    cdef int rc = mdb.cursor_open(txn, s.dbi, &cursor)
    if rc != 0:
        return rc
    rc = mdb.cursor_get(cursor, &key, &value, MDB_FIRST)
    while rc == 0:
        if key.mv_size != sizeof(name):
            rc = DAMAGED_PAGE
            break
        memcpy(&name, key.mv_data, sizeof(name))
        # Tables come in the order of their numbers, so all terminals are there before their keys.
        if not summed and name >> 32 >= CC_TABLE_KEYS:
            forget_key_sums(t)
            summed = True
        if name != 0:
            rc = load_page(t, name, &value, meta)
        if rc == 0:
            rc = mdb.cursor_get(cursor, &key, &value, MDB_NEXT)
    mdb.cursor_close(cursor)
    if not summed:
        forget_key_sums(t)
    return 0 if rc == MDB_NOTFOUND else rc


cdef void settle_requests(cc_tables *t, const cc_state_meta *meta) noexcept nogil:
    """Empty the rows of requests newer than the start: replay deals them out in a circle again."""
    cdef uint32_t row
    t.requests, t.request_next = meta.counts.requests, meta.counts.request_next
    for row in range(1, t.requests_max + 1):
        if t.request[row].seq > meta.start_seq:
            memset(&t.request[row], 0, sizeof(t.request[row]))
            t.dirty[CC_TABLE_REQUEST][row] = 1
        elif row >= t.requests and t.request[row].seq == 0:
            break


cdef int state_load(cc_state *s, cc_tables *t, cc_state_meta *meta) except -1:
    """Fill empty tables; 0 when there is no checkpoint yet. Raises StateDamaged.

    Indexes, free lists and the due list are not rebuilt here. Rows may be as of any seq between
    meta.start_seq and meta.newest_seq; redoing the records from start_seq on evens them out.
    """
    cdef MDB_txn *txn = NULL
    cdef int rc
    memset(meta, 0, sizeof(cc_state_meta))
    raise_for(mdb.txn_begin(s.env, NULL, MDB_RDONLY, &txn), "state")
    with nogil:
        rc = read_meta(s, txn, meta)
        if rc == 0:
            t.accounts, t.media = meta.counts.accounts, meta.counts.media
            t.merchants, t.terminals = meta.counts.merchants, meta.counts.terminals
            t.holds, t.undos = meta.counts.holds, meta.counts.undos
            t.schedules = meta.counts.schedules
            rc = load_pages(s, txn, t, meta)
        mdb.txn_abort(txn)
    if rc == MDB_NOTFOUND:
        return 0
    raise_for(rc, "state")
    settle_requests(t, meta)
    t.applied_seq, t.time_us = meta.start_seq, meta.time_us
    t.business_date, t.blocks = meta.business_date, meta.blocks
    t.rule_version = meta.rule_version
    t.state_lo, t.state_hi = meta.state_lo, meta.state_hi
    return 1


# ---- writing: the checkpointer's thread ----

cdef int put(cc_state *s, MDB_txn *txn, uint64_t name, const void *at, size_t size) noexcept nogil:
    cdef MDB_val key, value
    key.mv_size, key.mv_data = sizeof(name), &name
    value.mv_size, value.mv_data = size, <void *>at
    return mdb.put(txn, s.dbi, &key, &value, 0)


cdef int state_put_pages(
    cc_state *s, const uint64_t *key, const cc_page *page, uint32_t n,
) noexcept nogil:
    """Write n pages in one durable transaction. LMDB's code, 0 good."""
    cdef MDB_txn *txn = NULL
    cdef uint32_t i
    cdef int rc = mdb.txn_begin(s.env, NULL, 0, &txn)
    if rc != 0:
        return rc
    for i in range(n):
        rc = put(s, txn, key[i], &page[i], sizeof(cc_page))
        if rc != 0:
            mdb.txn_abort(txn)
            return rc
    return mdb.txn_commit(txn)


cdef int state_put_meta(cc_state *s, cc_state_meta *meta) noexcept nogil:
    """Declare a checkpoint complete: from now on a start replays from meta.start_seq."""
    cdef MDB_txn *txn = NULL
    cdef int rc
    meta.format = STATE_FORMAT
    meta.crc32c = meta_checksum(meta)
    rc = mdb.txn_begin(s.env, NULL, 0, &txn)
    if rc != 0:
        return rc
    rc = put(s, txn, 0, meta, sizeof(cc_state_meta))
    if rc != 0:
        mdb.txn_abort(txn)
        return rc
    return mdb.txn_commit(txn)
