/* What a thread tells the operating system of itself: its name, and how long its turns are. */
#ifndef CC_TURNS_H
#define CC_TURNS_H

#include <sched.h>
#include <stdlib.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CC_SHORT_TURN_NS = 100000 };  /* the least that Linux takes */

/* `name`: at most 15 bytes, as `top -H` shows it. */
static inline void cc_thread_named(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/* A thread that works for microseconds and then sleeps says so: from Linux 6.12 on it need not wait
 * until the turn of another is over, some milliseconds. Others take no notice. */
static inline void cc_thread_prompt(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } turn = {.size = sizeof(turn)};
    if (syscall(SYS_sched_getattr, 0, &turn, sizeof(turn), 0) != 0 || turn.policy != SCHED_OTHER)
        return;  /* whoever chose otherwise knows why */
    if (getenv("NOPROMPT")) return;
    turn.runtime = CC_SHORT_TURN_NS;
    syscall(SYS_sched_setattr, 0, &turn, 0);
}

#endif
