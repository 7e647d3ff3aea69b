/* hiermoe plan --replicas: copies of experts by SwiftMoE's rule, beside leases for a batch. */
#include "plan_replicas.h"

#include "command.h"
#include "json_file.h"
#include "option_table.h"
#include "replicas/replicas.h"

#include <stdio.h>
#include <string.h>

#define REPLICAS_ARGUMENTS 32 /* left for a job */

static const char help[] =
    "usage: hiermoe plan --replicas (--loads A,B,... | --routing trace:FILE) [OPTIONS]\n"
    "How many copies of each expert to keep in which slots (SwiftMoE, arXiv 2504.19925), and what leases for one "
    "batch\n"
    "(LLEP, arXiv 2601.17111) would do instead. Copies of an iteration follow the loads of the one before.\n";

/* Leaves in argv what is not known here. */
static int request_read(int *argc, char **argv, hm_replicas_request_t *request)
{
    const hm_option_t table[] = {
        {"replicas", "", HM_OPTION_FLAG, &request->asked, 0, 0, NULL},
        {"help", "", HM_OPTION_FLAG, &request->help, 0, 0, NULL},
        {"loads", "A,B,...", HM_OPTION_TEXT, &request->loads, 0, 0,
         "tokens that chose each expert in the iteration before"},
        {"routing", "R", HM_OPTION_TEXT, &request->routing, 0, 0,
         "trace:FILE: its tokens in order are iterations, each forecast by the one before"},
        {"ranks", "N", HM_OPTION_WHOLE, &request->ranks, 1, 65536, "default: those of the trace"},
        {"slots", "N", HM_OPTION_WHOLE, &request->slots, 1, 65536,
         "expert slots of a rank (default: what one copy of each needs, and one)"},
        {"layer", "N", HM_OPTION_WHOLE, &request->layer, 0, 4095, "of the trace (default: all)"},
        {"window", "N", HM_OPTION_WHOLE, &request->window, 1, 1 << 20,
         "tokens of a rank in an iteration (default 128)"},
        {"capacity", "X", HM_OPTION_REAL, &request->capacity, 0, 0,
         "a slot takes X times its share of the tokens, others are dropped (default 1)"},
        {"threshold", "X", HM_OPTION_REAL, &request->lease.threshold, 0, 0,
         "leases from this ratio of the heaviest rank to the mean on (default 1.3)"},
        {"least-tokens", "N", HM_OPTION_WHOLE, &request->least_tokens, 0, 1 << 30,
         "fewer are not worth a lease (default 1024)"},
        {"expert-bytes", "X", HM_OPTION_REAL, &request->expert_bytes, 0, 0,
         "bytes of an expert's weights: says what the optimizer's phases take"},
        {"host-gb", "X", HM_OPTION_REAL, &request->host_gb, 0, 0,
         "GB/s between a GPU and its host, where optimizer states lie (default 64; 0: on the GPU)"},
        {"network-gb", "X", HM_OPTION_REAL, &request->network_gb, 0, 0, "GB/s between ranks (default 50)"},
        {"json", "FILE", HM_OPTION_TEXT, &request->json_path, 0, 0,
         "write JSON to FILE as well; -: to standard output instead of the table"},
    };
    enum { COUNT = sizeof(table) / sizeof(table[0]) };
    const hm_lease_options_t lease = HM_LEASE_DEFAULTS;
    *request = (hm_replicas_request_t){.layer = -1, .window = 128, .capacity = 1, .host_gb = 64, .network_gb = 50};
    request->lease = lease;
    request->least_tokens = (long)lease.least_tokens;
    int rc = options_take(table, COUNT, argc, argv);
    request->lease.least_tokens = (uint64_t)request->least_tokens;
    if (rc == 0 && request->help) {
        puts(help);
        options_help(table, COUNT);
        puts("  --profile P       says what an all-to-all of all the trace's tokens takes with the copies for the "
             "iteration\n"
             "                    to come, each token going to the nearest; with it, as for hiermoe plan, --topo,\n"
             "                    --hidden, --tokens, --element-bytes, --cost and --slices\n\n"
             "JSON's slots are the experts of all slots, rank by rank.");
    }
    if (rc == 0 && request->expert_bytes > 0 && request->network_gb <= 0)
        rc = command_fail("--network-gb: expected more than 0");
    return rc;
}

/* The rest of the options, which are hiermoe plan's, make a job to price traffic with. */
static int job_open(const hm_replicas_request_t *request, int argc, char **argv, hm_plan_job_t *job)
{
    char *all[REPLICAS_ARGUMENTS + 3];
    if (argc > REPLICAS_ARGUMENTS) return options_end("replicas", argc, argv);
    if (request->routing == NULL) return command_fail("--profile: expected --routing trace:FILE with it");
    memcpy(all, argv, (size_t)argc * sizeof(*all));
    all[argc] = "--routing";
    all[argc + 1] = (char *)request->routing;
    all[argc + 2] = NULL;
    int rc = plan_request_parse(argc + 2, all, &job->request);
    if (rc != 0) return rc;
    job->request.swaps = 0;
    return plan_job_open(job);
}

static int ranks_complete(const hm_plan_loads_t *loads, hm_replicas_request_t *request)
{
    long experts = loads->experts, joined = request->job != NULL ? request->job->topo->ranks : 0;
    if (experts > HM_PLAN_MAX_COPIED_EXPERTS)
        return command_fail("--replicas: %ld experts: expected at most %d", experts, HM_PLAN_MAX_COPIED_EXPERTS);
    if (joined > 0 && request->ranks > 0 && request->ranks != joined)
        return command_fail("--ranks: %ld: expected %ld, the ranks of --topo or the profile", request->ranks, joined);
    if (request->ranks == 0) request->ranks = joined;
    if (request->ranks == 0 && loads->given != NULL) return command_fail("--replicas: expected --ranks with --loads");
    if (request->ranks == 0) request->ranks = loads->trace.ranks;
    if (request->slots == 0) request->slots = (experts + request->ranks - 1) / request->ranks + 1;
    if (request->ranks * request->slots < experts)
        return command_fail(
            "--slots: %ld ranks of %ld slots: expected at least %ld slots together, one for each expert",
            request->ranks, request->slots, experts);
    if (request->ranks * request->slots > 1L << 24)
        return command_fail("--slots: %ld ranks of %ld slots: expected at most 16777216 together", request->ranks,
                            request->slots);
    if (loads->given != NULL || (size_t)request->window * 2 <= loads->trace.tokens) return 0;
    return command_fail("--window: %ld: expected at most %zu, half of a rank's tokens in the trace", request->window,
                        loads->trace.tokens / 2);
}

static hm_replicas_phase_t phase_of(const hm_replicas_request_t *request, int experts)
{
    return (hm_replicas_phase_t){.experts = experts,
                                 .ranks = (int)request->ranks,
                                 .slots = (int)request->slots,
                                 .bytes = request->expert_bytes,
                                 .host_ms = request->host_gb > 0 ? 1e-6 / request->host_gb : 0,
                                 .network_ms = 1e-6 / request->network_gb};
}

static void optimizer_json(const hm_replicas_request_t *request, int experts, json_t *replicas)
{
    hm_replicas_phase_t phase = phase_of(request, experts);
    if (request->expert_bytes <= 0) return;
    json_object_set_new(replicas, "optimizer",
                        json_pack("{s:f, s:f, s:f}", "static_ms", replicas_phase_static(&phase), "decoupled_ms",
                                  replicas_phase_decoupled(&phase), "extra", replicas_phase_extra(&phase)));
}

static void optimizer_text(const hm_replicas_request_t *request, int experts)
{
    hm_replicas_phase_t phase = phase_of(request, experts);
    if (request->expert_bytes <= 0) return;
    printf(
        "\neach phase of the optimizer (gradients in, weights out): %.3f ms with states that stay with their copies,\n"
        "%.3f ms (%.2f %% more) with states in equal parts on all ranks, and then any slot may change its expert\n",
        replicas_phase_static(&phase), replicas_phase_decoupled(&phase), 100 * replicas_phase_extra(&phase));
}

/* A list is one layer, whose keys lie in replicas itself; a trace has an array of them. */
static int layers_report(const hm_replicas_request_t *request, const hm_plan_loads_t *loads, int first, int end,
                         json_t *root)
{
    json_t *replicas = json_object(), *layers = json_array();
    int rc = 0;
    if (!json_file_alone(request->json_path))
        printf("%d experts, %ld ranks of %ld slots\n", loads->experts, request->ranks, request->slots);
    for (int l = first; l < end && rc == 0; l++) {
        hm_replicas_layer_t layer;
        rc = replicas_layer_solve(request, loads, l, &layer);
        if (rc == 0 && loads->given != NULL)
            json_object_update_new(replicas, replicas_layer_json(request, loads, &layer));
        if (rc == 0 && loads->given == NULL) json_array_append_new(layers, replicas_layer_json(request, loads, &layer));
        if (rc == 0 && !json_file_alone(request->json_path)) replicas_layer_text(request, loads, &layer);
        replicas_layer_free(&layer);
    }
    if (loads->given == NULL) json_object_set(replicas, "layers", layers);
    optimizer_json(request, loads->experts, replicas);
    if (rc == 0 && !json_file_alone(request->json_path)) optimizer_text(request, loads->experts);
    json_decref(layers);
    json_object_set_new(root, "ranks", json_integer(request->ranks));
    json_object_set_new(root, "slots_per_rank", json_integer(request->slots));
    json_object_set_new(root, "replicas", replicas);
    return rc;
}

static int loads_report(hm_replicas_request_t *request, const hm_plan_loads_t *loads)
{
    int first, end;
    int rc = ranks_complete(loads, request);
    if (rc == 0) rc = plan_loads_layers(loads, request->layer, &first, &end);
    if (rc != 0) return rc;
    json_t *root = json_object();
    rc = layers_report(request, loads, first, end, root);
    if (rc == 0 && request->json_path != NULL) rc = json_file_write(json_incref(root), request->json_path);
    json_decref(root);
    return rc;
}

int plan_replicas_main(int argc, char **argv)
{
    hm_replicas_request_t request;
    hm_plan_loads_t loads;
    hm_plan_job_t job = {.topo = NULL};
    int rc = request_read(&argc, argv, &request);
    if (rc != 0 || request.help) return rc;
    bool priced = false;
    for (int i = 1; i < argc; i++) priced |= strncmp(argv[i], "--profile", 9) == 0;
    if (!priced) rc = options_end("replicas", argc, argv);
    if (rc == 0) rc = plan_loads_read("--replicas", request.loads, request.routing, &loads);
    if (rc != 0) return rc;
    if (priced) {
        request.job = &job;
        rc = job_open(&request, argc, argv, &job);
    }
    if (rc == 0) rc = loads_report(&request, &loads);
    plan_job_close(&job);
    plan_loads_free(&loads);
    return rc;
}
