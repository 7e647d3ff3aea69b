/* How deep calls of one kind should go: plain and every depth are tried and compared by what they took.
 *
 * A race by successive elimination (Maron and Moore, Hoeffding races, NIPS 6, 1994): first each is asked twice, the
 * model's best depth before the others, then those that may still be the best by what is known of their noise, the
 * least asked first, until one is left or all have HM_RING times. Later the rivals are asked again now and then, as
 * often as a small share of the time allows; one that looks better begins a new race from nothing, so that neither old
 * times nor hiccups decide for good.
 *
 * Times are kept as ratios to what the model says of each call, so that calls of different sizes compare. An error of
 * the model that is the same for plain and all depths cancels. What the model says of their order saves asks: where the
 * first time agrees with it, one is enough, and a depth that it puts far behind waits for the end of the race, unless
 * the model is seen to be wrong. */
#ifndef HM_ARMS_H
#define HM_ARMS_H

#include "ring.h"
#include "topo.h"

#include <stdbool.h>

/* Depth 0 (plain) or a depth. */
typedef struct hm_arm {
    hm_ring_t ratio; /* time / model of the latest calls */
    uint32_t asked;  /* in this race and after it */
    uint32_t again;  /* asked as a rival since the race ended */
    uint64_t last;   /* number of the call that it was asked for last */
    uint64_t barred; /* not to be asked before this call */
    double cost_ms;  /* expected of the latest call; of a depth with what looking takes */
} hm_arm_t;

/* All zero: nothing is known. */
typedef struct hm_arms {
    hm_arm_t arm[HM_MAX_LEVELS + 1];
    int best;
    bool tried;   /* some depth was ever asked */
    bool sure;    /* the race is over */
    uint8_t seen; /* by depth, a bit each: times were ever known */
    uint64_t due; /* call from which on a rival is to be asked again, once sure */
} hm_arms_t;

/* A call to decide about. */
typedef struct hm_arms_call {
    int levels;             /* depths 1..levels can be had */
    uint64_t number;        /* of the call in its communicator */
    const double *model_ms; /* [levels + 1] of this call, each above 0 */
    double lead_ms;         /* what looking takes in the middle */
    double unit_ms;         /* what a call takes in the middle: the time by which rivals are rationed; 0: not known */
} hm_arms_call_t;

/* The depth for a call. */
int arms_choose(hm_arms_t *arms, const hm_arms_call_t *call);

/* The same where the depth is settled, at most the number of levels: only what it takes is learned. */
int arms_force(hm_arms_t *arms, int depth, const hm_arms_call_t *call);

/* A call that was asked of this depth took so many times what the model said. */
void arms_add(hm_arms_t *arms, int depth, double ratio);

/* A depth could not be had: it is not asked for before call number `until`. */
void arms_bar(hm_arms_t *arms, int depth, uint64_t until);

/* Whether looking at call `number` may bring something, if it is of this kind: the race goes on, a depth is best, or a
 * rival's turn has come. */
static inline bool arms_worth(const hm_arms_t *arms, uint64_t number)
{
    return arms->tried && (!arms->sure || arms->best > 0 || number >= arms->due);
}

/* Ms gained by the best depth over plain, looking included; below 0: not known yet. A depth that won its race gains a
 * little until another race says otherwise, whatever the latest calls took. */
double arms_gain(const hm_arms_t *arms);

/* Ms that the latest call should take at a depth, looking included above 0; 0: nothing is known but the model. A depth
 * without times is taken to err like one that has some. */
double arms_predict(const hm_arms_t *arms, int depth);

#endif
