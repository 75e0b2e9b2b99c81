"""The cache of older batches' keys: who gets a place in it."""

from libc.stdint cimport int64_t, uint32_t

from ext.tables cimport cc_old_batch, cc_tables


# A place for a batch that is not in the cache, its entries zeroed and it LOADING; NULL when the
# batch is there already, or every place is being read into.
cdef cc_old_batch *batch_claim(
    cc_tables *t, uint32_t terminal, uint32_t batch_no) noexcept nogil
cdef void batch_unclaim(cc_old_batch *slot) noexcept nogil
# Its entries are complete: decisions may use them.
cdef void batch_loaded(
    cc_tables *t, uint32_t terminal, uint32_t batch_no, int64_t sign_in_us) noexcept nogil
