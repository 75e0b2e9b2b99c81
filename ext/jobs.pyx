"""The memory of the jobs between sequencer and reader."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from ext.digest cimport wipe
from ext.jobs cimport cc_job, cc_jobs, cc_lane


cdef int lane_open(cc_lane *l, uint32_t size) except -1:
    cdef uint64_t slots = 2
    while slots < size:
        slots *= 2
    l.slot = <cc_job **>calloc(slots, sizeof(cc_job *))
    if l.slot == NULL:
        raise MemoryError
    l.mask = slots - 1
    return 0


cdef int jobs_open(cc_jobs *j, uint32_t size) except -1:
    """Room for `size` jobs under way; memory is taken when a place is first used."""
    memset(j, 0, sizeof(cc_jobs))
    lane_open(&j.to_reader, size)
    lane_open(&j.to_sequencer, size)
    j.pool = <cc_job *>calloc(size, sizeof(cc_job))
    if j.pool == NULL:
        raise MemoryError
    j.size = size
    return 0


cdef void jobs_close(cc_jobs *j) noexcept:
    if j.pool != NULL:
        wipe(j.pool, j.used * sizeof(cc_job))
    free(j.pool)
    free(j.to_reader.slot)
    free(j.to_sequencer.slot)
    memset(j, 0, sizeof(cc_jobs))
