/* Words that several threads share, and sleeping on one of them.
 *
 * Loads acquire, stores release, everything that reads and writes is sequentially consistent.
 */
#ifndef CC_ATOMICS_H
#define CC_ATOMICS_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline uint32_t cc_load32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline uint64_t cc_load64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void cc_store32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void cc_store64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint32_t cc_swap32(uint32_t *p, uint32_t v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}
static inline uint32_t cc_add32(uint32_t *p, uint32_t v)
{
    return __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST);
}
static inline uint64_t cc_add64(uint64_t *p, uint64_t v)
{
    return __atomic_add_fetch(p, v, __ATOMIC_SEQ_CST);
}
static inline int cc_cas64(uint64_t *p, uint64_t *expected, uint64_t v)
{
    return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}
static inline void *cc_load_pointer(void **p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void *cc_swap_pointer(void **p, void *v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}
static inline int cc_cas_pointer(void **p, void **expected, void *v)
{
    return __atomic_compare_exchange_n(p, expected, v, 0, __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE);
}
static inline void cc_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static inline int64_t cc_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void cc_sleep_ns(int64_t ns)
{
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    nanosleep(&t, NULL);
}

static inline int64_t cc_realtime_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* A spinning thread's breath. */
static inline void cc_cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* GCC takes a function that does nothing but prefetch for one without effect, and drops the call
 * (seen with 12.2); the empty statement keeps it. */
static inline void cc_prefetch(const void *p)
{
    __builtin_prefetch(p, 1, 3);
    __asm__ volatile("");
}

/* A bell wakes the one thread that sleeps on it. The sleeper says so with cc_bell_arm, looks at its
 * work once more, and only then calls cc_bell_wait: whoever brings work and rings either is seen by
 * that last look or sees the sleeper. Ringing costs a fence while nobody sleeps. */
typedef struct { uint32_t asleep, spare[15]; } cc_bell;

static inline void cc_bell_arm(cc_bell *bell)
{
    __atomic_store_n(&bell->asleep, 1, __ATOMIC_SEQ_CST);
    cc_fence();
}

static inline void cc_bell_disarm(cc_bell *bell) { cc_store32(&bell->asleep, 0); }

/* timeout_ns < 0: until rung. May return early for no reason, as any sleep may. */
static inline void cc_bell_wait(cc_bell *bell, int64_t timeout_ns)
{
    struct timespec t = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    syscall(SYS_futex, &bell->asleep, FUTEX_WAIT_PRIVATE, 1, timeout_ns < 0 ? NULL : &t, NULL, 0);
    cc_bell_disarm(bell);
}

static inline void cc_bell_ring(cc_bell *bell)
{
    cc_fence();
    if (__atomic_load_n(&bell->asleep, __ATOMIC_RELAXED) && cc_swap32(&bell->asleep, 0))
        syscall(SYS_futex, &bell->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif
