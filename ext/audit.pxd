"""Looks at a segment's LMDB file before LMDB does, without trusting a byte of it.

LMDB 0.9 has no checksums: a flipped bit in a meta page can make yesterday's tree the newest one,
a flipped bit in the list of free pages lets the next commit overwrite a block. Every commit of
ours adds exactly one block, so a sound file satisfies more than LMDB asks for, and that is checked:
the number of blocks is the number of commits; both meta pages are one commit apart; the blocks'
sequence has no gap; every page belongs to one block, to the trees or to the free list, and to
one of them only. What a block says is not looked at here: it carries its own checksums.
"""

from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    CC_ORPHANS_MAX = 8

ctypedef struct cc_audit:
    const char *finding         # NULL: sound
    uint64_t bad_seq            # where; 0: in a meta page, which belongs to no seq
    uint64_t blocks             # in the newest tree
    uint64_t first_seq, last_seq  # only after audit_tree
    uint64_t last_page          # highest page number in use
    bint later                  # the older meta page may be of a later commit
    # Blocks in pages that nothing refers to and that may follow on the newest: of a commit that
    # reached the disk but for its meta page. Nearly always none, and only their shape is sound.
    int orphans
    const uint8_t *orphan[CC_ORPHANS_MAX]
    uint64_t orphan_length[CC_ORPHANS_MAX]

# The meta pages only: cheap, for every segment at start. 0 or -1 with a finding.
cdef int audit_meta(const uint8_t *file, size_t size, cc_audit *out) noexcept nogil
# Both trees, every page. 0 or -1 with a finding.
cdef int audit_tree(const uint8_t *file, size_t size, cc_audit *out) noexcept nogil
# The file of state/, whose commits add no blocks: both trees, every page. 0 or -1 with a finding.
cdef int audit_rows(const uint8_t *file, size_t size, cc_audit *out) noexcept nogil
