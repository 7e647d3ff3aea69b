/* What copies and leases would have done for one layer. */
#include "command.h"
#include "experts/loads.h"
#include "experts/placement.h"
#include "plan_replicas.h"
#include "replicas/replicas.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Working memory of one layer. */
typedef struct scene {
    const hm_replicas_request_t *request;
    int experts, ranks, slots;
    uint64_t *now, *before, *equal; /* [experts] */
    uint64_t *pending, *rank_load;  /* [ranks] */
    double *doubles;                /* [experts] */
    int *count, *slot, *home, *work;
    hm_lease_t *lease;
} scene_t;

static int scene_create(const hm_replicas_request_t *request, int experts, scene_t *scene)
{
    size_t n = (size_t)experts, ranks = (size_t)request->ranks, places = ranks * (size_t)request->slots;
    *scene =
        (scene_t){.request = request, .experts = experts, .ranks = (int)request->ranks, .slots = (int)request->slots};
    scene->now = malloc((3 * n + 2 * ranks) * sizeof(*scene->now));
    scene->doubles = malloc(n * sizeof(*scene->doubles));
    scene->count = malloc((4 * n + 2 * ranks + places) * sizeof(*scene->count));
    scene->lease = malloc((size_t)leases_most(experts, (int)ranks) * sizeof(*scene->lease));
    if (scene->now == NULL || scene->doubles == NULL || scene->count == NULL || scene->lease == NULL)
        return command_fail("out of memory");
    scene->before = scene->now + n;
    scene->equal = scene->now + 2 * n;
    scene->pending = scene->now + 3 * n;
    scene->rank_load = scene->now + 3 * n + ranks;
    scene->home = scene->count + n;
    scene->work = scene->count + 2 * n;
    scene->slot = scene->count + 4 * n + 2 * ranks;
    placement_contiguous(experts, scene->ranks, scene->home);
    for (int e = 0; e < experts; e++) scene->equal[e] = 1;
    return 0;
}

static void scene_destroy(scene_t *scene)
{
    free(scene->now);
    free(scene->doubles);
    free(scene->count);
    free(scene->lease);
}

static void copies_make(scene_t *scene, const uint64_t *by, int *count, int *slot)
{
    replicas_count(by, scene->experts, scene->ranks, scene->slots, count, scene->doubles);
    replicas_place(NULL, count, scene->experts, slot);
}

/* How copies by some loads carry the present ones. */
static void copies_carry(scene_t *scene, const uint64_t *by, hm_replicas_carried_t *carried)
{
    uint64_t sum = loads_sum(scene->now, scene->experts);
    uint64_t capacity = replicas_capacity(scene->request->capacity, sum, scene->ranks, scene->slots);
    copies_make(scene, by, scene->count, scene->slot);
    double most = replicas_heaviest(scene->now, scene->count, scene->slot, scene->ranks, scene->slots);
    carried->imbalance += sum > 0 ? most * scene->ranks / (double)sum : 1;
    carried->dropped +=
        sum > 0 ? (double)replicas_dropped(scene->now, scene->count, scene->experts, capacity) / (double)sum : 0;
}

static void iteration_compare(scene_t *scene, bool forecast, hm_replicas_layer_t *layer)
{
    if (forecast) copies_carry(scene, scene->before, &layer->way[HM_REPLICAS_BEFORE]);
    copies_carry(scene, scene->equal, &layer->way[HM_REPLICAS_EQUAL]);
    copies_carry(scene, scene->now, &layer->way[HM_REPLICAS_NOW]);
    layer->leases = leases_choose(scene->now, scene->home, scene->experts, scene->ranks, &scene->request->lease,
                                  scene->work, scene->pending, scene->rank_load, scene->lease);
    layer->way[HM_REPLICAS_LEASES].imbalance += leases_imbalance(scene->rank_load, scene->ranks);
    layer->iterations++;
}

static void iterations_compare(scene_t *scene, const hm_plan_loads_t *loads, hm_replicas_layer_t *layer)
{
    size_t window = (size_t)scene->request->window;
    if (loads->given != NULL) {
        memcpy(scene->now, loads->given, (size_t)scene->experts * sizeof(*scene->now));
        iteration_compare(scene, false, layer);
        return;
    }
    for (size_t at = window; at + window <= loads->trace.tokens; at += window) {
        plan_loads_count(loads, layer->layer, at - window, window, scene->before);
        plan_loads_count(loads, layer->layer, at, window, scene->now);
        iteration_compare(scene, true, layer);
    }
}

/* All tokens of the layer, each choice for the nearest copy. */
static int layer_price(const hm_replicas_request_t *request, hm_replicas_layer_t *layer)
{
    hm_plan_copies_t copies = {layer->slot, (int)request->slots};
    request->job->request.layer = layer->layer;
    int rc = plan_traffic(request->job, NULL, NULL, &layer->one);
    return rc != 0 ? rc : plan_traffic(request->job, NULL, &copies, &layer->copies);
}

int replicas_layer_solve(const hm_replicas_request_t *request, const hm_plan_loads_t *loads, int number,
                         hm_replicas_layer_t *layer)
{
    size_t experts = (size_t)loads->experts, places = (size_t)request->ranks * (size_t)request->slots;
    scene_t scene;
    *layer = (hm_replicas_layer_t){.layer = number};
    int rc = scene_create(request, loads->experts, &scene);
    if (rc == 0) {
        iterations_compare(&scene, loads, layer);
        for (int w = 0; w < HM_REPLICAS_WAYS; w++) {
            layer->way[w].imbalance /= layer->iterations;
            layer->way[w].dropped /= layer->iterations;
        }
        layer->count = malloc((experts + places) * sizeof(*layer->count));
        layer->lease = malloc(((size_t)layer->leases + 1) * sizeof(*layer->lease));
        if (layer->count == NULL || layer->lease == NULL) rc = command_fail("out of memory");
    }
    if (rc == 0) {
        layer->slot = layer->count + experts;
        copies_make(&scene, scene.now, layer->count, layer->slot);
        memcpy(layer->lease, scene.lease, (size_t)layer->leases * sizeof(*layer->lease));
    }
    if (rc == 0 && request->job != NULL) rc = layer_price(request, layer);
    scene_destroy(&scene);
    return rc;
}

void replicas_layer_free(hm_replicas_layer_t *layer)
{
    free(layer->count);
    free(layer->lease);
}
