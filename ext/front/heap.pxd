"""nghttp2's memory: freed blocks of a thread are its next ones, without a lock.

HTTP/2 needs some ten blocks for each call, of few sizes.
"""

from ext.front.nghttp2 cimport nghttp2_mem

cdef enum:
    HEAP_SIZES = 8           # 64, 128 ... 512 bytes

ctypedef struct cc_block:
    cc_block *next

ctypedef struct cc_heap:
    nghttp2_mem mem          # nghttp2's view
    cc_block *spare[HEAP_SIZES]
    size_t kept[HEAP_SIZES]  # bytes of these


cdef void heap_open(cc_heap *heap) noexcept
# After the last session.
cdef void heap_close(cc_heap *heap) noexcept
