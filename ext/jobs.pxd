"""What the sequencer cannot answer from RAM, passed to the reader and back.

Jobs come from a fixed pool that only the sequencer draws on, and each goes round: sequencer,
reader, sequencer. So neither direction can be full, and a command brought back is never refused.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.atomics cimport load64, store64
from ext.commands cimport cc_command
from ext.feed cimport cc_ticket
from ext.records cimport cc_key

cdef enum:
    CC_J_REPLAY = 1      # the first answer again, from the journal
    CC_J_ORIGINAL = 2    # put the original's records into the command, decide it then
    CC_J_BATCH = 3       # the keys of an older batch
    CC_J_HISTORY = 4     # a page along the account's chain

ctypedef struct cc_job:
    cc_job *next         # in a list of one thread
    uint32_t kind
    uint32_t op
    cc_ticket *ticket    # whose answer this is; BATCH: NULL
    uint64_t seq         # record wanted; BATCH: newest of the terminal; HISTORY: newest of the page
    uint64_t as_of_seq   # decided when the job was made
    uint32_t account, limit          # HISTORY
    uint32_t terminal, batch_no      # BATCH
    cc_key *keys                     # BATCH: where the entries go, the sequencer's
    int64_t sign_in_us               # BATCH: block time of its sign-in; 0: before the window
    cc_command command   # ORIGINAL

ctypedef struct cc_lane:             # one thread puts, one takes
    cc_job **slot
    uint64_t mask
    uint8_t pad0[64]
    uint64_t tail
    uint8_t pad1[64]
    uint64_t head

ctypedef struct cc_jobs:
    cc_job *pool
    cc_job *free                     # used before; the sequencer's
    uint32_t size, used              # used: places of the pool that ever were
    uint32_t busy                    # under way; the sequencer's count
    cc_lane to_reader, to_sequencer


cdef int jobs_open(cc_jobs *j, uint32_t size) except -1
cdef void jobs_close(cc_jobs *j) noexcept


cdef inline void lane_put(cc_lane *l, cc_job *job) noexcept nogil:
    """A lane has room for every job there is."""
    l.slot[l.tail & l.mask] = job
    store64(&l.tail, l.tail + 1)


cdef inline cc_job *lane_take(cc_lane *l) noexcept nogil:
    cdef cc_job *job
    if load64(&l.tail) == l.head:
        return NULL
    job = l.slot[l.head & l.mask]
    store64(&l.head, l.head + 1)
    return job


cdef inline bint lane_empty(cc_lane *l) noexcept nogil:
    return load64(&l.tail) == load64(&l.head)


cdef inline cc_job *job_new(cc_jobs *j) noexcept nogil:
    """NULL when all are under way. Sequencer."""
    cdef cc_job *job = j.free
    if job != NULL:
        j.free = job.next
    elif j.used < j.size:
        job = &j.pool[j.used]
        j.used += 1
    else:
        return NULL
    j.busy += 1
    return job


cdef inline void job_end(cc_jobs *j, cc_job *job) noexcept nogil:
    job.next = j.free
    j.free = job
    j.busy -= 1
