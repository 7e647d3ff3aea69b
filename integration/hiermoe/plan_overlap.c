/* hiermoe plan --overlap: what FSMoE's schedule would bring a job. */
#include "command.h"
#include "json_file.h"
#include "option_table.h"
#include "plan_questions.h"
#include "profile_find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: hiermoe plan --overlap --profile P [OPTIONS]\n"
    "How many chunks an MoE layer's tokens should go through in, forward and backward, and when gradients should be\n"
    "reduced, so that dispatch, experts and links inside and between nodes overlap (FSMoE, arXiv 2501.10714). "
    "Simulated\n"
    "with three streams; all degrees of 1, 2, 4 and 8 are tried.\n";

static const char after[] = "\nJSON's gradient_slices are bytes, for each layer from the last two: reduced between its "
                            "dispatches and combines,\n"
                            "and beside what lies before it; and a last one for what is left at the end.";

/* Other ways to schedule the same step. */
static const struct {
    const char *key, *text;
    hm_step_how_t how;
    bool same; /* one degree for both passes */
    bool one_chunk;
} others[] = {
    {"plain_ms", "one chunk, reductions beside", {.reduction = HM_REDUCTION_CHUNKS}, true, true},
    {"lina_ms",
     "one degree, links take turns, 30 MB reduced at once (PipeMoE and Lina)",
     {.one_link = true, .reduction = HM_REDUCTION_CHUNKS, .chunk_bytes = 30e6},
     true,
     false},
    {"whole_ms", "a layer's gradient reduced at once", {.reduction = HM_REDUCTION_CHUNKS}, false, false},
    {"one_link_ms", "links inside and between nodes take turns", {.one_link = true}, false, false},
    {"carry_ms", "slices by the paper's first step", {.reduction = HM_REDUCTION_CARRY}, false, false},
};

#define OTHERS (sizeof(others) / sizeof(others[0]))

typedef struct answer {
    hm_step_t step;
    hm_step_how_t how;
    double *slice; /* [gradient_places(layers)] */
    double ms, other_ms[OTHERS];
} answer_t;

static int other_solve(const answer_t *answer, size_t which, double *ms)
{
    hm_step_how_t how = others[which].how;
    how.degree[0] = how.degree[1] = 1;
    return others[which].one_chunk ? step_simulate(&answer->step, &how, NULL, ms)
                                   : step_choose(&answer->step, others[which].same, &how, NULL, ms);
}

/* 30 MB may be too little for huge gradients; that one is then left out. */
static int answer_solve(answer_t *answer)
{
    int rc = 0;
    answer->how = (hm_step_how_t){.reduction = HM_REDUCTION_BEST};
    answer->slice = malloc((size_t)gradient_places(answer->step.layers) * sizeof(*answer->slice));
    if (answer->slice == NULL) return command_fail("out of memory");
    rc = step_choose(&answer->step, false, &answer->how, answer->slice, &answer->ms);
    for (size_t i = 0; i < OTHERS && rc == 0; i++) {
        rc = other_solve(answer, i, &answer->other_ms[i]);
        if (rc == -EINVAL) rc = (int)(answer->other_ms[i] = 0);
    }
    return rc == 0 ? 0 : command_fail("--overlap: %s", strerror(-rc));
}

static json_t *answer_json(const answer_t *answer)
{
    json_t *slices = json_array();
    for (int i = 0; i < gradient_places(answer->step.layers); i++)
        json_array_append_new(slices, json_real(answer->slice[i]));
    json_t *overlap = json_pack("{s:i, s:i, s:o, s:f}", "degree_forward", answer->how.degree[0], "degree_backward",
                                answer->how.degree[1], "gradient_slices", slices, "step_ms", answer->ms);
    for (size_t i = 0; i < OTHERS; i++)
        if (answer->other_ms[i] > 0) json_object_set_new(overlap, others[i].key, json_real(answer->other_ms[i]));
    return json_pack("{s:i, s:o}", "layers", answer->step.layers, "overlap", overlap);
}

static void answer_text(const char *name, const answer_t *answer)
{
    int layers = answer->step.layers;
    double inside = 0, beside = 0;
    for (int i = 0; i < layers; i++) {
        inside += answer->slice[2 * i];
        beside += answer->slice[2 * i + 1];
    }
    printf("%d layers of %s: %d chunk%s forward, %d backward: a step takes %.3f ms\n", layers, name,
           answer->how.degree[0], answer->how.degree[0] > 1 ? "s" : "", answer->how.degree[1], answer->ms);
    printf(
        "gradients: %.1f MB are reduced between dispatches and combines, %.1f beside what lies between layers, %.1f at "
        "the end\n\n",
        inside * 1e-6, beside * 1e-6, answer->slice[2 * layers] * 1e-6);
    printf("%-70s %10s %9s\n", "instead", "ms", "slower");
    for (size_t i = 0; i < OTHERS; i++)
        if (answer->other_ms[i] > 0)
            printf("%-70s %10.3f %8.3fx\n", others[i].text, answer->other_ms[i], answer->other_ms[i] / answer->ms);
}

typedef struct request {
    const char *profile, *json_path;
    bool asked, help; /* help: was printed */
} request_t;

static int request_read(int argc, char **argv, request_t *request)
{
    const hm_option_t table[] = {
        {"overlap", "", HM_OPTION_FLAG, &request->asked, 0, 0, NULL},
        {"help", "", HM_OPTION_FLAG, &request->help, 0, 0, NULL},
        {"profile", "P", HM_OPTION_TEXT, &request->profile, 0, 0,
         "fsmoe-a, fsmoe-b (the paper's test beds), or a file with these lines beside the profile's "
         "own:" HM_OPTION_INDENT "  overlap_layers N                 MoE layers" HM_OPTION_INDENT
         "  overlap_dispatch BYTES           that one rank sends, between the outermost groups" HM_OPTION_INDENT
         "  overlap_gather ALPHA BETA BYTES  inside a node, where experts are sharded over it: ms, ms" HM_OPTION_INDENT
         "  overlap_scatter ALPHA BETA BYTES per byte, bytes of one rank (left out: none)" HM_OPTION_INDENT
         "  overlap_experts ALPHA BETA N     ms, ms per multiply-add, multiply-adds" HM_OPTION_INDENT
         "  overlap_reduction ALPHA BETA BYTES  of one layer's gradient (left out: none)" HM_OPTION_INDENT
         "  overlap_dense FORWARD BACKWARD   ms of what lies between two MoE layers (left out: none)"},
        {"json", "FILE", HM_OPTION_TEXT, &request->json_path, 0, 0,
         "write JSON to FILE as well; -: to standard output instead of the table"},
    };
    enum { COUNT = sizeof(table) / sizeof(table[0]) };
    *request = (request_t){.profile = NULL};
    int rc = options_take(table, COUNT, &argc, argv);
    if (rc == 0 && request->help) {
        puts(help);
        options_help(table, COUNT);
        puts(after);
    }
    if (rc != 0 || request->help) return rc;
    rc = options_end("overlap", argc, argv);
    if (rc == 0 && request->profile == NULL)
        rc = command_fail("--overlap: expected --profile (built-in: fsmoe-a, fsmoe-b)");
    return rc;
}

int plan_overlap_main(int argc, char **argv)
{
    request_t request;
    hm_profile_t profile;
    hm_overlap_text_t text;
    answer_t answer = {.slice = NULL};
    int rc = request_read(argc, argv, &request);
    if (rc != 0 || request.help) return rc;
    rc = overlap_find(request.profile, true, &profile, &text);
    if (rc != 0) return rc;
    overlap_step(&text, &profile, &answer.step);
    rc = answer_solve(&answer);
    if (rc == 0 && request.json_path != NULL) rc = json_file_write(answer_json(&answer), request.json_path);
    if (rc == 0 && !json_file_alone(request.json_path)) answer_text(profile.name, &answer);
    free(answer.slice);
    return rc;
}
