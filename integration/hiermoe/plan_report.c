/* What hiermoe plan prints: a table, or JSON with the same figures. */
#include "json_file.h"
#include "plan_command.h"

#include <math.h>
#include <stdio.h>

/* Rounded to 0.1 %: a count of tokens is no more exact. */
static double duplication(const hm_plan_result_t *result, int level)
{
    return round(1e3 * table_duplication(result->counts.distinct[level], result->counts.raw)) / 1e3;
}

static const char *depth_key(int depth, char key[16])
{
    snprintf(key, 16, "%d", depth);
    return depth == 0 ? "none" : key;
}

static json_t *by_depth(const hm_plan_result_t *result, const double *value)
{
    char key[16];
    json_t *object = json_object();
    for (int d = 0; d <= result->topo->levels; d++) json_object_set_new(object, depth_key(d, key), json_real(value[d]));
    return object;
}

static json_t *report_swaps(const hm_plan_result_t *result)
{
    json_t *swaps = json_array();
    for (int i = 0; i < result->swap_count; i++) {
        const hm_plan_swap_t *swap = &result->swap[i];
        json_array_append_new(swaps, json_pack("{s:i, s:i, s:f, s:f, s:f}", "a", swap->a, "b", swap->b, "before_ms",
                                               swap->before_ms, "after_ms", swap->after_ms, "move_ms", swap->move_ms));
    }
    return swaps;
}

/* The profile's level whose links stand for the links of a level here. */
static int level_served(const hm_plan_result_t *result, int level)
{
    int outer = result->map[level - 1] + 1;
    return outer < result->given->levels ? outer : result->given->levels;
}

static json_t *report_levels(const hm_plan_result_t *result)
{
    json_t *levels = json_array();
    for (int l = 1; l <= result->topo->levels; l++)
        json_array_append_new(levels, json_integer(level_served(result, l)));
    return levels;
}

static json_t *report_notes(const hm_plan_result_t *result)
{
    json_t *array = json_array();
    hm_plan_notes_t notes;
    plan_notes_write(result, &notes);
    for (int i = 0; i < notes.count; i++) json_array_append_new(array, json_string(notes.text[i]));
    return array;
}

static json_t *report_step(const hm_plan_result_t *result)
{
    hm_plan_step_t step;
    plan_step_predict(result, &step);
    if (step.plain_ms <= 0) return NULL;
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "compute_ms", step.compute_ms, "plain_ms", step.plain_ms, "exact_ms",
                     step.exact_ms, "guided_ms", step.guided_ms, "mfu", result->request->mfu);
}

/* All that needs a profile. */
static void report_times(const hm_plan_result_t *result, json_t *root)
{
    char answer[HM_PLAN_ANSWER];
    const hm_plan_request_t *request = result->request;
    plan_answer_write(result, answer, sizeof(answer));
    json_object_set_new(root, "answer", json_string(answer));
    json_object_set_new(root, "step", report_step(result));
    json_object_set_new(root, "profile", json_string(result->profile->name));
    json_object_set_new(root, "cost", json_string(plan_cost_name(request->cost_model)));
    json_object_set_new(root, "profile_levels", report_levels(result));
    json_object_set_new(root, "predicted_ms", by_depth(result, result->cost.ms));
    json_object_set_new(root, "extra_ms", by_depth(result, result->cost.extra_ms));
    json_object_set_new(root, "floor_ms", by_depth(result, result->floor_ms));
    json_object_set_new(root, "depth", json_integer(result->depth));
    json_object_set_new(root, "depth_best", json_integer(result->depth_best));
    json_object_set_new(root, "swaps", report_swaps(result));
    if (result->swap_count > 0) {
        json_object_set_new(root, "swaps_cost", json_string(plan_cost_name(request->cost_model)));
        json_object_set_new(root, "swaps_compute_ms", json_real(request->compute_ms));
        json_object_set_new(root, "swaps_objective", json_string(plan_objective_name(result->swap_objective)));
    }
    if (result->swap_note != NULL) json_object_set_new(root, "swaps_note", json_string(result->swap_note));
}

static json_t *report_object(const hm_plan_result_t *result)
{
    char key[16];
    const hm_plan_request_t *request = result->request;
    json_t *groups = json_array(), *dup = json_object();
    for (int l = 1; l <= result->topo->levels; l++) {
        json_array_append_new(groups, json_integer(result->topo->groups[l]));
        snprintf(key, sizeof(key), "%d", result->topo->groups[l]);
        json_object_set_new(dup, key, json_real(duplication(result, l)));
    }
    json_t *root = json_pack("{s:s, s:i, s:o, s:I, s:I, s:I, s:I, s:I}", "routing", request->routing_text, "ranks",
                             result->topo->ranks, "groups", groups, "tokens", (json_int_t)request->tokens, "hidden",
                             (json_int_t)request->hidden, "experts", (json_int_t)request->experts, "topk",
                             (json_int_t)request->top_k, "row_bytes", (json_int_t)result->counts.hits.row_bytes);
    if (result->trace != NULL) json_object_set_new(root, "trace_ranks", json_integer(result->trace->ranks));
    json_object_set_new(root, "duplication", dup);
    json_object_set_new(root, "routing_groups", json_integer(request->routing_groups));
    if (result->layer_count > 0) {
        json_object_set_new(root, "layer", json_integer(request->layer));
        json_object_set_new(root, "layers", plan_layers_json(result));
    }
    if (result->profile != NULL) report_times(result, root);
    json_object_set_new(root, "notes", report_notes(result));
    return root;
}

int plan_report_json(const hm_plan_result_t *result, const char *path)
{
    return json_file_write(report_object(result), path);
}

/* Where the profile is of another cluster: which of its links stand for which. */
static void text_levels(const hm_plan_result_t *result)
{
    const hm_profile_t *given = result->given;
    if (result->profile == given) return;
    printf("the profile's %d ranks are others: ", given->groups[given->levels]);
    for (int l = 1; l <= result->topo->levels; l++)
        printf("%s%d groups joined as its %d", l > 1 ? ", " : "", result->topo->groups[l],
               given->groups[level_served(result, l)]);
    putchar('\n');
}

static void text_depths(const hm_plan_result_t *result)
{
    printf("\n%-7s %12s %10s %10s %9s\n", "depth", "predicted ms", "extra ms", "floor ms", "speedup");
    for (int d = 0; d <= result->topo->levels; d++) {
        char key[16];
        double all = result->cost.ms[d] + result->cost.extra_ms[d];
        char speedup[16] = "-"; /* of nothing over nothing */
        if (all > 0) snprintf(speedup, sizeof(speedup), "%.2fx", result->cost.ms[0] / all);
        printf("%-7s %12.3f %10.3f %10.3f %9s%s\n", depth_key(d, key), result->cost.ms[d], result->cost.extra_ms[d],
               result->floor_ms[d], speedup, d == result->depth ? "  <- taken" : "");
    }
}

static void text_swaps(const hm_plan_result_t *result)
{
    const hm_plan_request_t *request = result->request;
    if (result->swap_note != NULL) printf("\nno swaps: %s\n", result->swap_note);
    if (result->swap_count > 0)
        printf("\n%-13s %10s %10s %10s   (at depth %d, %s cost%s, chosen by %s)\n", "swap experts", "before ms",
               "after ms", "move ms", result->swap_depth, plan_cost_name(request->cost_model),
               request->compute_ms > 0 ? " with compute" : "", plan_objective_name(result->swap_objective));
    for (int i = 0; i < result->swap_count; i++) {
        const hm_plan_swap_t *swap = &result->swap[i];
        printf("%5d %5d   %10.4f %10.4f %10.3f\n", swap->a, swap->b, swap->before_ms, swap->after_ms, swap->move_ms);
    }
}

static void text_notes(const hm_plan_result_t *result)
{
    hm_plan_notes_t notes;
    plan_notes_write(result, &notes);
    for (int i = 0; i < notes.count; i++) printf("%snote: %s\n", i == 0 ? "\n" : "", notes.text[i]);
}

/* What the makers' figures were taken for. */
static void text_links(const hm_plan_result_t *result)
{
    const hm_hardware_t *hardware = &result->request->hardware;
    for (int l = 1; l <= result->topo->levels; l++) {
        double speed = hardware_speed(hardware, result->topo, l);
        if (l == 1 && result->topo->levels > 1)
            printf("between %d groups: %s, %g Gb/s a GPU, %.1f GB/s reached\n", result->topo->groups[l],
                   hardware->network->shown, hardware->net_gbit_per_s, speed);
        else
            printf("between %d groups: NVLink, %.0f GB/s reached\n", result->topo->groups[l], speed);
    }
}

static void text_answer(const hm_plan_result_t *result)
{
    char answer[HM_PLAN_ANSWER];
    plan_answer_write(result, answer, sizeof(answer));
    printf("\n%s\n", answer);
}

void plan_report_text(const hm_plan_result_t *result)
{
    const hm_plan_request_t *request = result->request;
    if (result->profile == NULL)
        printf("%d ranks, %s routing\n", result->topo->ranks, request->routing_text);
    else
        printf("%d ranks, profile %s, %s routing, %s cost\n", result->topo->ranks, result->profile->name,
               request->routing_text, plan_cost_name(request->cost_model));
    printf("%ld tokens a rank, rows of %zu bytes, top-%ld of %ld experts\n", request->tokens,
           result->counts.hits.row_bytes, request->top_k, request->experts);
    if (result->trace != NULL && result->trace->ranks != result->topo->ranks)
        printf("tokens dealt from a trace of %d ranks, %zu tokens each\n", result->trace->ranks, result->trace->tokens);
    if (result->profile != NULL) text_levels(result);
    if (request->hardware_name != NULL) text_links(result);
    plan_layers_text(result);
    putchar('\n');
    printf("%-7s %12s\n", "groups", "duplication");
    for (int l = 1; l <= result->topo->levels; l++)
        printf("%-7d %11.1f%%\n", result->topo->groups[l], 100 * duplication(result, l));
    if (result->profile != NULL) text_depths(result);
    if (result->profile != NULL && request->swaps > 0) text_swaps(result);
    text_notes(result);
    if (result->profile != NULL) text_answer(result);
}
