/* Faults that the crash tests must find, in builds made for that only (-DCC_SABOTAGE).
 *
 * In every other build the question is the constant 0 and the compiler drops what it guards. */
#ifndef CC_SABOTAGE_H
#define CC_SABOTAGE_H

#ifdef CC_SABOTAGE
#include <stdlib.h>
#include <string.h>
static inline int cc_sabotaged(const char *what)
{
    const char *chosen = getenv("CC_SABOTAGE");
    return chosen && !strcmp(chosen, what);
}
#else
#define cc_sabotaged(what) ((void)(what), 0)
#endif

#endif
