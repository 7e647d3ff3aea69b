#include "plan_replicas.h"

#include <stdbool.h>
#include <stdio.h>

#define EXPERTS_SHOWN 16
#define LEASES_SHOWN 8

static const struct {
    const char *key, *text;
} ways[HM_REPLICAS_WAYS] = {
    [HM_REPLICAS_EQUAL] = {"equal", "equal copies"},
    [HM_REPLICAS_BEFORE] = {"forecast", "copies by the loads before"},
    [HM_REPLICAS_NOW] = {"exact", "copies by the loads themselves"},
    [HM_REPLICAS_LEASES] = {"leases", "one copy, leases for the batch"},
};

/* A list has no iteration before it. */
static bool way_known(const hm_plan_loads_t *loads, int way)
{
    return way != HM_REPLICAS_BEFORE || loads->given == NULL;
}

static json_t *numbers_json(const int *number, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(array, json_integer(number[i]));
    return array;
}

static json_t *leases_json(const hm_replicas_layer_t *layer)
{
    json_t *array = json_array();
    for (int i = 0; i < layer->leases; i++) {
        const hm_lease_t *lease = &layer->lease[i];
        json_array_append_new(array, json_pack("{s:i, s:i, s:i, s:I}", "expert", lease->expert, "from", lease->from,
                                               "to", lease->to, "tokens", (json_int_t)lease->tokens));
    }
    return array;
}

static json_t *traffic_json(const hm_plan_traffic_t *traffic)
{
    return json_pack("{s:f, s:f, s:i, s:f}", "plain_ms", traffic->cost.ms[0], "ms", plan_traffic_ms(traffic), "depth",
                     traffic->depth, "rows_most", traffic->rows_most);
}

json_t *replicas_layer_json(const hm_replicas_request_t *request, const hm_plan_loads_t *loads,
                            const hm_replicas_layer_t *layer)
{
    size_t places = (size_t)request->ranks * (size_t)request->slots;
    json_t *root = json_object();
    if (loads->given == NULL) {
        json_object_set_new(root, "layer", json_integer(layer->layer));
        json_object_set_new(root, "iterations", json_integer(layer->iterations));
    }
    json_object_set_new(root, "counts", numbers_json(layer->count, (size_t)loads->experts));
    json_object_set_new(root, "slots", numbers_json(layer->slot, places));
    for (int w = 0; w < HM_REPLICAS_WAYS; w++)
        if (way_known(loads, w))
            json_object_set_new(
                root, ways[w].key,
                json_pack("{s:f, s:f}", "imbalance", layer->way[w].imbalance, "dropped", layer->way[w].dropped));
    json_object_set_new(root, "lent", leases_json(layer));
    if (request->job != NULL) {
        json_object_set_new(root, "traffic_one", traffic_json(&layer->one));
        json_object_set_new(root, "traffic_copies", traffic_json(&layer->copies));
    }
    return root;
}

/* Slots lie next to each other, so an expert's are a range of ranks. */
static void copies_text(const hm_replicas_request_t *request, const hm_plan_loads_t *loads,
                        const hm_replicas_layer_t *layer)
{
    int shown = 0, more = 0, at = 0;
    printf("\n%-8s %7s   %s\n", "expert", "copies", "ranks");
    for (int e = 0; e < loads->experts; at += layer->count[e], e++) {
        bool worth = layer->count[e] > 1 || loads->experts <= EXPERTS_SHOWN;
        if (!worth || shown == EXPERTS_SHOWN) {
            more++;
            continue;
        }
        int first = at / (int)request->slots, last = (at + layer->count[e] - 1) / (int)request->slots;
        printf("%-8d %7d   %d", e, layer->count[e], first);
        if (last > first) printf(" to %d", last);
        putchar('\n');
        shown++;
    }
    if (more > 0) printf("and %d more experts (all in JSON)\n", more);
}

static void leases_text(const hm_replicas_layer_t *layer)
{
    for (int i = 0; i < layer->leases && i < LEASES_SHOWN; i++)
        printf("%srank %d computes %llu tokens of expert %d of rank %d\n", i == 0 ? "\nleases: " : "        ",
               layer->lease[i].to, (unsigned long long)layer->lease[i].tokens, layer->lease[i].expert,
               layer->lease[i].from);
    if (layer->leases > LEASES_SHOWN) printf("        and %d more\n", layer->leases - LEASES_SHOWN);
}

static void traffic_text(const char *name, const hm_plan_traffic_t *traffic)
{
    printf("%-13s %12.3f %12.3f %6d %14.0f\n", name, traffic->cost.ms[0], plan_traffic_ms(traffic), traffic->depth,
           traffic->rows_most);
}

void replicas_layer_text(const hm_replicas_request_t *request, const hm_plan_loads_t *loads,
                         const hm_replicas_layer_t *layer)
{
    if (loads->given == NULL)
        printf("\nlayer %d, %d iterations of %ld tokens a rank; copies for the one to come\n", layer->layer,
               layer->iterations, request->window);
    copies_text(request, loads, layer);
    printf("\n%-32s %13s %9s\n", "", "heaviest rank", "dropped");
    for (int w = 0; w < HM_REPLICAS_WAYS; w++)
        if (way_known(loads, w))
            printf("%-32s %12.3fx %8.1f%%\n", ways[w].text, layer->way[w].imbalance, 100 * layer->way[w].dropped);
    leases_text(layer);
    if (request->job == NULL) return;
    printf("\n%-13s %12s %12s %6s %14s   (all of the trace's tokens)\n", "all-to-all", "plain ms", "ms", "depth",
           "most rows");
    traffic_text("one copy", &layer->one);
    traffic_text("these copies", &layer->copies);
}
