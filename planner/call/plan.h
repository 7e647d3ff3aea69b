/* What to do with one all-to-all: a pure function of topology, profile and the table that all ranks agreed on. The same
 * input gives the same answer on every rank: no clock, no random number, no environment. */
#ifndef HM_PLAN_H
#define HM_PLAN_H

#include "table.h"

#include <stdbool.h>

struct hm_profile; /* fitted alphas and betas (profile.h); NULL while nothing is known */

/* Depth 0: leave the call alone. Depth d in 1..levels: levels 1..d-1, then single GPUs (paper: HD-d). */
typedef struct hm_plan {
    int depth;
    double predicted_ms[HM_MAX_LEVELS + 1]; /* [0] left alone, [d] at depth d; NaN where not modelled */
    double copies;                          /* as in hm_cost_t */
} hm_plan_t;

/* The same on all ranks. */
typedef struct hm_plan_options {
    int force_depth;  /* >= 0: taken, at most the number of levels */
    int most_slices;  /* >= 1: plan_slices takes no more where none are forced */
    int force_slices; /* > 0: taken at every depth */
    int lanes;        /* of deep calls, see hm_cost_options_t */
    bool own_beside;  /* see hm_cost_options_t */
} hm_plan_options_t;

/* Slices of a deep call in which a rank sends so many bytes to other groups: up to `most`, as long as each still fills
 * the wires. */
int plan_slices_of(uint64_t bytes, int most);

/* Slices of one call at a depth. Deep calls are cut so that their steps overlap. */
int plan_slices(const hm_topo_t *topo, const hm_table_t *table, int depth, const hm_plan_options_t *options);

/* Doubles that plan_choose needs for any topology of so many ranks. */
size_t plan_memory(int ranks);

/* Chooses the depth of least predicted time, or takes the forced one. memory: plan_memory(ranks) doubles; given, so
 * that no rank fails for lack of memory where others go on. Without a profile nothing is predicted, and calls are left
 * alone unless a depth is forced. predicted_ms is the exchange, cut as plan_slices says, and all that comes on top of
 * it. */
void plan_choose(const hm_topo_t *topo, const struct hm_profile *profile, const hm_table_t *table,
                 const hm_plan_options_t *options, double *memory, hm_plan_t *plan);

#endif
