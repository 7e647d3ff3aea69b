/* hiermoe plan: what its parts hand to each other. One thread; the caller of plan_count frees what it counted. */
#ifndef HM_PLAN_COMMAND_H
#define HM_PLAN_COMMAND_H

#include "call/cost.h"
#include "experts/count.h"
#include "experts/sample.h"
#include "models.h"
#include "wires/hardware.h"

#include <jansson.h>

#define HM_PLAN_MAX_RANKS 65536
#define HM_PLAN_MAX_TABLE_RANKS 1024 /* the links models need a table of all pairs */
#define HM_PLAN_MAX_SWAP_EXPERTS 1024
#define HM_PLAN_MAX_SWAPS 64
#define HM_PLAN_MAX_COPIED_EXPERTS 4096 /* copies are counted in the square of that */
#define HM_PLAN_MAX_NOTES 6
#define HM_PLAN_ANSWER 768         /* bytes of the answer */
#define HM_PLAN_OBJECTIVE_ANY (-1) /* the better of maximum and smooth maximum */

/* What the user asked for (plan_request.c has the defaults). Tokens are one rank's, compute_ms is of 1000 chosen rows.
 */
typedef struct hm_plan_request {
    const char *routing_text, *trace_path, *profile_name, *topo_text, *model_name, *json_path, *hardware_name;
    const hm_model_t *model; /* or NULL */
    hm_routing_t routing;
    hm_hardware_t hardware; /* gpu is NULL where none was named */
    long tokens, hidden, experts, top_k, element_bytes, layer, swaps, seed, sample, slices, routing_groups, gamma;
    double expert_bytes, horizon, compute_ms, bandwidth, mfu;
    int cost; /* hm_cost_model_t, or -1: not given */
    hm_cost_model_t cost_model;
    int objective;    /* hm_swap_objective_t, or HM_PLAN_OBJECTIVE_ANY */
    bool untimed;     /* neither profile nor hardware: copies are counted, nothing is timed */
    bool every_layer; /* of the trace */
    bool help;        /* was printed: there is nothing to plan */
} hm_plan_request_t;

/* Rows of one exchange, summed over all sources: counted token by token, or expected (then `ids` is NULL). */
typedef struct hm_plan_counts {
    hm_hits_t hits;
    double raw;                         /* rows with every copy */
    double distinct[HM_MAX_LEVELS + 1]; /* [level 1..levels] one row for each group of the level */
    double out[3]; /* rows that leave an average rank's outermost group: every copy, one per GPU, one per group */
    uint16_t *ids; /* experts of the tokens kept for the swaps: [kept][top_k] */
    size_t tokens; /* of each source, that were gone through; 0 for an expectation */
    size_t kept;
    double kept_scale;                              /* tokens that each kept one stands for */
    uint32_t *raw_table, *table[HM_MAX_LEVELS + 1]; /* as in hm_table_t; only for the links models */
} hm_plan_counts_t;

/* Several copies of experts: the expert of each slot, rank by rank (replicas/replicas.h). */
typedef struct hm_plan_copies {
    const int *slot; /* [ranks * slots] */
    int slots;
} hm_plan_copies_t;

/* Experts a and b change places. Times are predicted at the plan's depth, with true maxima and compute. */
typedef struct hm_plan_swap {
    int a, b;
    double before_ms, after_ms, move_ms;
} hm_plan_swap_t;

/* What one of a trace's layers would take. */
typedef struct hm_plan_layer {
    hm_cost_t cost;
    int depth;
    double duplication; /* at the outermost groups */
} hm_plan_layer_t;

/* A step's part around one MoE layer, forward and backward: four all-to-alls and what is computed; ms. 0 where the
 * model's or the card's figures are not known. */
typedef struct hm_plan_step {
    double compute_ms, plain_ms, exact_ms, guided_ms;
} hm_plan_step_t;

typedef struct hm_plan_result {
    const hm_plan_request_t *request;
    const hm_topo_t *topo;
    const hm_profile_t *given, *profile; /* as it was given, and for this topology; NULL where nothing is timed */
    int map[HM_MAX_LEVELS + 1];          /* profile_map from one to the other */
    const hm_trace_t *trace;             /* or NULL */
    hm_placement_t placement;
    hm_plan_counts_t counts;
    hm_cost_t cost;
    double floor_ms[HM_MAX_LEVELS + 1]; /* [depth] */
    int depth, depth_best;              /* what the library would choose (0: leave alone), and Eq. 6 of the paper */
    bool swaps_scored;
    int swap_count, swap_depth, swap_objective;
    const char *swap_note; /* why there are none, or NULL */
    hm_plan_swap_t swap[HM_PLAN_MAX_SWAPS];
    int layer_count; /* 0 where one layer was asked for or there is but one */
    hm_plan_layer_t *layer;
} hm_plan_result_t;

typedef struct hm_plan_notes {
    int count;
    char text[HM_PLAN_MAX_NOTES][200];
} hm_plan_notes_t;

/* All about one job. Stays where it is: the result points into it. */
typedef struct hm_plan_job {
    hm_plan_request_t request;
    hm_profile_t given, room; /* room: for the profile of this topology */
    hm_topo_t *topo;
    hm_trace_t trace;
    int *rank; /* of each expert */
    hm_plan_result_t result;
} hm_plan_job_t;

/* Each returns 0 or the exit status, having said why on stderr. */
int plan_request_parse(int argc, char **argv, hm_plan_request_t *request);

/* plan_job_open reads and checks what the request names, plan_job_solve counts, predicts and suggests swaps.
 * plan_job_close, whatever they returned; before them all of the job but the request is zero. */
int plan_job_open(hm_plan_job_t *job);
int plan_job_solve(hm_plan_job_t *job);
void plan_job_close(hm_plan_job_t *job);

/* copies: NULL where each expert has one, at its place; else each choice counts for the nearest copy. */
int plan_count(const hm_plan_request_t *request, const hm_topo_t *topo, const hm_placement_t *placement,
               const hm_plan_copies_t *copies, const hm_trace_t *trace, hm_plan_counts_t *counts);

/* Every layer of the trace, where the request says so: fills in result->layer. Freed by plan_job_close. */
int plan_layers_solve(hm_plan_job_t *job);
void plan_layers_text(const hm_plan_result_t *result);
json_t *plan_layers_json(const hm_plan_result_t *result);

/* The answer to "will it help?" in a sentence or two, and what it rests on. */
void plan_step_predict(const hm_plan_result_t *result, hm_plan_step_t *step);
void plan_answer_write(const hm_plan_result_t *result, char *text, size_t size);

/* The times of counts on the result's topology and profile. */
int plan_predict(const hm_plan_result_t *result, const hm_plan_counts_t *counts, hm_cost_t *cost);
int plan_swaps_choose(hm_plan_result_t *result);
int plan_report_json(const hm_plan_result_t *result, const char *path);

void plan_counts_free(hm_plan_counts_t *counts);
void plan_report_text(const hm_plan_result_t *result);

/* What a reader of the numbers should know: the same in the table and in JSON. */
void plan_notes_write(const hm_plan_result_t *result, hm_plan_notes_t *notes);

/* Swaps are chosen by a padded model; where another predicts the rest, this prices them by it. */
int plan_swaps_price(hm_plan_job_t *job);

/* Names of cost models and objectives. plan_cost_find and plan_objective_find return -1 for a name that is none. */
const char *plan_cost_name(hm_cost_model_t model);
const char *plan_objective_name(int objective);
int plan_cost_find(const char *name);
int plan_objective_find(const char *name);

#endif
