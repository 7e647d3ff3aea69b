/* hiermoe plan for a trace of several layers: each of them, since routers differ from layer to layer. */
#include "command.h"
#include "plan_command.h"

#include <stdio.h>
#include <stdlib.h>

static int layer_solve(hm_plan_job_t *job, int l, hm_plan_layer_t *layer)
{
    hm_plan_result_t *result = &job->result;
    hm_plan_request_t request = job->request;
    hm_plan_counts_t counts;
    request.layer = l;
    int rc = plan_count(&request, job->topo, &result->placement, NULL, result->trace, &counts);
    if (rc == 0 && !request.untimed) rc = plan_predict(result, &counts, &layer->cost);
    if (rc == 0) layer->duplication = table_duplication(counts.distinct[1], counts.raw);
    if (rc == 0 && !request.untimed) layer->depth = cost_depth_choose(&layer->cost);
    plan_counts_free(&counts);
    return rc;
}

int plan_layers_solve(hm_plan_job_t *job)
{
    hm_plan_result_t *result = &job->result;
    if (!job->request.every_layer || result->trace == NULL || result->trace->layers < 2) return 0;
    result->layer = calloc((size_t)result->trace->layers, sizeof(*result->layer));
    if (result->layer == NULL) return command_fail("out of memory");
    int rc = 0;
    for (int l = 0; l < result->trace->layers && rc == 0; l++) rc = layer_solve(job, l, &result->layer[l]);
    if (rc == 0) result->layer_count = result->trace->layers;
    return rc;
}

static double layer_ms(const hm_plan_layer_t *layer)
{
    return layer->cost.ms[layer->depth] + layer->cost.extra_ms[layer->depth];
}

void plan_layers_text(const hm_plan_result_t *result)
{
    double plain = 0, ours = 0;
    if (result->layer_count == 0) return;
    printf("\n%-7s %12s", "layer", "duplication");
    if (result->profile != NULL) printf(" %10s %7s %10s %9s", "plain ms", "depth", "ms", "speedup");
    for (int l = 0; l < result->layer_count; l++) {
        const hm_plan_layer_t *layer = &result->layer[l];
        printf("\n%-7d %11.1f%%", l, 100 * layer->duplication);
        if (result->profile == NULL) continue;
        printf(" %10.3f %7d %10.3f %8.2fx", layer->cost.ms[0], layer->depth, layer_ms(layer),
               layer->cost.ms[0] / layer_ms(layer));
        plain += layer->cost.ms[0];
        ours += layer_ms(layer);
    }
    if (result->profile != NULL)
        printf("\n%-7s %12s %10.3f %7s %10.3f %8.2fx", "all", "", plain, "", ours, plain / ours);
    printf("\n\nbelow: layer %ld\n", result->request->layer);
}

json_t *plan_layers_json(const hm_plan_result_t *result)
{
    json_t *layers = json_array();
    for (int l = 0; l < result->layer_count; l++) {
        const hm_plan_layer_t *layer = &result->layer[l];
        json_t *object = json_pack("{s:i, s:f}", "layer", l, "duplication", layer->duplication);
        if (result->profile != NULL)
            json_object_update_new(object, json_pack("{s:i, s:f, s:f}", "depth", layer->depth, "plain_ms",
                                                     layer->cost.ms[0], "ms", layer_ms(layer)));
        json_array_append_new(layers, object);
    }
    return layers;
}
