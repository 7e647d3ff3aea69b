/* Which rank has which expert. */
#ifndef HM_PLACEMENT_H
#define HM_PLACEMENT_H

#include "topo.h"

/* rank[e] for each expert e < experts; swap two entries to let two experts trade places. */
typedef struct hm_placement {
    int experts;
    int *rank;
} hm_placement_t;

/* Equal runs of ids on each rank in rank order, as frameworks lay experts out; rank[] is the caller's. */
void placement_contiguous(int experts, int ranks, int *rank);

/* Experts in each group of a level: local[groups[level]]. */
void placement_count(const hm_topo_t *topo, const hm_placement_t *placement, int level, int *local);

#endif
