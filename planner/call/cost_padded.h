/* The PADDED models of cost.h: the paper's sums (HierMoE 2508.09591, Eq. 1-3) over what all sources send together. */
#ifndef HM_COST_PADDED_H
#define HM_COST_PADDED_H

#include "cost_model.h"
#include "table.h"
#include "wires/profile.h"

/* Rows of one all-to-all, summed over all sources. Real numbers, so that expected values can be given too. */
typedef struct hm_hits {
    size_t row_bytes;
    double raw;                      /* raw rows of the rank that gets most */
    double level[HM_MAX_LEVELS + 1]; /* [1..levels] distinct rows of the group that gets most */
    double copies;                   /* 0..1 of all rows, as in hm_cost_t */
} hm_hits_t;

void cost_hits(const hm_topo_t *topo, const hm_table_t *table, hm_hits_t *hits);

/* The padded models from summed counts; slices 1 is the paper's. */
int cost_predict_hits(const hm_topo_t *topo, const hm_profile_t *profile, const hm_hits_t *hits, int slices,
                      hm_cost_t *cost);

/* One summand of the padded time at depth d: factor * (distinct rows of the level's heaviest group) + alpha_ms. */
typedef struct hm_cost_term {
    int level;
    double ms_per_row, alpha_ms;
} hm_cost_term_t;

/* The summands of Eq. 3 (Eq. 1 at depth 1), links taken as straight lines; returns their number, which is `depth`. */
int cost_terms(const hm_topo_t *topo, const hm_profile_t *profile, size_t row_bytes, int depth,
               hm_cost_term_t term[HM_MAX_LEVELS]);

#endif
