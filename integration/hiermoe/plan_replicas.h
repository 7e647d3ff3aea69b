/* hiermoe plan --replicas: what its parts hand to each other. */
#ifndef HM_PLAN_REPLICAS_H
#define HM_PLAN_REPLICAS_H

#include "plan_questions.h"
#include "plan_traffic.h"
#include "replicas/leases.h"

#include <jansson.h>

#include <stdbool.h>

typedef struct hm_replicas_request {
    const char *loads, *routing, *json_path;
    long ranks, slots, layer, window;
    double capacity, expert_bytes, host_gb, network_gb;
    hm_lease_options_t lease;
    long least_tokens;
    bool help, asked;   /* help: was printed */
    hm_plan_job_t *job; /* to price traffic with, or NULL */
} hm_replicas_request_t;

/* How a set of copies carries some loads. */
typedef struct hm_replicas_carried {
    double imbalance; /* tokens of the heaviest rank over the mean */
    double dropped;   /* share of the tokens beyond the copies' capacity */
} hm_replicas_carried_t;

enum { HM_REPLICAS_EQUAL, HM_REPLICAS_BEFORE, HM_REPLICAS_NOW, HM_REPLICAS_LEASES, HM_REPLICAS_WAYS };

/* One layer: copies by its latest loads, for the iteration to come, and how all ways carried what came. Of equal
 * copies, of copies by the loads before, by the loads themselves, of one copy and leases; the last drop nothing. */
typedef struct hm_replicas_layer {
    int layer, iterations; /* iterations: compared */
    int *count, *slot;     /* [experts], [ranks * slots] */
    hm_replicas_carried_t way[HM_REPLICAS_WAYS];
    int leases; /* of the latest iteration */
    hm_lease_t *lease;
    hm_plan_traffic_t one, copies; /* an all-to-all with one copy of each, and with these; where there is a job */
} hm_replicas_layer_t;

/* Fills a layer; 0, or the exit status, having said why. replicas_layer_free whatever came. */
int replicas_layer_solve(const hm_replicas_request_t *request, const hm_plan_loads_t *loads, int number,
                         hm_replicas_layer_t *layer);
void replicas_layer_free(hm_replicas_layer_t *layer);

json_t *replicas_layer_json(const hm_replicas_request_t *request, const hm_plan_loads_t *loads,
                            const hm_replicas_layer_t *layer);
void replicas_layer_text(const hm_replicas_request_t *request, const hm_plan_loads_t *loads,
                         const hm_replicas_layer_t *layer);

#endif
