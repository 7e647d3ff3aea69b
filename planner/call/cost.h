/* Predicted time of one all-to-all, left alone and at every depth (HierMoE 2508.09591, Eq. 1-6, and variants).
 *
 * Pure arithmetic on the arguments: only + - * /, so every rank gets the same bits from the same input (build with
 * -ffp-contract=off where the compiler may fuse multiply and add). */
#ifndef HM_COST_H
#define HM_COST_H

#include "cost_links.h"
#include "cost_padded.h"

/* Predicts from the table that all ranks agreed on. 0, -EINVAL (no such model, no slices, lanes that the
 * topology has not), -ENOMEM. */
int cost_predict(const hm_topo_t *topo, const hm_profile_t *profile, const hm_table_t *table,
                 const hm_cost_options_t *options, hm_cost_t *cost);

/* Doubles that a model counts in, see hm_cost_options_t; 0 for those that need none. */
size_t cost_memory(const hm_topo_t *topo, hm_cost_model_t model);

/* Eq. 6: the best depth of 1..levels by ms alone; 1 only where it beats all others. */
int cost_depth_best(const hm_cost_t *cost);

/* What a depth must gain, as a share of the time of a call left alone. 3 % is the model's usual error; a larger margin
 * would miss real gains. Without copies a gain is the difference of two measured curves, each with its own error, so
 * more is asked; below HM_COST_COPIES the margin lies between the two. */
#define HM_COST_MARGIN 0.03
#define HM_COST_MARGIN_NO_COPIES 0.10
#define HM_COST_COPIES 0.05

/* The depth to use: the one with the least ms + extra_ms, or 0 where that gains no more than the margin over leaving
 * the call alone. */
int cost_depth_choose(const hm_cost_t *cost);

/* Lower bound in ms of any way to carry out a call: its bytes leave the outermost groups at the speed of the flat link
 * or of the one between groups, whichever is faster, in perfect balance and without start-up. rows_out rows of
 * `row_bytes` leave the group of an average rank. */
double cost_floor(const hm_topo_t *topo, const hm_profile_t *profile, size_t row_bytes, double rows_out);

#endif
