/* hiermoe plan --offload over a trace: batches for decode and prefill with residents that stay. */
#include "command.h"
#include "experts/loads.h"
#include "plan_offload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct scene {
    const hm_offload_request_t *request;
    const hm_plan_loads_t *loads;
    int first, end; /* layers */
    hm_shares_t *shares;
    hm_share_t *share;
    bool *held;   /* [experts] of the present layer */
    int *order;   /* [2 * experts] */
    uint64_t *of; /* [experts] loads */
    double *gain; /* [batches] Fiddler's time over ours */
} scene_t;

static int scene_create(const hm_offload_request_t *request, const hm_plan_loads_t *loads, scene_t *scene)
{
    size_t n = (size_t)loads->experts, layers = (size_t)loads->trace.layers;
    *scene = (scene_t){.request = request, .loads = loads};
    int rc = plan_loads_layers(loads, request->layer, &scene->first, &scene->end);
    if (rc != 0) return rc;
    scene->share = malloc(n * sizeof(*scene->share));
    scene->held = malloc(n * sizeof(*scene->held));
    scene->order = malloc(2 * n * sizeof(*scene->order));
    scene->of = malloc(n * sizeof(*scene->of));
    scene->gain = malloc((size_t)loads->trace.ranks * layers * loads->trace.tokens * sizeof(*scene->gain));
    if (scene->share == NULL || scene->held == NULL || scene->order == NULL || scene->of == NULL ||
        scene->gain == NULL || shares_create(loads->experts, &scene->shares) != 0)
        return command_fail("out of memory");
    return 0;
}

static void scene_destroy(scene_t *scene)
{
    shares_destroy(scene->shares);
    free(scene->share);
    free(scene->held);
    free(scene->order);
    free(scene->of);
    free(scene->gain);
}

/* The most loaded experts of the layer's first half. */
static void layer_hold(scene_t *scene, int layer)
{
    int experts = scene->loads->experts;
    plan_loads_count(scene->loads, layer, 0, scene->loads->trace.tokens / 2, scene->of);
    loads_order(scene->of, experts, scene->order, scene->order + experts);
    memset(scene->held, 0, (size_t)experts * sizeof(*scene->held));
    for (int i = 0; i < experts && i < scene->request->resident; i++) scene->held[scene->order[i]] = true;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Every rank's second half is a prompt of its own, cut into batches. */
static size_t layer_batches(scene_t *scene, int layer, size_t tokens, size_t count, hm_offload_batch_t *batch)
{
    const hm_trace_t *trace = &scene->loads->trace;
    size_t experts = (size_t)scene->loads->experts, top_k = (size_t)trace->top_k, before = count;
    double ours = 0, theirs = 0;
    layer_hold(scene, layer);
    for (int r = 0; r < trace->ranks; r++)
        for (size_t at = trace->tokens / 2; at + tokens <= trace->tokens; at += tokens) {
            memset(scene->of, 0, experts * sizeof(*scene->of));
            loads_add(trace_source(trace, r, layer) + at * top_k, tokens, trace->top_k, scene->of);
            const hm_shares_cost_t *cost = &scene->request->cost;
            double one = shares_fiddler(scene->shares, cost, scene->of, 0, scene->held, scene->share).makespan_ms;
            double two = shares_choose(scene->shares, cost, scene->of, 0, scene->held, scene->share).makespan_ms;
            theirs += one;
            ours += two;
            scene->gain[count++] = two > 0 ? one / two : 1;
        }
    batch->fiddler_ms += theirs / (double)(count - before);
    batch->ours_ms += ours / (double)(count - before);
    return count;
}

static hm_offload_batch_t batch_solve(scene_t *scene, uint64_t tokens)
{
    hm_offload_batch_t batch = {.tokens = tokens};
    size_t count = 0;
    for (int l = scene->first; l < scene->end; l++) count = layer_batches(scene, l, (size_t)tokens, count, &batch);
    qsort(scene->gain, count, sizeof(*scene->gain), by_value);
    batch.speedup = scene->gain[count / 2];
    batch.tokens_per_s = batch.ours_ms > 0 ? 1e3 * (double)tokens / batch.ours_ms : 0;
    return batch;
}

static json_t *residents_json(scene_t *scene)
{
    json_t *layers = json_array();
    for (int l = scene->first; l < scene->end; l++) {
        layer_hold(scene, l);
        json_t *resident = json_array();
        for (int e = 0; e < scene->loads->experts; e++)
            if (scene->held[e]) json_array_append_new(resident, json_integer(e));
        json_array_append_new(layers, json_pack("{s:i, s:o}", "layer", l, "resident", resident));
    }
    return layers;
}

int offload_trace(const hm_offload_request_t *request, const hm_plan_loads_t *loads, bool text, json_t *offload)
{
    scene_t scene;
    json_t *batches = json_array();
    int rc = scene_create(request, loads, &scene), layers = scene.end - scene.first;
    json_object_set_new(offload, "batches", batches);
    if (rc == 0 && text)
        printf("experts of %d layer%s, %ld of %d resident in each\n\n%-8s %10s %12s %10s %12s\n", layers,
               layers > 1 ? "s" : "", request->resident, loads->experts, "tokens", "ms", "Fiddler ms", "speedup",
               "tokens/s");
    for (int b = 0; b < request->batches && rc == 0; b++) {
        hm_offload_batch_t batch = batch_solve(&scene, request->tokens[b]);
        json_array_append_new(batches, json_pack("{s:I, s:f, s:f, s:f, s:f}", "tokens", (json_int_t)batch.tokens,
                                                 "makespan_ms", batch.ours_ms, "fiddler_ms", batch.fiddler_ms,
                                                 "speedup", batch.speedup, "tokens_per_s", batch.tokens_per_s));
        if (text)
            printf("%-8llu %10.3f %12.3f %9.2fx %12.1f\n", (unsigned long long)batch.tokens, batch.ours_ms,
                   batch.fiddler_ms, batch.speedup, batch.tokens_per_s);
    }
    if (rc == 0) json_object_set_new(offload, "layers", residents_json(&scene));
    if (rc == 0 && text)
        puts("\nspeedup: median over batches; tokens/s: as if these layers' experts were all there is");
    scene_destroy(&scene);
    return rc;
}
