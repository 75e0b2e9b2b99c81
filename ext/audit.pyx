"""Looks at a segment's LMDB file before LMDB does (see audit.pxd)."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from ext.blocks cimport BLOCK_OK, block_bytes, block_shape
from ext.lmdb09 cimport MDB_INTEGERKEY
from ext.records cimport CC_MAGIC, cc_block_header


cdef extern from "audit.h" nogil:
    enum:
        CC_PAGE
        CC_PAGE_HEAD
        CC_LMDB_MAGIC
        CC_LMDB_DATA_VERSION
        CC_P_BRANCH
        CC_P_LEAF
        CC_P_OVERFLOW
        CC_P_META
        CC_N_BIGDATA
    const uint64_t CC_NO_PAGE
    ctypedef struct cc_lmdb_page:
        uint64_t number
        uint16_t pad, flags, lower, upper
        uint16_t slot[1]
    ctypedef struct cc_lmdb_db:
        uint32_t pad
        uint16_t flags, depth
        uint64_t branch_pages, leaf_pages, overflow_pages, entries, root
    ctypedef struct cc_lmdb_meta:
        cc_lmdb_page page
        uint32_t magic, version
        uint64_t address, map_size
        cc_lmdb_db free, main
        uint64_t last_page, txn
    ctypedef struct cc_lmdb_node:
        uint16_t low, high, flags, key_size
        uint8_t key[1]
    uint64_t cc_load_word(const void *p) noexcept

cdef enum:
    DEPTH_MAX = 16
    # A commit begins its block within so many pages after the last one (SLACK_PAGES of segments).
    BEYOND = 32
    # Pages that LMDB counts behind the end of state/'s file: given out and back in one commit.
    UNWRITTEN_MAX = 65536
    TREE_BLOCKS = 0
    TREE_FREE = 1
    TREE_ROWS = 2

ctypedef struct cc_walk:
    const uint8_t *file
    uint64_t pages              # of the file
    uint64_t last_page          # in use
    uint8_t *seen               # one bit per page
    uint64_t marked
    const cc_lmdb_db *db
    int tree                    # which one is walked
    uint64_t branch_pages, leaf_pages, overflow_pages, entries
    uint64_t last_key, least_key
    uint64_t first_seq          # of the first block
    const uint8_t *value        # of the newest entry
    uint64_t value_length
    cc_audit *out               # where orphans go; NULL: they are not looked for
    const char *finding


cdef inline const cc_lmdb_meta *meta_at(const uint8_t *file, int slot) noexcept nogil:
    return <const cc_lmdb_meta*>(file + <size_t>slot * CC_PAGE)


# ---- the meta pages ----

cdef const char *_meta_finding(const cc_lmdb_meta *meta, uint64_t pages, int slot) noexcept nogil:
    if meta.page.flags != CC_P_META or meta.page.number != <uint64_t>slot:
        return b"meta page damaged"
    if meta.magic != CC_LMDB_MAGIC or meta.version != CC_LMDB_DATA_VERSION:
        return b"not an LMDB 0.9 file"
    if meta.free.pad != CC_PAGE or meta.free.flags != MDB_INTEGERKEY:
        return b"meta page damaged"
    if meta.txn != 0 and meta.main.flags != MDB_INTEGERKEY:
        return b"meta page damaged"
    if meta.txn != 0 and (meta.txn & 1) != <uint64_t>slot:
        return b"meta page damaged: commit number"
    if meta.last_page >= pages:
        return b"file shorter than its meta page says"
    return NULL


cdef int _fail(cc_audit *out, const char *finding, uint64_t seq) noexcept nogil:
    out.finding = finding
    out.bad_seq = seq
    return -1


cdef int audit_meta(const uint8_t *file, size_t size, cc_audit *out) noexcept nogil:
    cdef const char *finding
    cdef int slot
    memset(out, 0, sizeof(cc_audit))
    if size < 4 * CC_PAGE or size % CC_PAGE:
        return _fail(out, b"file too short for a segment", 0)
    for slot in range(2):
        finding = _meta_finding(meta_at(file, slot), size // CC_PAGE, slot)
        if finding != NULL:
            return _fail(out, finding, 0)
    cdef const cc_lmdb_meta *newest = _newest(file)
    cdef const cc_lmdb_meta *other = _other(file)
    if newest.txn != other.txn + 1:
        return _fail(out, b"meta pages are not one commit apart", 0)
    # The first commit makes the tree, each later one adds a block.
    if newest.main.entries != newest.txn - 1:
        return _fail(out, b"number of blocks differs from the number of commits", 0)
    if not _entries_of_other(other, newest):
        return _fail(out, b"number of blocks differs from the number of commits", 0)
    out.blocks = newest.main.entries
    out.last_page = newest.last_page
    out.later = _may_be_later(other, newest)
    return 0


cdef inline const cc_lmdb_meta *_newest(const uint8_t *file) noexcept nogil:
    return meta_at(file, 0) if meta_at(file, 0).txn > meta_at(file, 1).txn else meta_at(file, 1)


cdef inline const cc_lmdb_meta *_other(const uint8_t *file) noexcept nogil:
    return meta_at(file, 1) if meta_at(file, 0).txn > meta_at(file, 1).txn else meta_at(file, 0)


cdef bint _entries_of_other(
    const cc_lmdb_meta *other, const cc_lmdb_meta *newest,
) noexcept nogil:
    """The commit before, or the commit after under the number of two before.

    LMDB writes the latter when the write of a meta page fails: the new roots with the slot's old
    number. A single flipped bit of the number looks the same.
    """
    cdef uint64_t due = other.txn - 1 if other.txn else 0
    return other.main.entries == due or _may_be_later(other, newest)


cdef inline bint _may_be_later(
    const cc_lmdb_meta *other, const cc_lmdb_meta *newest,
) noexcept nogil:
    return other.main.entries == newest.main.entries + 1


# ---- the trees ----

cdef inline int _damaged(cc_walk *w, const char *finding) noexcept nogil:
    w.finding = finding
    return -1


cdef int _take(cc_walk *w, uint64_t page, uint64_t run) noexcept nogil:
    """Claim pages for one owner; a page claimed twice is damage."""
    cdef uint64_t i
    if page < 2 or page > w.last_page or run > w.last_page - page + 1:
        return _damaged(w, b"page number out of the file")
    for i in range(page, page + run):
        if w.seen[i >> 3] >> (i & 7) & 1:
            return _damaged(w, b"page used twice")
        w.seen[i >> 3] |= <uint8_t>(1 << (i & 7))
    w.marked += run
    return 0


cdef int _block(cc_walk *w, uint64_t key, const uint8_t *value, uint64_t length) noexcept nogil:
    """One entry of the main tree: a block that begins where the one before it ended."""
    cdef cc_block_header head
    if length < sizeof(head):
        return _damaged(w, b"block too short")
    memcpy(&head, value, sizeof(head))
    if block_shape(<const uint8_t*>&head, length) != BLOCK_OK:
        return _damaged(w, b"length differs from its header's")
    if head.last_seq != key or head.last_seq != head.first_seq + head.count - 1:
        return _damaged(w, b"block under the wrong seq")
    if w.entries == 0:
        w.first_seq = head.first_seq
    elif head.first_seq != w.last_key + 1:
        return _damaged(w, b"gap in the sequence")
    w.value = value
    w.value_length = length
    return 0


cdef int _free_pages(cc_walk *w, const uint8_t *value, uint64_t length) noexcept nogil:
    """One entry of the free list: a count and as many page numbers."""
    cdef uint64_t count, i
    if length < 8 or length % 8:
        return _damaged(w, b"free list damaged")
    count = cc_load_word(value)
    if count > length // 8 - 1:
        return _damaged(w, b"free list damaged")
    for i in range(count):
        if _take(w, cc_load_word(value + 8 * (i + 1)), 1) != 0:
            return -1
        if w.out != NULL:
            _look_for_orphan(w, cc_load_word(value + 8 * (i + 1)))
    return 0


cdef int _entry(cc_walk *w, const uint8_t *page, uint32_t at) noexcept nogil:
    """One node of a leaf page."""
    cdef const cc_lmdb_node *node = <const cc_lmdb_node*>(page + at)
    cdef const cc_lmdb_page *big
    cdef const uint8_t *value
    cdef uint64_t key, length, number, run
    if at + 24 > CC_PAGE or node.key_size != 8 or node.flags & ~<uint16_t>CC_N_BIGDATA:
        return _damaged(w, b"leaf page damaged")
    key = cc_load_word(node.key)
    if key < w.least_key or (w.entries and key <= w.last_key):
        return _damaged(w, b"keys out of order")
    length = node.low | <uint64_t>node.high << 16
    value = node.key + 8
    if node.flags & CC_N_BIGDATA:
        number = cc_load_word(value)
        run = (CC_PAGE_HEAD + length + CC_PAGE - 1) // CC_PAGE
        if _take(w, number, run) != 0:
            return -1
        if number + run > w.pages:
            return _damaged(w, b"page number out of the file")
        big = <const cc_lmdb_page*>(w.file + number * CC_PAGE)
        # An overflow page keeps its page count where others keep lower and upper.
        if (big.number != number or big.flags != CC_P_OVERFLOW
                or (big.lower | <uint64_t>big.upper << 16) != run):
            return _damaged(w, b"overflow page damaged")
        w.overflow_pages += run
        value = <const uint8_t*>big + CC_PAGE_HEAD
    elif at + 16 + length > CC_PAGE:
        return _damaged(w, b"leaf page damaged")
    if w.tree == TREE_BLOCKS and _block(w, key, value, length) != 0:
        return -1
    if w.tree == TREE_FREE and _free_pages(w, value, length) != 0:
        return -1
    w.entries += 1
    w.last_key = key
    w.least_key = 0
    return 0


cdef int _page(cc_walk *w, uint64_t number, int depth) noexcept nogil:
    """One branch or leaf page and everything below it, in order of keys."""
    cdef const uint8_t *page
    cdef const cc_lmdb_page *head
    cdef const cc_lmdb_node *node
    cdef bint leaf = depth == w.db.depth
    cdef uint32_t n, i, at
    if _take(w, number, 1) != 0:
        return -1
    if number >= w.pages:
        return _damaged(w, b"page number out of the file")
    page = w.file + number * CC_PAGE
    head = <const cc_lmdb_page*>page
    if head.number != number or head.flags != (CC_P_LEAF if leaf else CC_P_BRANCH):
        return _damaged(w, b"tree page damaged")
    if not (CC_PAGE_HEAD < head.lower <= head.upper <= CC_PAGE) or head.lower & 1:
        return _damaged(w, b"tree page damaged")
    n = (head.lower - CC_PAGE_HEAD) // 2
    w.leaf_pages += leaf
    w.branch_pages += not leaf
    for i in range(n):
        at = head.slot[i]
        if at < head.upper or at & 1 or at + 8 > CC_PAGE:
            return _damaged(w, b"tree page damaged")
        if leaf:
            if _entry(w, page, at) != 0:
                return -1
            continue
        node = <const cc_lmdb_node*>(page + at)
        # Of a branch page's keys the first stands for "less than all" and is not looked at.
        if i > 0:
            if node.key_size != 8 or at + 16 > CC_PAGE or cc_load_word(node.key) <= w.last_key:
                return _damaged(w, b"keys out of order")
            w.least_key = cc_load_word(node.key)
        if _page(w, node.low | <uint64_t>node.high << 16 | <uint64_t>node.flags << 32,
                 depth + 1) != 0:
            return -1
    return 0


cdef int _tree(cc_walk *w, const cc_lmdb_db *db, int tree) noexcept nogil:
    """One tree from its root; its page counts must be the ones its meta page states."""
    w.db = db
    w.tree = tree
    w.branch_pages = w.leaf_pages = w.overflow_pages = w.entries = 0
    w.last_key = w.least_key = 0
    if db.root == CC_NO_PAGE:
        if db.entries != 0:
            return _damaged(w, b"meta page damaged: no root")
        return 0
    if not 0 < db.depth <= DEPTH_MAX:
        return _damaged(w, b"meta page damaged: depth")
    if _page(w, db.root, 1) != 0:
        return -1
    if (w.entries != db.entries or w.branch_pages != db.branch_pages
            or w.leaf_pages != db.leaf_pages or w.overflow_pages != db.overflow_pages):
        return _damaged(w, b"tree differs from its meta page")
    return 0


cdef int _open_walk(cc_walk *w, const uint8_t *file, size_t size, uint64_t last) noexcept nogil:
    memset(w, 0, sizeof(cc_walk))
    w.file = file
    w.pages = size // CC_PAGE
    w.last_page = last
    w.seen = <uint8_t*>calloc(max(w.pages, last + 1) // 8 + 1, 1)
    return 0 if w.seen != NULL else -1


# ---- blocks that no tree leads to ----

cdef void _orphan(cc_audit *out, const uint8_t *value, uint64_t length) noexcept nogil:
    """Keep a block that may follow on the newest one."""
    cdef cc_block_header head
    if out.orphans == CC_ORPHANS_MAX or length < sizeof(head):
        return
    memcpy(&head, value, sizeof(head))
    if (head.magic == CC_MAGIC and block_shape(<const uint8_t*>&head, length) == BLOCK_OK
            and (head.first_seq == out.last_seq + 1 or out.last_seq == 0)):
        out.orphan[out.orphans] = value
        out.orphan_length[out.orphans] = length
        out.orphans += 1


cdef void _look_for_orphan(cc_walk *w, uint64_t number) noexcept nogil:
    """A page that holds nothing, or the block of a commit whose meta page is not there."""
    cdef const uint8_t *page = w.file + number * CC_PAGE
    cdef const cc_lmdb_page *head = <const cc_lmdb_page*>page
    cdef const cc_lmdb_node *node
    cdef cc_block_header block
    cdef uint64_t length, run
    cdef uint32_t at
    if head.number != number:
        return
    if head.flags == CC_P_OVERFLOW:
        run = head.lower | <uint64_t>head.upper << 16
        memcpy(&block, page + CC_PAGE_HEAD, sizeof(block))
        length = block_bytes(block.count, block.payload_len)
        if run <= w.pages - number and CC_PAGE_HEAD + length <= run * CC_PAGE:
            _orphan(w.out, page + CC_PAGE_HEAD, length)
    elif head.flags == CC_P_LEAF and CC_PAGE_HEAD < head.lower <= CC_PAGE and not head.lower & 1:
        # Blocks are appended: the newest is the last node.
        at = head.slot[(head.lower - CC_PAGE_HEAD) // 2 - 1]
        if at & 1 or at + 16 > CC_PAGE:
            return
        node = <const cc_lmdb_node*>(page + at)
        length = node.low | <uint64_t>node.high << 16
        if node.flags == 0 and node.key_size == 8 and at + 16 + length <= CC_PAGE:
            _orphan(w.out, node.key + 8, length)


cdef void _look_beyond(cc_walk *w) noexcept nogil:
    cdef uint64_t number
    for number in range(w.last_page + 1, min(w.last_page + 1 + BEYOND, w.pages)):
        _look_for_orphan(w, number)


cdef void _look_behind_meta(const uint8_t *file, size_t size, cc_audit *out) noexcept nogil:
    """The block behind the other meta page, when that has been written but for its number."""
    cdef const cc_lmdb_meta *other = _other(file)
    cdef cc_walk w
    if not out.later:
        return
    # The meta page's own idea of the last page is two commits old when LMDB wrote it back.
    if _open_walk(&w, file, size, size // CC_PAGE - 1) != 0:
        return
    if _tree(&w, &other.main, TREE_BLOCKS) == 0:
        _orphan(out, w.value, w.value_length)
    free(w.seen)


# ---- the whole file ----

cdef int audit_tree(const uint8_t *file, size_t size, cc_audit *out) noexcept nogil:
    cdef const cc_lmdb_meta *meta
    cdef cc_walk w
    if audit_meta(file, size, out) != 0:
        return -1
    meta = _newest(file)
    if _open_walk(&w, file, size, meta.last_page) != 0:
        return _fail(out, b"out of memory", 0)
    if _tree(&w, &meta.main, TREE_BLOCKS) != 0:
        free(w.seen)
        return _fail(out, w.finding, w.last_key + 1 if w.entries else 0)
    out.first_seq = w.first_seq
    out.last_seq = w.last_key
    w.out = out
    if _tree(&w, &meta.free, TREE_FREE) != 0:
        free(w.seen)
        return _fail(out, w.finding, out.last_seq)
    _look_beyond(&w)
    free(w.seen)
    if w.marked != meta.last_page - 1:
        return _fail(out, b"page that belongs to nothing", out.last_seq)
    _look_behind_meta(file, size, out)
    return 0


cdef int audit_rows(const uint8_t *file, size_t size, cc_audit *out) noexcept nogil:
    cdef const cc_lmdb_meta *meta
    cdef const char *finding
    cdef cc_walk w
    cdef int slot
    memset(out, 0, sizeof(cc_audit))
    if size < 2 * CC_PAGE or size % CC_PAGE:
        return _fail(out, b"file cut off", 0)
    for slot in range(2):
        finding = _meta_finding(meta_at(file, slot), size // CC_PAGE + UNWRITTEN_MAX, slot)
        if finding != NULL:
            return _fail(out, finding, 0)
    meta = _newest(file)
    if _open_walk(&w, file, size, meta.last_page) != 0:
        return _fail(out, b"out of memory", 0)
    if _tree(&w, &meta.main, TREE_ROWS) != 0 or _tree(&w, &meta.free, TREE_FREE) != 0:
        _fail(out, w.finding, 0)
    free(w.seen)
    return 0 if out.finding == NULL else -1


def audit(const uint8_t[::1] file not None, *, bint tree=True):
    """Return (finding, seq, first seq, last seq) of a segment's file; finding "" when sound."""
    cdef cc_audit out
    cdef const uint8_t *start = &file[0] if file.shape[0] else NULL
    if tree:
        audit_tree(start, file.shape[0], &out)
    else:
        audit_meta(start, file.shape[0], &out)
    finding = "" if out.finding == NULL else out.finding.decode()
    return finding, out.bad_seq, out.first_seq, out.last_seq
