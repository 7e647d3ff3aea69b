/* How often expert choices meet in a group: rows to send, with and without copies, from top-k expert ids.
 *
 * A source's ids are top_k uint16_t a token, all different within a token (a repeated id counts as one more raw row of
 * the same token, which is what a job would send). */
#ifndef HM_COUNT_H
#define HM_COUNT_H

#include "placement.h"
#include "table.h"
#include "trace.h"

/* Counts of one source into one row of a table: raw [ranks], distinct[l] [groups[l]] for l in 1..levels, all set (not
 * added to). NULL pointers are not wanted. seen: groups[levels] = ranks entries of scratch for each level, that is
 * count_scratch(topo) uint32_t. -EINVAL if an id is not below placement->experts: nothing is promised of the counts. */
size_t count_scratch(const hm_topo_t *topo);
int count_source(const hm_topo_t *topo, const hm_placement_t *placement, const uint16_t *ids, size_t tokens, int top_k,
                 uint32_t *raw, uint32_t *const *distinct, uint32_t *seen);

/* The whole table of one layer of a trace; raw and distinct are its arrays as in
 * hm_table_t. 0, -EINVAL (an id out of range), -ENOMEM. */
int count_trace(const hm_topo_t *topo, const hm_placement_t *placement, const hm_trace_t *trace, int layer,
                uint32_t *raw, uint32_t *const *distinct);

/* Probability that a token of top_k different experts, all sets equally likely, hits one of `local` out of `experts`.
 */
double count_hit_uniform(int experts, int local, int top_k);

#endif
