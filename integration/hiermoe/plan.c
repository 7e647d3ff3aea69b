/* hiermoe plan: reads what it is given, lets the planner work, reports. */
#include "command.h"
#include "json_file.h"
#include "plan_command.h"
#include "plan_questions.h"
#include "profile_find.h"
#include "trace_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ranks of a spec such as "4,8"; 0 if it is no list of numbers (topo_parse then says what is wrong). */
static int spec_ranks(const char *spec)
{
    long ranks = 1;
    for (const char *at = spec;;) {
        char *end;
        long factor = strtol(at, &end, 10);
        if (end == at || factor < 1) return 0;
        ranks =
            factor > HM_PLAN_MAX_RANKS || ranks * factor > HM_PLAN_MAX_RANKS ? HM_PLAN_MAX_RANKS + 1 : ranks * factor;
        if (*end != ',') return (int)ranks;
        at = end + 1;
    }
}

static int topo_make(const char *spec, hm_topo_t **topo)
{
    const char *why;
    int ranks = spec_ranks(spec);
    if (ranks > HM_PLAN_MAX_RANKS)
        return command_fail("--topo: \"%s\": expected at most %d ranks", spec, HM_PLAN_MAX_RANKS);
    if (topo_parse(spec, ranks > 0 ? ranks : 1, topo, &why) == 0) return 0;
    return command_fail("--topo: \"%s\": %s", spec, why);
}

/* Where no model was named: what the library plans with, but the paper's own for the profiles that were fitted for it,
 * and without tables of all pairs where ranks are too many. */
static void cost_complete(hm_plan_request_t *request, const hm_topo_t *topo, const hm_profile_t *profile)
{
    bool papers = profile_builtin(profile->name) != NULL;
    if (request->cost >= 0)
        request->cost_model = (hm_cost_model_t)request->cost;
    else if (request->untimed || papers)
        request->cost_model = HM_COST_PADDED;
    else
        request->cost_model = topo->ranks > HM_PLAN_MAX_TABLE_RANKS ? HM_COST_PADDED_SLICED : HM_COST_LINKS_SLICED;
}

/* The topology that the profile was measured on. Its groups need not nest evenly: then only as far as they do. */
static int topo_of_profile(const hm_profile_t *profile, hm_topo_t **topo)
{
    char spec[128];
    size_t length = 0;
    for (int l = 1; l <= profile->levels; l++) {
        if (profile->groups[l] % profile->groups[l - 1] != 0)
            return command_fail("%s: groups do not nest evenly: expected --topo", profile->name);
        length += (size_t)snprintf(spec + length, sizeof(spec) - length, "%s%d", l > 1 ? "," : "",
                                   profile->groups[l] / profile->groups[l - 1]);
    }
    return topo_make(spec, topo);
}

/* "1,8" is one node of 8: it lies inside the outermost groups of a profile that spans nodes. */
static bool topo_inside(const hm_plan_request_t *request, const hm_profile_t *profile)
{
    return request->topo_text != NULL && strncmp(request->topo_text, "1,", 2) == 0 && !profile_within_node(profile);
}

static int topo_and_profile(const hm_plan_request_t *request, hm_topo_t **topo, hm_profile_t *profile)
{
    int rc = request->topo_text != NULL ? topo_make(request->topo_text, topo) : 0;
    if (rc == 0 && request->profile_name != NULL) rc = profile_find(request->profile_name, *topo, profile);
    if (rc == 0 && *topo == NULL) rc = topo_of_profile(profile, topo);
    if (rc == 0 && request->hardware_name != NULL) hardware_profile(&request->hardware, *topo, profile);
    /* The library leaves communicators of one rank alone. */
    if (rc == 0 && (*topo)->ranks < 2) rc = command_fail("plan: one rank: expected at least 2 ranks");
    return rc;
}

static int number_agree(const char *path, const char *name, long *given, long has)
{
    if (*given != 0 && *given != has)
        return command_fail("%s: has %s %ld: expected %ld as --%s says", path, name, has, *given, name);
    *given = has;
    return 0;
}

/* A trace of these ranks fixes the number of tokens; from a trace of other ranks any number is dealt. */
static int trace_agree(hm_plan_request_t *request, const hm_topo_t *topo, const hm_trace_t *trace)
{
    if (request->layer >= trace->layers)
        return command_fail("--layer: %ld: expected less than %d, the layers of %s", request->layer, trace->layers,
                            request->trace_path);
    int rc = 0;
    if (trace->ranks == topo->ranks || request->tokens == 0)
        rc = number_agree(request->trace_path, "tokens", &request->tokens, (long)trace->tokens);
    if (rc == 0) rc = number_agree(request->trace_path, "experts", &request->experts, trace->experts);
    return rc != 0 ? rc : number_agree(request->trace_path, "topk", &request->top_k, trace->top_k);
}

static int experts_agree(const hm_plan_request_t *request)
{
    if (request->top_k > request->experts)
        return command_fail("--topk: %ld: expected at most %ld, the experts", request->top_k, request->experts);
    if (request->experts % request->routing_groups != 0)
        return command_fail("%ld routing groups: expected a number that divides the experts, %ld",
                            request->routing_groups, request->experts);
    return 0;
}

int plan_predict(const hm_plan_result_t *result, const hm_plan_counts_t *counts, hm_cost_t *cost)
{
    hm_cost_options_t how = {.model = result->request->cost_model,
                             .slices = (int)result->request->slices,
                             .own_beside = strcmp(result->profile->device, HM_PROFILE_HOST) != 0};
    hm_table_t table = {.row_bytes = counts->hits.row_bytes, .raw = counts->raw_table};
    for (int l = 1; l <= result->topo->levels; l++) table.distinct[l] = counts->table[l];
    int rc = how.model >= HM_COST_LINKS ? cost_predict(result->topo, result->profile, &table, &how, cost)
                                        : cost_predict_hits(result->topo, result->profile, &counts->hits,
                                                            how.model == HM_COST_PADDED_SLICED ? how.slices : 1, cost);
    return rc == 0 ? 0 : command_fail("predict: %s", strerror(-rc));
}

static void result_finish(hm_plan_result_t *result)
{
    const hm_plan_counts_t *counts = &result->counts;
    for (int d = 0; d <= result->topo->levels; d++)
        result->floor_ms[d] =
            cost_floor(result->topo, result->profile, counts->hits.row_bytes, counts->out[d < 2 ? d : 2]);
    result->depth = cost_depth_choose(&result->cost);
    result->depth_best = cost_depth_best(&result->cost);
}

static void job_profile_set(hm_plan_job_t *job)
{
    bool inside = topo_inside(&job->request, &job->given);
    job->result.given = &job->given;
    job->result.profile = profile_adapt(&job->given, job->topo, inside, &job->room);
    profile_map(&job->given, job->topo, inside, job->result.map);
}

int plan_job_open(hm_plan_job_t *job)
{
    hm_plan_request_t *request = &job->request;
    hm_plan_result_t *result = &job->result;
    int rc = topo_and_profile(request, &job->topo, &job->given);
    if (rc == 0 && request->trace_path != NULL) {
        rc = trace_file_read(request->trace_path, request->experts, &job->trace);
        if (rc == 0) rc = trace_agree(request, job->topo, &job->trace);
    }
    if (rc == 0) rc = experts_agree(request);
    if (rc != 0) return rc;
    cost_complete(request, job->topo, &job->given);
    *result = (hm_plan_result_t){.request = request, .topo = job->topo};
    if (request->trace_path != NULL) result->trace = &job->trace;
    if (!request->untimed) job_profile_set(job);
    job->rank = malloc((size_t)request->experts * sizeof(*job->rank));
    if (job->rank == NULL) return command_fail("out of memory");
    placement_contiguous((int)request->experts, job->topo->ranks, job->rank);
    result->placement = (hm_placement_t){(int)request->experts, job->rank};
    return 0;
}

int plan_job_solve(hm_plan_job_t *job)
{
    hm_plan_result_t *result = &job->result;
    int rc = plan_layers_solve(job);
    if (rc == 0) rc = plan_count(&job->request, job->topo, &result->placement, NULL, result->trace, &result->counts);
    if (rc != 0 || job->request.untimed) return rc;
    rc = plan_predict(result, &result->counts, &result->cost);
    if (rc != 0) return rc;
    result_finish(result);
    rc = plan_swaps_choose(result);
    return rc != 0 ? rc : plan_swaps_price(job);
}

void plan_job_close(hm_plan_job_t *job)
{
    plan_counts_free(&job->result.counts);
    free(job->result.layer);
    free(job->rank);
    trace_free(&job->trace);
    topo_destroy(job->topo);
}

int plan_main(int argc, char **argv)
{
    hm_plan_job_t job = {.topo = NULL};
    int (*ask)(int argc, char **argv);
    int rc = plan_question_find(argc, argv, &ask);
    if (rc == 0 && ask != NULL) return ask(argc, argv);
    if (rc == 0) rc = plan_request_parse(argc, argv, &job.request);
    if (rc != 0 || job.request.help) return rc;
    rc = plan_job_open(&job);
    if (rc == 0) rc = plan_job_solve(&job);
    if (rc == 0 && job.request.json_path != NULL) rc = plan_report_json(&job.result, job.request.json_path);
    if (rc == 0 && !json_file_alone(job.request.json_path)) plan_report_text(&job.result);
    plan_job_close(&job);
    return rc;
}
