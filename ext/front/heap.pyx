"""Blocks of nghttp2, by steps of 64 bytes; those larger than a call's are malloc's."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from ext.front.nghttp2 cimport nghttp2_mem

cdef extern from *:
    """
    /* Where memory is checked, every block is malloc's own: one freed and used again is seen. */
    #if defined(__SANITIZE_ADDRESS__)
    enum { CC_HEAP_KEPT = 0 };
    #else
    enum { CC_HEAP_KEPT = 262144 };
    #endif
    """
    enum:
        CC_HEAP_KEPT         # bytes of one size that are not given back

cdef enum:
    HEAD = 16                # before each block: its size's number
    STEP = 64


cdef inline size_t bytes_of(uint32_t number) noexcept nogil:
    return <size_t>STEP * (number + 1)


cdef void *take(size_t length, void *user) noexcept nogil:
    cdef cc_heap *heap = <cc_heap *>user
    cdef cc_block *block
    cdef uint32_t number
    if length > <size_t>-1 - HEAD:
        return NULL
    number = <uint32_t>min(<size_t>HEAP_SIZES, (length + HEAD - 1) // STEP)
    if number == HEAP_SIZES:
        block = <cc_block *>malloc(length + HEAD)
    elif heap.spare[number] != NULL:
        block = heap.spare[number]
        heap.spare[number] = block.next
        heap.kept[number] -= bytes_of(number)
    else:
        block = <cc_block *>malloc(bytes_of(number))
    if block == NULL:
        return NULL
    (<uint32_t *>block)[0] = number
    return <char *>block + HEAD


cdef void give(void *at, void *user) noexcept nogil:
    cdef cc_heap *heap = <cc_heap *>user
    cdef cc_block *block
    cdef uint32_t number
    if at == NULL:
        return
    block = <cc_block *>(<char *>at - HEAD)
    number = (<uint32_t *>block)[0]
    if number == HEAP_SIZES or heap.kept[number] + bytes_of(number) > CC_HEAP_KEPT:
        free(block)
        return
    heap.kept[number] += bytes_of(number)
    block.next = heap.spare[number]
    heap.spare[number] = block


cdef void *take_clean(size_t count, size_t length, void *user) noexcept nogil:
    cdef void *at
    if length != 0 and count > <size_t>-1 // length:
        return NULL
    at = take(count * length, user)
    if at != NULL:
        memset(at, 0, count * length)
    return at


cdef void *take_more(void *at, size_t length, void *user) noexcept nogil:
    cdef cc_block *block
    cdef void *made
    cdef uint32_t number
    if at == NULL:
        return take(length, user)
    if length > <size_t>-1 - HEAD:
        return NULL
    block = <cc_block *>(<char *>at - HEAD)
    number = (<uint32_t *>block)[0]
    if number == HEAP_SIZES:
        block = <cc_block *>realloc(block, length + HEAD)
        return <char *>block + HEAD if block != NULL else NULL
    if length + HEAD <= bytes_of(number):
        return at
    made = take(length, user)
    if made != NULL:
        memcpy(made, at, bytes_of(number) - HEAD)
        give(at, user)
    return made


cdef void heap_open(cc_heap *heap) noexcept:
    memset(heap, 0, sizeof(cc_heap))
    heap.mem = nghttp2_mem(heap, take, give, take_clean, take_more)


cdef void heap_close(cc_heap *heap) noexcept:
    cdef cc_block *block
    cdef int number
    for number in range(HEAP_SIZES):
        while heap.spare[number] != NULL:
            block = heap.spare[number]
            heap.spare[number] = block.next
            free(block)
        heap.kept[number] = 0
