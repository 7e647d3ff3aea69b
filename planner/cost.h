/* Predicted time of one all-to-all, left alone and at every depth (HierMoE 2508.09591, Eq. 1-6, and variants).
 *
 * Pure arithmetic on the arguments: only + - * /, so every rank gets the same bits from the same input (build with
 * -ffp-contract=off where the compiler may fuse multiply and add). */
#ifndef HM_COST_H
#define HM_COST_H

#include "profile.h"
#include "table.h"

typedef enum hm_cost_model {
    HM_COST_PADDED,        /* the paper: every exchange as large as its heaviest destination makes it, levels in turn */
    HM_COST_PADDED_SLICED, /* the same cut into slices, levels overlap */
    HM_COST_LINKS,         /* the executor's messages: in each step the busiest rank of each kind of link counts */
    HM_COST_LINKS_SLICED,  /* the same cut into slices, steps overlap */
    HM_COST_MODELS
} hm_cost_model_t;

typedef struct hm_cost_options {
    hm_cost_model_t model;
    int slices;           /* of the sliced models; >= 1 */
    const int *slices_at; /* HM_COST_LINKS_SLICED: [depth] of each depth, instead; may be NULL */
    bool own_beside;      /* LINKS models: rows that a rank keeps are moved while the wires are busy, not after */
    double *memory;       /* LINKS models: cost_memory() doubles to count in; NULL: taken from the heap for the call */
} hm_cost_options_t;

/* Depth d: levels 1..d-1, then single GPUs. [0]: left alone, every raw row on its own. ms is the exchange, extra_ms
 * what comes on top because of us: agreement, finding equal rows, packing. extra_ms[0] is 0. */
typedef struct hm_cost {
    int levels;
    double ms[HM_MAX_LEVELS + 1];
    double extra_ms[HM_MAX_LEVELS + 1];
    double copies; /* 0..1 of the rows: what need not go to an outermost group again */
} hm_cost_t;

/* Rows of one all-to-all summed over all sources, as the padded models see it. Real numbers: expectations are welcome.
 */
typedef struct hm_hits {
    size_t row_bytes;
    double raw;                      /* of the rank that gets most raw rows */
    double level[HM_MAX_LEVELS + 1]; /* [1..levels] distinct rows of the group that gets most */
    double copies;                   /* 0..1 of all rows, as in hm_cost_t */
} hm_hits_t;

/* Predicts from the table that all ranks agreed on. 0, -EINVAL (no such model, no slices), -ENOMEM. */
int cost_predict(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table,
                 const hm_cost_options_t *options, hm_cost_t *cost);
size_t cost_memory(const hm_topo_t *topo, hm_cost_model_t model);

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

/* Eq. 6: the best depth of 1..levels by ms alone; 1 only where it beats all others. */
int cost_depth_best(const hm_cost_t *cost);

/* What a depth must gain, of the time of a call left alone. Predictions are easily off by that; with more, calls that
 * gain as much are missed. Where nothing is a copy, a gain is the difference of two measured curves, which are off each
 * by itself; with fewer copies than HM_COST_COPIES the margin lies between the two. */
#define HM_COST_MARGIN 0.03
#define HM_COST_MARGIN_NO_COPIES 0.10
#define HM_COST_COPIES 0.05

/* The depth to use: the one with the least ms + extra_ms, or 0 where that gains no more than the margin over leaving
 * the call alone. */
int cost_depth_choose(const hm_cost_t *cost);

/* Time in which the bytes of a call can leave the outermost groups at all, without start-up and with perfect balance,
 * by the flat link or the one between groups: rows_out of `row_bytes` leave the group of an average rank. */
double cost_floor(const hm_topo_t *topo, const hm_profile_t *profile, size_t row_bytes, double rows_out);

#endif
