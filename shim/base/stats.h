/* What happened to the calls of a communicator: counters, and the reasons for leaving calls alone.
 *
 * HIERMOE_STATS_FILE gets lines of JSON, each an object of its own:
 *   "event"  "interval": every HIERMOE_STATS_INTERVAL seconds for a communicator whose counters changed since its last
 *            line; "end": its last one, when it ends or the process exits. A killed process writes no "end".
 *   "time"   when the line was written: seconds since 1970, with milliseconds
 *   "host", "pid", "communicator" (its number in the process, from 0), "rank", "ranks": whose line it is
 *   "node", "nodes": where the rank sits, from 0, once its ranks have met; 0 nodes before
 *   "profile": name of the one in use, empty before the ranks have met; "version", "nccl": of the library, of NCCL
 *   "began": when the communicator was made, as "time"
 *   then the counters of stats.def, "depth" and "left"
 * Counters are those since the communicator was made: of the lines with one host, pid and communicator only the last
 * one counts. */
#ifndef HM_STATS_H
#define HM_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HM_STATS_DEPTHS 8   /* 0 to the deepest that HIERMOE_DEPTH takes, and one to spare */
#define HM_STATS_BUCKETS 25 /* of times, by powers of two; the last one has all longer ones */
#define HM_STATS_NODES 64   /* up to as many nodes bytes are counted by the node that they go to */
#define HM_STATS_NAME 64    /* of a profile, its end included */

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
#define HM_STAT_LIST(field, key, length, unit, help) _Atomic uint64_t field[length];
#include "stats.def"
    _Atomic uint64_t depth[HM_STATS_DEPTHS]; /* replaced calls by depth */
    _Atomic uint64_t left[HM_REASONS];       /* calls left alone by reason */
} hm_stats_t;

/* Milliseconds in whole microseconds; takes any double. */
static inline uint64_t stats_us(double ms)
{
    return ms > 0 ? ms < 1e12 ? (uint64_t)(ms * 1e3) : (uint64_t)1e15 : 0;
}

/* The bucket of a time: 0 for 0 us, i for less than 2^i us. */
static inline int stats_bucket(uint64_t us)
{
    int bits = us > 0 ? 64 - __builtin_clzll(us) : 0;
    return bits < HM_STATS_BUCKETS ? bits : HM_STATS_BUCKETS - 1;
}

/* Where the rank sits; nodes: 0 until its ranks have met. */
typedef struct hm_stats_seat {
    int node, nodes;
    char profile[HM_STATS_NAME];
} hm_stats_seat_t;

/* Whose counters they are. */
typedef struct hm_stats_owner {
    unsigned communicator; /* its number in this process */
    int rank, ranks;       /* 0 ranks: not known */
    int nccl;              /* version of NCCL as its header has it; 0: not known */
    int64_t began_ms;      /* when the communicator was made, ms since 1970 */
    hm_stats_seat_t seat;
} hm_stats_owner_t;

/* Now, in ms since 1970. */
int64_t stats_now_ms(void);

/* Counts a call left alone. true: the first one for this reason. */
static inline bool stats_left_count(hm_stats_t *stats, hm_reason_t reason)
{
    return atomic_fetch_add_explicit(&stats->left[reason], 1, memory_order_relaxed) == 0;
}

/* A time was read: of a replaced call, or of one left alone that was looked at. */
static inline void stats_time_add(hm_stats_t *stats, bool replaced, uint64_t us)
{
    atomic_fetch_add_explicit(replaced ? &stats->timed : &stats->plain_timed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(replaced ? &stats->timed_us : &stats->plain_timed_us, us, memory_order_relaxed);
    _Atomic uint64_t *bucket = replaced ? stats->times : stats->plain_times;
    atomic_fetch_add_explicit(&bucket[stats_bucket(us)], 1, memory_order_relaxed);
}

/* Bytes of a replaced call to a rank of `node`: what NCCL would have sent, and what is sent. */
static inline void stats_raw_add(hm_stats_t *stats, const hm_stats_seat_t *from, int node, uint64_t bytes)
{
    atomic_fetch_add_explicit(&stats->bytes_raw, bytes, memory_order_relaxed);
    if (node != from->node) atomic_fetch_add_explicit(&stats->bytes_raw_outer, bytes, memory_order_relaxed);
    if (from->nodes > HM_STATS_NODES) return;
    atomic_fetch_add_explicit(&stats->raw_to[node], bytes, memory_order_relaxed);
}

static inline void stats_sent_add(hm_stats_t *stats, const hm_stats_seat_t *from, int node, uint64_t bytes)
{
    atomic_fetch_add_explicit(&stats->bytes_sent, bytes, memory_order_relaxed);
    if (node != from->node) atomic_fetch_add_explicit(&stats->bytes_sent_outer, bytes, memory_order_relaxed);
    if (from->nodes > HM_STATS_NODES) return;
    atomic_fetch_add_explicit(&stats->sent_to[node], bytes, memory_order_relaxed);
}

/* Copies counters that other threads may be adding to. Returns their sum, which differs whenever they do: they only
 * grow. */
uint64_t stats_copy(hm_stats_t *to, const hm_stats_t *from);

/* Adds counters to others that no other thread adds to meanwhile. */
void stats_sum(hm_stats_t *to, const hm_stats_t *from);

/* The words of "event". */
typedef enum hm_stats_event { HM_STATS_INTERVAL, HM_STATS_END } hm_stats_event_t;

/* Appends one JSON line of the counters to HIERMOE_STATS_FILE (%h host, %p pid, %r rank), if that is set. Where that
 * fails it is said, once. */
void stats_write(const hm_stats_t *stats, const hm_stats_owner_t *owner, hm_stats_event_t event);

#endif
