/* hiermoe plan: what its parts hand to each other. */
#ifndef HM_PLAN_COMMAND_H
#define HM_PLAN_COMMAND_H

#include "cost.h"
#include "count.h"
#include "sample.h"

#define PLAN_MAX_RANKS 65536
#define PLAN_MAX_TABLE_RANKS 1024 /* above, no table of all pairs is made */
#define PLAN_MAX_SWAP_EXPERTS 1024
#define PLAN_MAX_SWAPS 64
#define PLAN_OBJECTIVE_ANY (-1) /* the better of maximum and smooth maximum */

typedef struct plan_options {
    const char *routing_text, *trace_path, *profile_name, *topo_text, *model_name, *json_path;
    hm_routing_t routing;
    long tokens, hidden, experts, top_k, element_bytes, layer, swaps, seed, sample, slices, routing_groups, gamma;
    double expert_bytes, horizon, compute_ms; /* compute_ms: of 1000 chosen rows */
    hm_cost_model_t cost_model;
    int objective; /* hm_swap_objective_t, or PLAN_OBJECTIVE_ANY */
    int help;
} plan_options_t;

/* Counts of the exchange, over all sources. */
typedef struct plan_counts {
    hm_hits_t hits;
    double raw;                         /* rows of all ranks together, copies and all */
    double distinct[HM_MAX_LEVELS + 1]; /* [level] likewise, one for each group of the level */
    double out[HM_MAX_LEVELS + 1]; /* rows that leave an average rank's outermost group: [0] raw, [1] one for each GPU,
                                      [2] one for each group */
    uint16_t *ids;                 /* tokens kept for the swaps: [kept][top_k]; NULL for an expectation */
    size_t tokens;                 /* of each source, gone through; 0 for an expectation */
    size_t kept;
    double kept_scale;                              /* each stands for so many */
    uint32_t *raw_table, *table[HM_MAX_LEVELS + 1]; /* only for the links models */
} plan_counts_t;

typedef struct plan_swap {
    int a, b;
    double before_ms, after_ms, move_ms; /* predicted time at the plan's depth, true maxima, compute included */
} plan_swap_t;

typedef struct plan_result {
    const plan_options_t *options;
    const hm_topo_t *topo;
    const hm_profile_t *given, *profile; /* as it was given, and for this topology */
    int map[HM_MAX_LEVELS + 1];          /* profile_map from one to the other */
    const hm_trace_t *trace;             /* or NULL */
    hm_placement_t placement;
    plan_counts_t counts;
    hm_cost_t cost;
    double floor_ms[HM_MAX_LEVELS + 1]; /* by depth */
    int depth, depth_best;              /* 0: leave alone; Eq. 6 */
    int swaps_scored;
    int swap_count, swap_depth, swap_objective; /* swap_objective: by which they were chosen */
    const char *swap_note;                      /* why there are none, or NULL */
    plan_swap_t swap[PLAN_MAX_SWAPS];
} plan_result_t;

/* Each returns 0 or the exit status, having said why. */
int plan_options_parse(int argc, char **argv, plan_options_t *options);
int plan_count(const plan_options_t *options, const hm_topo_t *topo, const hm_placement_t *placement,
               const hm_trace_t *trace, plan_counts_t *counts);
void plan_counts_free(plan_counts_t *counts);
int plan_swaps(plan_result_t *result);
int plan_report_json(const plan_result_t *result, const char *path);
void plan_report_text(const plan_result_t *result);

#define PLAN_MAX_NOTES 3
typedef struct plan_notes {
    int count;
    char text[PLAN_MAX_NOTES][160];
} plan_notes_t;
void plan_notes(const plan_result_t *result, plan_notes_t *notes);

/* The cost model that swaps are timed by: padded, whatever predicts the rest. */
hm_cost_model_t plan_swap_cost(const plan_options_t *options);

const char *plan_cost_name(int model); /* NULL past the last */
const char *plan_objective_name(int objective);

#endif
