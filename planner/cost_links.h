/* The LINKS models of cost.h: counts every message that the executor would send. */
#ifndef HM_COST_LINKS_H
#define HM_COST_LINKS_H

#include "cost.h"

/* Fills cost->copies and, for all depths, cost->ms and cost->extra_ms from the messages that would be sent, cut into
 * slices[depth]; own_beside and memory of the options count. 0, -ENOMEM. */
int cost_links_predict(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table, const int *slices,
                       const hm_cost_options_t *options, hm_cost_t *cost);

/* Bytes, heads included, that each rank sends and receives at `depth`, by step and used level (both counted from 0,
 * each < depth): bytes[((step * depth + level) * 2 + received) * ranks + rank]. carrier: 2 * ranks ints of scratch. */
void cost_links_count(const hm_topo_t *topo, const hm_table_t *table, int depth, double *bytes, int *carrier);

/* ms per byte on the wire among `peers` groups: the fitted beta is per byte of a buffer that includes the own share. */
static inline double cost_links_beta(const hm_link_t *link, double peers)
{
    return peers > 1 ? link->beta_ms * peers / (peers - 1) : 0;
}

#endif
