/* Which copy of an expert serves a token: the nearest, so that rows travel as little as they can.
 *
 * Nearest to the token's rank: on the rank itself, else in the innermost group that holds a copy. Copies that are
 * equally near take turns, each source beginning with another one. A source's tokens need not be spread as evenly over
 * all copies as SwiftMoE spreads them; `slot_load` tells. One thread at a time uses a hm_nearest_t. */
#ifndef HM_NEAREST_H
#define HM_NEAREST_H

#include "topo.h"

typedef struct hm_nearest hm_nearest_t;

/* slot: [ranks * slots] the expert of each slot (replicas.h), every expert at least once; kept, as is the topology.
 * -EINVAL (an expert without a slot or out of range), -ENOMEM. */
int nearest_create(const hm_topo_t *topo, const int *slot, int slots, int experts, hm_nearest_t **nearest);
void nearest_destroy(hm_nearest_t *nearest);

/* Goes over to the tokens of another source. O(ranks * slots). */
void nearest_source(hm_nearest_t *nearest, int source);

/* The slot that serves the source's next choice of an expert. */
int nearest_take(hm_nearest_t *nearest, int expert);

/* Counts the rows of the present source as count_source of count.h does, each choice served by nearest_take: raw
 * [ranks], distinct[l] [groups[l]], all set. Adds to slot_load [ranks * slots] the tokens that each slot computes,
 * where it is not NULL. seen: as for count_source. -EINVAL if an id is out of range. */
int nearest_count(hm_nearest_t *nearest, const uint16_t *ids, size_t tokens, int top_k, uint32_t *raw,
                  uint32_t *const *distinct, uint32_t *seen, uint64_t *slot_load);

#endif
