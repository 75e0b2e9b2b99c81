/* What a thread tells the operating system of itself: its name. */
#ifndef CC_TURNS_H
#define CC_TURNS_H

#include <sys/prctl.h>

/* `name`: at most 15 bytes, as `top -H` shows it. */
static inline void cc_thread_named(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

#endif
