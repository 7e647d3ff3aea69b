/* What happened to the calls of a communicator: counters, and the reasons for leaving calls alone.
 *
 * HIERMOE_STATS_FILE gets lines of JSON, each an object of its own:
 *   "event"  "interval": every HIERMOE_STATS_INTERVAL seconds for a communicator whose counters changed since its last
 *            line; "end": its last one, when it ends or the process exits. A killed process writes no "end".
 *   "time"   when the line was written: seconds since 1970, with milliseconds
 *   "host", "pid", "communicator" (its number in the process, from 0), "rank", "ranks": whose line it is
 *   then the counters of stats.def, "depth" and "left"
 * Counters are those since the communicator was made: of the lines with one host, pid and communicator only the last
 * one counts. */
#ifndef HM_STATS_H
#define HM_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HM_STATS_DEPTHS 8 /* 0 to the deepest that HIERMOE_DEPTH takes, and one to spare */

typedef enum hm_reason {
#define HM_REASON(id, text) HM_REASON_##id,
#include "reasons.def"
    HM_REASONS
} hm_reason_t;

/* Plain words for a reason, from the one table. */
const char *stats_reason_text(hm_reason_t reason);
/* The reason's identifier as in reasons.def, lower case: the key in statistics. */
const char *stats_reason_name(hm_reason_t reason);

typedef struct hm_stats {
#define HM_STAT(field, key, unit, help) _Atomic uint64_t field;
#include "stats.def"
    _Atomic uint64_t depth[HM_STATS_DEPTHS]; /* replaced calls by depth */
    _Atomic uint64_t left[HM_REASONS];       /* calls left alone by reason */
} hm_stats_t;

/* Milliseconds in whole microseconds; takes any double. */
static inline uint64_t stats_us(double ms)
{
    return ms > 0 ? ms < 1e12 ? (uint64_t)(ms * 1e3) : (uint64_t)1e15 : 0;
}

/* Whose counters they are. */
typedef struct hm_stats_owner {
    unsigned communicator; /* its number in this process */
    int rank, ranks;       /* 0 ranks: not known */
} hm_stats_owner_t;

/* Counts a call left alone. true: the first one for this reason. */
static inline bool stats_left_count(hm_stats_t *stats, hm_reason_t reason)
{
    return atomic_fetch_add_explicit(&stats->left[reason], 1, memory_order_relaxed) == 0;
}

/* Copies counters that other threads may be adding to. Returns their sum, which differs whenever they do: they only
 * grow. */
uint64_t stats_copy(hm_stats_t *to, const hm_stats_t *from);

/* The words of "event". */
typedef enum hm_stats_event { HM_STATS_INTERVAL, HM_STATS_END } hm_stats_event_t;

/* Appends one JSON line of the counters to HIERMOE_STATS_FILE (%h host, %p pid, %r rank), if that is set. Where that
 * fails it is said, once. */
void stats_write(const hm_stats_t *stats, const hm_stats_owner_t *owner, hm_stats_event_t event);

#endif
