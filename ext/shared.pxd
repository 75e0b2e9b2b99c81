"""What the threads of one engine share, and who may write which part of it."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.atomics cimport cc_bell, monotonic_ns
from ext.checkpoint cimport cc_checkpoint
from ext.clocks cimport cc_clock
from ext.digest cimport iovec
from ext.feed cimport cc_outbox
from ext.jobs cimport cc_job, cc_jobs
from ext.journal cimport cc_journal
from ext.records cimport cc_block_trailer
from ext.ring cimport cc_ring
from ext.tables cimport cc_block, cc_tables

cdef enum:
    CC_REASONS_COUNTED = 256
    CC_SIZE_CLASSES = 14         # block sizes 1, 2, 4 ... 8192
    CC_TIME_CLASSES = 24         # commit times 1, 2, 4 ... microseconds
    CC_SPACE_ALARM = 700         # permille of the journal's room: a flag in the stats
    CC_SPACE_FULL = 950          # no debits from here on
    CC_FLIGHTS = 3               # one waits for a later sync, one is committed, one is decided
    CC_AHEAD = 2                 # of them at most not committed yet

ctypedef struct cc_stand:        # where the tables stood when a block ended
    uint64_t seq
    int64_t time_us
    uint32_t date, rules
    uint64_t state_lo, state_hi

ctypedef struct cc_flight:       # a block on its way from decision to answer
    cc_block block
    cc_stand stand
    cc_block_trailer trailer
    iovec part[4]
    cc_outbox answers            # leave when the block is acknowledged
    cc_job *jobs_first           # for the reader, then
    cc_job *jobs_last
    int64_t began_ns, ended_ns   # from the first decision to the last answer let go
    int64_t decide_ns, seal_ns, append_ns

ctypedef struct cc_counters:     # by the sequencer, or who commits; read loosely by stats()
    uint64_t blocks, records, replays, commands
    uint64_t syncs               # for no block of their own: none came to bring one
    uint64_t decide_ns, hash_ns, commit_ns, answer_ns  # of work, each block once
    uint64_t taken               # commands from the queue,
    uint64_t queue_ns            # and how long they were in it until their block began
    uint64_t released            # answers that left with their blocks,
    uint64_t in_decide_ns, in_hash_ns, in_commit_ns  # and how long those were in each part of them
    uint64_t block_sizes[CC_SIZE_CLASSES]
    uint64_t commit_us[CC_TIME_CLASSES]
    uint64_t declines[CC_REASONS_COUNTED]
    int64_t slowest_block_ns     # decide to answer, since the counter was last cleared
    uint32_t space_permille

ctypedef struct cc_shared:
    cc_tables tables             # the sequencer's; before it runs, recovery's
    cc_ring ring                 # its bell wakes the sequencer for everything
    cc_jobs jobs
    cc_bell reader_bell
    cc_clock clock
    cc_journal journal           # the sequencer appends, everybody reads
    cc_checkpoint checkpoint
    cc_flight flight[CC_FLIGHTS]  # number n of them is flight[n % CC_FLIGHTS]
    uint64_t filled              # flights decided; the sequencer's, as is
    uint64_t handed              # up to here they are the committer's to commit
    uint64_t returned            # by the committer; when it is `handed`, the sequencer commits
    uint64_t sealed              # in order, by who decides or who commits; who seals has the chain
    uint64_t committed           # by who commits
    uint64_t landed              # released; by who commits
    cc_bell commit_bell          # wakes the committer
    uint32_t commit_stop         # no more will come
    uint32_t overlap_from        # records or waiting commands worth waking the committer for
    cc_counters counters
    int64_t append_until_ns      # when the append under way should be over, by earlier ones;
    int64_t seal_ns_each         # what sealing took a record: both estimates, read loosely
    uint8_t chain[32]            # of the newest block sealed
    uint64_t acknowledged_seq    # what is durable; who commits moves it
    uint64_t decided_seq         # of the newest block released, for head()
    int64_t decided_us           # block time of it
    uint32_t decided_date, decided_rules
    uint8_t head_chain[32]
    uint64_t state_lo, state_hi  # of that block, for head()
    uint32_t generation          # odd while head()'s fields change
    uint32_t draining            # set once: front ends refuse, the sequencer empties the queue
    uint32_t drained             # the sequencer has: nothing queued, nothing with the reader
    uint32_t stop                # end the threads
    uint32_t running             # the sequencer's loop is on
    uint32_t pause, paused       # asked to stand still between two blocks; it does
    int64_t monotonic_base_ns    # deadlines are milliseconds since then
    void *sha                    # the hashing context of who seals
    cc_job *resume               # came back, found the block full
    int64_t space_looked_ns      # when the sequencer last looked at the journal's room
    uint64_t space_step, space_written  # bytes after which it looks again; bytes since then


cdef cc_shared *shared_new() except NULL
cdef int shared_open(cc_shared *s, uint32_t block_max) except -1
cdef void shared_free(cc_shared *s) noexcept


cdef inline uint32_t deadline_of(const cc_shared *s, uint32_t left_ms) noexcept nogil:
    """A caller's remaining milliseconds as a time of the engine's clock; 0 none."""
    cdef uint32_t at
    if left_ms == 0:
        return 0
    at = <uint32_t>((monotonic_ns() - s.monotonic_base_ns) // 1000000) + left_ms
    return at if at != 0 else 1
