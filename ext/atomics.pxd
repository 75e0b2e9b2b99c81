"""Names of ext/atomics.h: words that several threads share, and sleeping on one of them."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "atomics.h" nogil:
    uint32_t load32 "cc_load32"(const uint32_t *p) noexcept
    uint64_t load64 "cc_load64"(const uint64_t *p) noexcept
    void store32 "cc_store32"(uint32_t *p, uint32_t v) noexcept
    void store64 "cc_store64"(uint64_t *p, uint64_t v) noexcept
    uint32_t swap32 "cc_swap32"(uint32_t *p, uint32_t v) noexcept
    uint32_t add32 "cc_add32"(uint32_t *p, uint32_t v) noexcept
    uint64_t add64 "cc_add64"(uint64_t *p, uint64_t v) noexcept
    bint cas64 "cc_cas64"(uint64_t *p, uint64_t *expected, uint64_t v) noexcept
    void *load_pointer "cc_load_pointer"(void **p) noexcept
    void *swap_pointer "cc_swap_pointer"(void **p, void *v) noexcept
    bint cas_pointer "cc_cas_pointer"(void **p, void **expected, void *v) noexcept
    void fence "cc_fence"() noexcept
    int64_t monotonic_ns "cc_monotonic_ns"() noexcept
    void sleep_ns "cc_sleep_ns"(int64_t ns) noexcept
    int64_t realtime_us "cc_realtime_us"() noexcept
    void cpu_pause "cc_cpu_pause"() noexcept
    void prefetch "cc_prefetch"(const void *p) noexcept

    ctypedef struct cc_bell:
        uint32_t asleep
    void bell_arm "cc_bell_arm"(cc_bell *bell) noexcept
    void bell_disarm "cc_bell_disarm"(cc_bell *bell) noexcept
    void bell_wait "cc_bell_wait"(cc_bell *bell, int64_t timeout_ns) noexcept
    void bell_ring "cc_bell_ring"(cc_bell *bell) noexcept
