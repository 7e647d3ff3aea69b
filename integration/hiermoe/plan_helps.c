/* hiermoe plan --what-helps: one table of what could be done for a job. */
#include "plan_helps.h"

#include "command.h"
#include "json_file.h"
#include "option_table.h"
#include "plan_questions.h"
#include "profile_find.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: hiermoe plan --what-helps [OPTIONS of hiermoe plan] [OPTIONS]\n"
    "Predicts a training step of equal MoE layers with de-duplication, swaps, replicas and overlap, each alone and "
    "those\n"
    "that gain something together, and says what each needs. Routing, cluster and model as for hiermoe plan; times of\n"
    "experts by --compute-ms. All that is left out takes no time.\n";

static const struct {
    const char *key, *text, *needs;
} measures[HM_HELPS_MEASURES] = {
    [HM_HELPS_DEDUP] = {"dedup", "de-duplication", "libhiermoe.so preloaded"},
    [HM_HELPS_BOTH] = {"sums", "and sums on the way back", "guided mode (adapter); results up to summation order"},
    [HM_HELPS_SWAP] = {"swap", "swapped experts", "guided mode (adapter), which moves weights and optimizer state"},
    [HM_HELPS_REPLICAS] = {"replicas", "replicas", "slots for copies, optimizer state apart from them (SwiftMoE)"},
    [HM_HELPS_OVERLAP] = {"overlap", "overlap", "a layer that computes in chunks, gradients in slices (FSMoE)"},
};

/* Leaves in argv what is hiermoe plan's. */
static int request_read(int *argc, char **argv, hm_helps_request_t *request)
{
    const hm_option_t table[] = {
        {"what-helps", "", HM_OPTION_FLAG, &request->asked, 0, 0, NULL},
        {"help", "", HM_OPTION_FLAG, &request->help, 0, 0, NULL},
        {"layers", "N", HM_OPTION_WHOLE, &request->layers, 1, HM_STEP_LAYERS, "MoE layers (default 1)"},
        {"dense-ms", "F,B", HM_OPTION_PAIR, request->dense_ms, 0, 0,
         "ms forward and backward of what lies between two MoE layers"},
        {"reduce-ms", "X", HM_OPTION_REAL, &request->reduce_ms, 0, 0,
         "ms in which one layer's gradient is reduced over data-parallel ranks"},
        {"slots", "N", HM_OPTION_WHOLE, &request->slots, 1, 65536,
         "expert slots of a rank for replicas (default: what one copy of each needs, and one)"},
    };
    enum { COUNT = sizeof(table) / sizeof(table[0]) };
    *request = (hm_helps_request_t){.dense_ms = {-1, -1}, .reduce_ms = -1};
    int rc = options_take(table, COUNT, argc, argv);
    if (rc != 0 || !request->help) return rc;
    puts(help);
    options_help(table, COUNT);
    puts("\nA profile's overlap_ lines (hiermoe plan --overlap --help) stand for the first three where these are not "
         "given.\nPlain: one chunk, a layer's gradient reduced at once beside the pass, as frameworks do.");
    return 0;
}

/* What is given, else what the profile says, else nothing. A reduction's start-up is that of the profile's link. */
static int step_make(hm_helps_job_t *helps)
{
    const char *name = helps->job.request.profile_name;
    const hm_profile_t *profile = helps->job.result.profile;
    const hm_helps_request_t *request = &helps->request;
    hm_overlap_text_t text = {.layers = 0};
    hm_profile_t unused;
    int rc = name != NULL && strncmp(name, "prior:", 6) != 0 ? overlap_find(name, false, &unused, &text) : 0;
    if (rc != 0) return rc;
    double alpha = profile->levels > 1 ? profile->inter[1].alpha_ms : profile->intra[0].alpha_ms;
    hm_step_t *step = &helps->step;
    *step = (hm_step_t){.layers = request->layers > 0 ? (int)request->layers
                                  : text.layers > 0   ? (int)text.layers
                                                      : 1,
                        .dense_ms = {text.dense_ms[0], text.dense_ms[1]},
                        .gradient_bytes = text.reduction.units,
                        .reduce_ms = text.reduction.alpha_ms,
                        .reduce_byte_ms = text.reduction.unit_ms};
    if (request->dense_ms[0] >= 0) memcpy(step->dense_ms, request->dense_ms, sizeof(step->dense_ms));
    if (request->reduce_ms < 0) return 0;
    step->gradient_bytes = request->reduce_ms > 0 ? 1 : 0; /* one unit takes the time given */
    step->reduce_ms = alpha < request->reduce_ms ? alpha : request->reduce_ms;
    step->reduce_byte_ms = request->reduce_ms - step->reduce_ms;
    return 0;
}

static int slots_complete(hm_helps_job_t *helps)
{
    long experts = helps->job.request.experts, ranks = helps->job.topo->ranks, *slots = &helps->request.slots;
    if (experts > HM_PLAN_MAX_COPIED_EXPERTS)
        return command_fail("--what-helps: %ld experts: expected at most %d", experts, HM_PLAN_MAX_COPIED_EXPERTS);
    if (*slots == 0) *slots = (experts + ranks - 1) / ranks + 1;
    if (*slots * ranks < experts)
        return command_fail("--slots: %ld: expected at least %ld on %ld ranks, for %ld experts", *slots,
                            (experts + ranks - 1) / ranks, ranks, experts);
    if (*slots * ranks > 1L << 24)
        return command_fail("--slots: %ld: expected at most %ld on %ld ranks", *slots, (1L << 24) / ranks, ranks);
    return 0;
}

static json_t *helps_json(const hm_helps_job_t *helps)
{
    json_t *array = json_array();
    for (int m = 0; m < HM_HELPS_MEASURES; m++)
        json_array_append_new(array, json_pack("{s:s, s:f, s:f, s:b, s:s}", "measure", measures[m].key, "alone_ms",
                                               helps->alone_ms[m], "together_ms", helps->together_ms[m], "taken",
                                               helps->taken[m], "needs", measures[m].needs));
    return json_pack("{s:i, s:i, s:i, s:i, s:{s:f, s:o}}", "layers", helps->step.layers, "ranks",
                     helps->job.topo->ranks, "depth", helps->traffic[0][0].depth, "swaps", helps->job.result.swap_count,
                     "helps", "plain_ms", helps->plain_ms, "measures", array);
}

static void speedup_text(double plain, double ms)
{
    if (ms > 0) printf(" %10.3f %7.2fx", ms, plain / ms);
    if (!(ms > 0)) printf(" %10.3f %8s", ms, "-");
}

static void helps_text(const hm_helps_job_t *helps)
{
    const hm_plan_job_t *job = &helps->job;
    printf("a step of %d MoE layer%s on %d ranks, profile %s, %s routing\n", helps->step.layers,
           helps->step.layers > 1 ? "s" : "", job->topo->ranks, job->result.profile->name, job->request.routing_text);
    printf("depth %d, %d swaps, %ld slots a rank; all together %d and %d chunks\n\n", helps->traffic[0][0].depth,
           job->result.swap_count, helps->request.slots, helps->how.degree[0], helps->how.degree[1]);
    printf("%-25s %10s %8s %10s %8s  %s\n", "", "alone ms", "speedup", "so far ms", "speedup", "needs");
    printf("%-25s %10.3f %8s %10s %8s  nothing\n", "plain", helps->plain_ms, "", "", "");
    for (int m = 0; m < HM_HELPS_MEASURES; m++) {
        printf("%-25s", measures[m].text);
        speedup_text(helps->plain_ms, helps->alone_ms[m]);
        if (helps->taken[m]) speedup_text(helps->plain_ms, helps->together_ms[m]);
        if (!helps->taken[m]) printf(" %19s", "left out");
        printf("  %s\n", measures[m].needs);
    }
    puts("\nnot counted: moving experts, the memory of copies, sums' own time, streams that slow each other down");
    if (job->request.compute_ms == 0) puts("note: experts take no time without --compute-ms");
}

int plan_helps_main(int argc, char **argv)
{
    hm_helps_job_t helps = {.job.topo = NULL};
    int rc = request_read(&argc, argv, &helps.request);
    if (rc != 0 || helps.request.help) return rc;
    rc = plan_request_parse(argc, argv, &helps.job.request);
    if (rc == 0 && helps.job.request.untimed) rc = command_fail("--what-helps: expected --profile or --hardware");
    if (rc == 0) rc = plan_job_open(&helps.job);
    if (rc == 0) rc = slots_complete(&helps);
    if (rc == 0) rc = step_make(&helps);
    if (rc == 0) rc = helps_solve(&helps);
    const char *path = helps.job.request.json_path;
    if (rc == 0 && path != NULL) rc = json_file_write(helps_json(&helps), path);
    if (rc == 0 && !json_file_alone(path)) helps_text(&helps);
    plan_job_close(&helps.job);
    return rc;
}
