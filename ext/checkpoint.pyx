"""Copying changed rows between blocks, and the thread that writes them."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from ext.atomics cimport (
    add32, bell_arm, bell_disarm, bell_ring, bell_wait, load32, load64, monotonic_ns, sleep_ns,
    store32, store64, swap32,
)
from ext.checkpoint cimport (
    CC_CHUNKS, CC_CHUNK_PAGES, CC_CHUNK_SCAN, cc_checkpoint, cc_chunk,
)
from ext.journal cimport journal_prepare
from ext.pages cimport (
    cc_page, counts_take, page_copy, page_count, page_rows, page_seal, page_take_dirty,
)
from ext.records cimport CC_TABLE_ACCOUNT, CC_TABLE_LEDGER, CC_TABLE_RULES
from ext.state cimport cc_state_meta, state_close, state_put_meta, state_put_pages
from ext.tables cimport CC_TABLE_COUNT, cc_tables

cdef enum:
    PART_PAGES = 32              # written at once beside commits
    RESTS = 3                    # times what a part took, so that commits find the disk free
    REST_MAX_NS = 20000000
    ACKNOWLEDGED_POLL_NS = 1000000


cdef int checkpoint_open(cc_checkpoint *cp, uint64_t every) except -1:
    """Memory for the chunks; the state itself is opened by who loads it."""
    cdef int i
    memset(cp, 0, sizeof(cc_checkpoint))
    cp.every = every
    for i in range(CC_CHUNKS):
        cp.chunk[i].key = <uint64_t *>malloc(CC_CHUNK_PAGES * sizeof(uint64_t))
        cp.chunk[i].page = <cc_page *>calloc(CC_CHUNK_PAGES, sizeof(cc_page))
        if cp.chunk[i].key == NULL or cp.chunk[i].page == NULL:
            raise MemoryError
    return 0


cdef void checkpoint_close(cc_checkpoint *cp) noexcept:
    cdef int i
    for i in range(CC_CHUNKS):
        free(cp.chunk[i].key)
        free(cp.chunk[i].page)
    state_close(&cp.state)
    memset(cp, 0, sizeof(cc_checkpoint))


cdef uint32_t checkpoint_request(cc_checkpoint *cp) noexcept nogil:
    """Ask for a checkpoint that starts after this call: its number, to compare with `served`."""
    cdef uint32_t number = add32(&cp.requests, 1)
    bell_ring(cp.sequencer)
    return number


# ---- the sequencer's part ----

cdef void checkpoint_start(
    cc_checkpoint *cp, const cc_tables *t, const uint8_t *chain,
) noexcept nogil:
    """Note where replay will have to start. `chain` is the chain hash of the block just ended."""
    cdef cc_state_meta *m = &cp.meta
    memset(m, 0, sizeof(cc_state_meta))
    m.start_seq = m.newest_seq = t.applied_seq
    m.time_us, m.business_date, m.rule_version = t.time_us, t.business_date, t.rule_version
    m.state_lo, m.state_hi = t.state_lo, t.state_hi
    m.blocks = t.blocks
    memcpy(m.chain, chain, 32)
    counts_take(t, &m.counts)
    cp.started_seq = t.applied_seq
    cp.started_count += 1
    cp.serving = load32(&cp.requests)
    cp.table, cp.page_at = CC_TABLE_ACCOUNT, 0
    cp.copying = True


cdef inline bint in_pages(uint32_t table) noexcept nogil:
    return page_rows(table) != 0 or table == CC_TABLE_LEDGER or table == CC_TABLE_RULES


cdef void checkpoint_copy(cc_checkpoint *cp, cc_tables *t) noexcept nogil:
    """Copy the next changed pages into a chunk, as they stand after the block just ended."""
    cdef cc_chunk *chunk = &cp.chunk[cp.filling]
    cdef uint32_t looked = 0
    cdef int64_t began = monotonic_ns()
    chunk.n = 0
    chunk.seq = t.applied_seq
    while cp.table < CC_TABLE_COUNT and chunk.n < CC_CHUNK_PAGES and looked < CC_CHUNK_SCAN:
        if not in_pages(cp.table) or cp.page_at >= page_count(t, cp.table):
            cp.table += 1
            cp.page_at = 0
            continue
        looked += 1
        if page_take_dirty(t, cp.table, cp.page_at):
            page_copy(t, cp.table, cp.page_at, &chunk.page[chunk.n])
            chunk.page[chunk.n].seq = t.applied_seq
            chunk.key[chunk.n] = <uint64_t>cp.table << 32 | cp.page_at
            chunk.n += 1
        cp.page_at += 1
    chunk.last = cp.table >= CC_TABLE_COUNT
    cp.copying = not chunk.last
    if chunk.n != 0 or chunk.last:
        cp.meta.newest_seq = t.applied_seq
        store32(&chunk.full, 1)
        cp.filling = (cp.filling + 1) % CC_CHUNKS
        bell_ring(&cp.bell)
    cp.slowest_step_ns = max(cp.slowest_step_ns, monotonic_ns() - began)


# ---- the checkpointer's thread ----

cdef bint await_acknowledged(cc_checkpoint *cp, const cc_chunk *chunk) noexcept nogil:
    """Until what the chunk's rows are as of is durable; False when told to stop before."""
    while load64(cp.acknowledged) < chunk.seq:
        if load32(&cp.stop) != 0:
            return False
        sleep_ns(ACKNOWLEDGED_POLL_NS)
    return True


cdef int write_some(
    cc_checkpoint *cp, cc_chunk *chunk, uint32_t first, uint32_t n,
) noexcept nogil:
    cdef int64_t began = monotonic_ns()
    cdef uint32_t i
    cdef int rc
    for i in range(first, first + n):
        page_seal(&chunk.page[i], <uint32_t>(chunk.key[i] >> 32), <uint32_t>chunk.key[i])
    rc = state_put_pages(&cp.state, chunk.key + first, chunk.page + first, n)
    if load32(&cp.hurry) == 0:
        sleep_ns(min(RESTS * (monotonic_ns() - began), <int64_t>REST_MAX_NS))
    return rc


cdef int write_chunk(cc_checkpoint *cp, cc_chunk *chunk) noexcept nogil:
    """Make a chunk durable, and with the last one the checkpoint. LMDB's code, 0 good.

    In parts with rests between: a commit waits for whatever else the disk has been given.
    """
    cdef uint32_t at = 0, n
    cdef int rc = 0
    while rc == 0 and at < chunk.n:
        n = chunk.n - at
        if load32(&cp.hurry) == 0:
            n = min(n, <uint32_t>PART_PAGES)
        rc = write_some(cp, chunk, at, n)
        at += n
    if rc == 0 and chunk.last:
        rc = state_put_meta(&cp.state, &cp.meta)
    return rc


cdef void complete(cc_checkpoint *cp) noexcept nogil:
    cdef uint32_t number = cp.serving
    store64(&cp.complete_seq, cp.meta.start_seq)
    # From here on the sequencer may start the next one, so `serving` was read before.
    store64(&cp.complete_count, cp.complete_count + 1)
    store32(&cp.served, number)


cdef void checkpoint_run(cc_checkpoint *cp) noexcept nogil:
    """The thread's body: write chunks in their order until told to stop.

    An error leaves state/ as it is until the next start: the engine goes on without checkpoints,
    since the journal has everything. The half-done one is harmless.
    """
    cdef uint32_t at = 0
    cdef cc_chunk *chunk
    cdef int rc
    while load32(&cp.stop) == 0:
        if swap32(&cp.prepare, 0) != 0:
            # Not fatal before the segment is needed; who watches the engine is told.
            store32(&cp.prepare_failed, <uint32_t>journal_prepare(cp.journal, &cp.hurry))
        chunk = &cp.chunk[at]
        if load32(&chunk.full) == 0:
            bell_arm(&cp.bell)
            if load32(&chunk.full) == 0 and load32(&cp.stop) == 0 and load32(&cp.prepare) == 0:
                bell_wait(&cp.bell, -1)
            bell_disarm(&cp.bell)
            continue
        if not await_acknowledged(cp, chunk):
            return
        rc = write_chunk(cp, chunk) if load32(&cp.failed) == 0 else 0
        if rc != 0:
            store32(&cp.failed, <uint32_t>rc)
        elif chunk.last and load32(&cp.failed) == 0:
            complete(cp)
        store32(&chunk.full, 0)
        bell_ring(cp.sequencer)
        at = (at + 1) % CC_CHUNKS
