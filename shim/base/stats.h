/* What happened to the calls of a communicator: counters, and the reasons for leaving calls alone. */
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

/* Appends one JSON line of the counters to HIERMOE_STATS_FILE (%h host, %p pid, %r rank), if that is set. */
void stats_write(const hm_stats_t *stats, const hm_stats_owner_t *owner);

#endif
