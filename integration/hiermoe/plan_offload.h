/* hiermoe plan --offload: what its parts hand to each other. */
#ifndef HM_PLAN_OFFLOAD_H
#define HM_PLAN_OFFLOAD_H

#include "plan_questions.h"
#include "shares/shares.h"

#include <jansson.h>

#define HM_OFFLOAD_BATCHES 16

typedef struct hm_offload_request {
    const char *loads, *routing, *json_path, *tokens_text;
    long resident, layer;
    double cpu_ms[2], gpu_ms[2], stream_ms;
    uint64_t tokens[HM_OFFLOAD_BATCHES]; /* sizes of batches to try */
    int batches;
    hm_shares_cost_t cost;
    bool help, asked; /* help: was printed */
} hm_offload_request_t;

/* Batches of one size from the second half of a trace, residents chosen by the first. Times are means over batches. */
typedef struct hm_offload_batch {
    uint64_t tokens;
    double ours_ms, fiddler_ms; /* of all layers together */
    double speedup;             /* median over batches and layers */
    double tokens_per_s;
} hm_offload_batch_t;

/* A list of loads: one layer, its residents chosen too. Adds to offload and, with `text`, prints. */
int offload_list(const hm_offload_request_t *request, const hm_plan_loads_t *loads, bool text, json_t *offload);

/* A trace. */
int offload_trace(const hm_offload_request_t *request, const hm_plan_loads_t *loads, bool text, json_t *offload);

json_t *offload_experts_json(const hm_share_t *share, int experts, hm_share_t which);

#endif
