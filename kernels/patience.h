/* How long a wait has lasted, without the time in which the process was stopped: batch systems suspend whole jobs, for
 * longer than any timeout. */
#ifndef HM_PATIENCE_H
#define HM_PATIENCE_H

#include <time.h>

#define HM_TURN_SECONDS 1.0 /* counted for a turn at most: a longer one means that the process was stopped */

typedef struct hm_patience {
    double last, spent; /* seconds */
} hm_patience_t;

static inline double patience_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline hm_patience_t patience_begin(void)
{
    return (hm_patience_t){.last = patience_clock()};
}

/* Ends a turn. Seconds spent so far. */
static inline double patience_turn(hm_patience_t *patience)
{
    double now = patience_clock(), turn = now - patience->last;
    patience->spent += turn < HM_TURN_SECONDS ? turn : HM_TURN_SECONDS;
    patience->last = now;
    return patience->spent;
}

#endif
