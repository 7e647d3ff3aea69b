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

/* Doubles that options->memory must have. */
size_t cost_links_memory(const hm_topo_t *topo);

#endif
