/* Rows of one source to every rank and group, and their sums over all sources. */
#ifndef HM_PLAN_TALLY_H
#define HM_PLAN_TALLY_H

#include "plan_command.h"

/* raw [ranks], distinct[level] [groups] and seen (scratch) are what count_source() fills for one source; sum_raw and
 * sum have the same shapes. */
typedef struct hm_plan_tally {
    const hm_topo_t *topo;
    uint32_t *raw, *distinct[HM_MAX_LEVELS + 1], *seen, *memory;
    uint64_t *sum_raw, *sum[HM_MAX_LEVELS + 1], *sums;
} hm_plan_tally_t;

/* 0, or the exit status, said; then there is nothing to free. */
int plan_tally_create(const hm_topo_t *topo, hm_plan_tally_t *tally);
void plan_tally_free(hm_plan_tally_t *tally);

/* Adds the source that was counted: to the sums, to counts->out, and to the tables of all pairs where there are some.
 */
void plan_tally_add(const hm_plan_tally_t *tally, int source, hm_plan_counts_t *counts);

/* Writes the sums to the counts; each token that was counted stands for `scale` tokens. */
void plan_tally_finish(const hm_plan_tally_t *tally, double scale, hm_plan_counts_t *counts);

#endif
