/* From top-k expert ids to rows to send, with and without copies.
 *
 * A source's ids are top_k uint16_t for each token, all different within a token (a repeated id counts as one more raw
 * row of the same token, which is what a job would send). */
#ifndef HM_COUNT_H
#define HM_COUNT_H

#include "placement.h"
#include "table.h"
#include "trace.h"

/* Sets one source's counts, one row of a table: raw [ranks], distinct[l] [groups[l]] for l in 1..levels. NULL: not
 * wanted. seen: scratch of count_scratch(topo) uint32_t. 0; -EINVAL if an id is not below placement->experts or there
 * are 2^32 - 1 tokens or more, with the counts undefined. */
size_t count_scratch(const hm_topo_t *topo);
int count_source(const hm_topo_t *topo, const hm_placement_t *placement, const uint16_t *ids, size_t tokens, int top_k,
                 uint32_t *raw, uint32_t *const *distinct, uint32_t *seen);

/* The whole table of one layer of a trace; raw and distinct are arrays as in hm_table_t. 0, -EINVAL (an id out of
 * range), -ENOMEM. */
int count_trace(const hm_topo_t *topo, const hm_placement_t *placement, const hm_trace_t *trace, int layer,
                uint32_t *raw, uint32_t *const *distinct);

/* Probability that a token's top_k different experts, all sets equally likely, include one of `local` of all experts.
 */
double count_hit_uniform(int experts, int local, int top_k);

#endif
