/* The LINKS models of cost.h: count the bytes of every message that the executor sends, in all lanes. */
#ifndef HM_COST_LINKS_H
#define HM_COST_LINKS_H

#include "cost_model.h"
#include "table.h"
#include "wires/profile.h"

/* Fills in cost->copies and, for all depths, cost->ms and cost->extra_ms from the messages that would be sent in
 * slices[depth] slices. Of the options, lanes, own_beside and memory are read. 0, -ENOMEM. */
int cost_links_predict(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table, const int *slices,
                       const hm_cost_options_t *options, hm_cost_t *cost);

/* The same for a call along the way of a dispatch with this table, as far as the ranks go at the dispatch's depth: no
 * heads, no agreement, nothing to compare. back: sums on the way back; else the same way again. table->row_bytes is
 * that of the call. */
int cost_links_kept(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table, const int *slices,
                    const hm_cost_options_t *options, bool back, hm_cost_t *cost);

/* Adds `times` calls of one kind to a cost, so that a depth can be chosen for all calls along one dispatch's way. Its
 * copies stay. */
void cost_links_add(hm_cost_t *cost, const hm_cost_t *more, double times);

/* Time of adding a byte that is read, in that of packing one (profile_t.pack_ms): rows become fp32 and are rounded. */
#define HM_COST_SUM 2.0

/* Doubles that options->memory must have. */
size_t cost_links_memory(const hm_topo_t *topo);

#endif
