/* hiermoe plan --arrange: where all experts of a layer should be, and what others would do. */
#include "command.h"
#include "experts/arrange.h"
#include "json_file.h"
#include "option_table.h"
#include "plan_command.h"
#include "plan_questions.h"
#include "plan_traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: hiermoe plan --arrange [OPTIONS of hiermoe plan] [OPTIONS]\n"
    "Arranges the experts of a layer anew: by pairs that trade places, and by blocks that move together. Every other "
    "token\n"
    "proposes, the rest confirms. Beside it what placements by counts alone would bring (EPLB, SmartMoE).\n";

typedef struct arranging {
    hm_plan_job_t job;
    long steps;
    bool help;
    uint16_t *ids; /* the tokens that propose, then those that confirm */
    hm_routes_t routes, held;
    int depth;
    int *rank; /* [experts] */
    hm_arrangement_kind_t taken;
    hm_arrangement_t result[HM_ARRANGEMENTS];
    double before_ms, after_ms; /* of a dispatch, by the request's cost model */
} arranging_t;

/* Leaves in argv what is hiermoe plan's. */
static int request_read(int *argc, char **argv, arranging_t *arranging)
{
    bool asked = false;
    const hm_option_t table[] = {
        {"arrange", "", HM_OPTION_FLAG, &asked, 0, 0, NULL},
        {"help", "", HM_OPTION_FLAG, &arranging->help, 0, 0, NULL},
        {"steps", "N", HM_OPTION_WHOLE, &arranging->steps, 0, 4096, "most exchanges from one start (default 16)"},
    };
    enum { COUNT = sizeof(table) / sizeof(table[0]) };
    int rc = options_take(table, COUNT, argc, argv);
    if (rc != 0 || !arranging->help) return rc;
    puts(help);
    options_help(table, COUNT);
    return 0;
}

/* Tokens in turns to one part and the other: both see all ranks and all of the time. */
static int routes_part(arranging_t *arranging)
{
    const hm_plan_counts_t *counts = &arranging->job.result.counts;
    size_t top_k = (size_t)arranging->job.request.top_k, half = counts->kept / 2;
    if (counts->ids == NULL || half == 0)
        return command_fail(
            "--arrange: expected drawn or recorded tokens, at least 2: --routing zipf:S, group:N:G, gate:N:G "
            "or trace:FILE");
    if (top_k > HM_SWAP_MAX_TOPK)
        return command_fail("--arrange: top-%zu: expected at most %d", top_k, HM_SWAP_MAX_TOPK);
    arranging->ids = malloc(2 * half * top_k * sizeof(*arranging->ids));
    if (arranging->ids == NULL) return command_fail("out of memory");
    for (size_t t = 0; t < 2 * half; t++)
        memcpy(arranging->ids + (t % 2 * half + t / 2) * top_k, counts->ids + t * top_k,
               top_k * sizeof(*arranging->ids));
    arranging->routes = (hm_routes_t){arranging->ids, half, (int)top_k};
    arranging->held = (hm_routes_t){arranging->ids + half * top_k, half, (int)top_k};
    return 0;
}

static int arranging_solve(arranging_t *arranging)
{
    hm_plan_job_t *job = &arranging->job;
    const hm_plan_request_t *request = &job->request;
    hm_plan_result_t *result = &job->result;
    hm_arrange_options_t options = HM_ARRANGE_DEFAULTS;
    hm_plan_traffic_t traffic;
    if (request->experts > HM_PLAN_MAX_SWAP_EXPERTS)
        return command_fail("--arrange: %ld experts: expected at most %d", request->experts, HM_PLAN_MAX_SWAP_EXPERTS);
    int rc = plan_count(request, job->topo, &result->placement, NULL, result->trace, &result->counts);
    if (rc == 0) rc = routes_part(arranging);
    if (rc == 0) rc = plan_traffic(job, NULL, NULL, &traffic);
    if (rc != 0) return rc;
    arranging->before_ms = plan_traffic_ms(&traffic);
    arranging->depth = traffic.depth > 0 ? traffic.depth : job->topo->levels;
    options.depth = arranging->depth;
    options.row_bytes = result->counts.hits.row_bytes;
    options.steps = (int)arranging->steps;
    options.by.scale = result->counts.kept_scale * 2;
    options.by.routing_groups = (int)request->routing_groups;
    options.by.compute_ms = request->compute_ms / 1000;
    options.by.expert_bytes = request->expert_bytes;
    options.by.horizon = request->horizon;
    arranging->rank = malloc((size_t)request->experts * sizeof(*arranging->rank));
    if (arranging->rank == NULL) return command_fail("out of memory");
    rc = arrange_choose(job->topo, result->profile, &result->placement, &arranging->routes, &arranging->held, &options,
                        arranging->rank, &arranging->taken, arranging->result);
    if (rc != 0) return command_fail("--arrange: %s", strerror(-rc));
    rc = plan_traffic(job, arranging->rank, NULL, &traffic);
    arranging->after_ms = rc == 0 ? plan_traffic_ms(&traffic) : 0;
    return rc;
}

static json_t *arranging_json(const arranging_t *arranging)
{
    json_t *all = json_array(), *rank = json_array();
    for (int k = 0; k < HM_ARRANGEMENTS; k++) {
        const hm_arrangement_t *one = &arranging->result[k];
        json_array_append_new(all, json_pack("{s:s, s:f, s:f, s:i, s:f}", "name", arrange_name(k), "ms", one->ms,
                                             "held_ms", one->held_ms, "moved", one->moved, "move_ms", one->move_ms));
    }
    for (int e = 0; e < arranging->job.request.experts; e++)
        json_array_append_new(rank, json_integer(arranging->rank[e]));
    return json_pack("{s:i, s:s, s:{s:s, s:f, s:f, s:o, s:o}}", "depth", arranging->depth, "cost",
                     plan_cost_name(arranging->job.request.cost_model), "arrange", "taken",
                     arrange_name((int)arranging->taken), "before_ms", arranging->before_ms, "after_ms",
                     arranging->after_ms, "arrangements", all, "rank", rank);
}

static void arranging_text(const arranging_t *arranging)
{
    const hm_plan_job_t *job = &arranging->job;
    printf("%d ranks, profile %s, %s routing, layer %ld, depth %d\n", job->topo->ranks, job->result.profile->name,
           job->request.routing_text, job->request.layer, arranging->depth);
    printf("%zu tokens propose, as many confirm; by the busiest groups (padded cost)\n\n", arranging->routes.tokens);
    printf("%-30s %12s %14s %7s %10s\n", "experts", "proposed ms", "confirmed ms", "moved", "move ms");
    for (int k = 0; k < HM_ARRANGEMENTS; k++) {
        const hm_arrangement_t *one = &arranging->result[k];
        printf("%-30s %12.4f %14.4f %7d %10.3f%s\n", arrange_name(k), one->ms, one->held_ms, one->moved, one->move_ms,
               k == (int)arranging->taken ? "  <- taken" : "");
    }
    if (arranging->taken == HM_ARRANGED_NOW) {
        puts("\nnothing gains 1 % on both parts and twice what moving costs within the horizon");
        return;
    }
    printf("\na dispatch takes %.4f ms instead of %.4f with it, %.2f times as fast (%s cost, all tokens)\n",
           arranging->after_ms, arranging->before_ms, arranging->before_ms / arranging->after_ms,
           plan_cost_name(job->request.cost_model));
}

int plan_arrange_main(int argc, char **argv)
{
    arranging_t arranging = {.steps = 16};
    int rc = request_read(&argc, argv, &arranging);
    if (rc != 0 || arranging.help) return rc;
    rc = plan_request_parse(argc, argv, &arranging.job.request);
    if (rc == 0 && arranging.job.request.help) return 0;
    if (rc == 0 && arranging.job.request.untimed) rc = command_fail("--arrange: expected --profile or --hardware");
    if (rc == 0) rc = plan_job_open(&arranging.job);
    if (rc == 0) rc = arranging_solve(&arranging);
    const char *path = arranging.job.request.json_path;
    if (rc == 0 && path != NULL) rc = json_file_write(arranging_json(&arranging), path);
    if (rc == 0 && !json_file_alone(path)) arranging_text(&arranging);
    free(arranging.ids);
    free(arranging.rank);
    plan_job_close(&arranging.job);
    return rc;
}
