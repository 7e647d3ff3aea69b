/* Reads what the user asks hiermoe plan for. One table has the options: parsing and --help come from it. */
#define _GNU_SOURCE
#include "command.h"
#include "experts/smooth.h"
#include "experts/swap.h"
#include "models.h"
#include "option_table.h"
#include "plan_command.h"
#include "plan_questions.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum option_kind {
    OPTION_NUMBER, /* a long in the request, least to most */
    OPTION_REAL,   /* a double, 0 to 1e18 */
    OPTION_TEXT,   /* a const char *, looked at later */
    OPTION_FILE,   /* a const char *, not empty */
    OPTION_ROUTING,
    OPTION_HARDWARE,
    OPTION_COST,
    OPTION_OBJECTIVE,
} option_kind_t;

typedef struct option_row {
    const char *name, *value;
    option_kind_t kind;
    size_t field; /* offset in the request */
    long least, most;
    const char *help;
} option_row_t;

#define FIELD(name) offsetof(hm_plan_request_t, name)
#define INDENT "\n                    "

static const option_row_t rows[] = {
    {"routing", "R", OPTION_ROUTING, FIELD(routing), 0, 0,
     "uniform, zipf:S, group:N:G (N groups, a token uses G), gate:N:G (the G with the best scores, as" INDENT
     "DeepSeek-V3's router) or trace:FILE (ours, Megatron-core's router_trace folder or .jsonl, .npy, .csv);" INDENT
     "default: the model's router, all experts equally likely"},
    {"profile", "P", OPTION_TEXT, FIELD(profile_name), 0, 0,
     "a built-in profile, a file, or prior:KIND,... (nvlink, pci, shm, net, tcp by level)"},
    {"hardware", "H", OPTION_HARDWARE, FIELD(hardware), 0, 0,
     "instead of a profile, what makers say: a100, h100, h200 or b200, a dash, ib, roce, efa or tcp and the" INDENT
     "Gb/s of each GPU, such as h100-ib400; without both only copies are counted"},
    {"bandwidth", "X", OPTION_REAL, FIELD(bandwidth), 0, 0, "Gb/s of each GPU's network instead of the hardware's"},
    {"mfu", "X", OPTION_REAL, FIELD(mfu), 0, 0,
     "share of the card's peak at which the model computes, for the share of a step (default 0.4)"},
    {"topo", "T", OPTION_TEXT, FIELD(topo_text), 0, 0,
     "nested groups, outermost first: 4,8 are 4 nodes of 8, joined like the profile's, 1,8 is one" INDENT
     "node; default: those of the profile"},
    {"model", "M", OPTION_TEXT, FIELD(model_name), 0, 0,
     "a known model (--model list): sets the router and the next five"},
    {"hidden", "N", OPTION_NUMBER, FIELD(hidden), 1, 1 << 20, "elements of a row"},
    {"experts", "N", OPTION_NUMBER, FIELD(experts), 1, 65535, "experts of a layer"},
    {"topk", "N", OPTION_NUMBER, FIELD(top_k), 1, 64, "experts of a token"},
    {"routing-groups", "N", OPTION_NUMBER, FIELD(routing_groups), 1, 65535,
     "experts lie in N runs of ids that the router chooses from first: swaps stay inside a run" INDENT
     "(default 1 without --model and group:N:G)"},
    {"expert-bytes", "X", OPTION_REAL, FIELD(expert_bytes), 0, 0,
     "bytes that move with one expert (default 0 without --model)"},
    {"tokens", "N", OPTION_NUMBER, FIELD(tokens), 1, 1 << 20,
     "tokens of one rank (default 1024, with --hardware 4096, or the trace's)"},
    {"element-bytes", "N", OPTION_NUMBER, FIELD(element_bytes), 1, 16, "bytes of an element (default 2)"},
    {"cost", "C", OPTION_COST, FIELD(cost), 0, 0,
     "links-sliced (default, what the library plans with), links, padded-sliced (default beyond 1024 ranks) or" INDENT
     "padded (the paper's; default with its profiles, which were fitted for it)"},
    {"slices", "N", OPTION_NUMBER, FIELD(slices), 1, 1024, "slices of the sliced models (default 4)"},
    {"swaps", "N", OPTION_NUMBER, FIELD(swaps), 0, HM_PLAN_MAX_SWAPS, "most swaps to suggest (default 4)"},
    {"horizon", "N", OPTION_REAL, FIELD(horizon), 0, 0,
     "all-to-alls that a swap must pay for itself in; 0: moving is free (default 1000)"},
    {"objective", "O", OPTION_OBJECTIVE, FIELD(objective), 0, 0,
     "what swaps are chosen by: max (the busiest group), smooth or lse (all groups, the busy ones" INDENT
     "most); default: the better of max and smooth"},
    {"gamma", "N", OPTION_NUMBER, FIELD(gamma), 1, HM_SMOOTH_MAX_GAMMA,
     "how much smooth and lse mind the busiest group, 1 to 32 (default 10)"},
    {"compute-ms", "X", OPTION_REAL, FIELD(compute_ms), 0, 0,
     "ms that experts compute for 1000 rows that chose them: swaps also even that out over ranks," INDENT
     "their times include it (default 0)"},
    {"layer", "N", OPTION_NUMBER, FIELD(layer), 0, 4095, "layer of the trace (default: all, one after the other)"},
    {"seed", "N", OPTION_NUMBER, FIELD(seed), 0, 1L << 60, "of drawn routings (default 1)"},
    {"sample", "N", OPTION_NUMBER, FIELD(sample), 1, 1L << 40,
     "most tokens to draw or deal, over all ranks (default 16777216); padded costs only"},
    {"json", "FILE", OPTION_FILE, FIELD(json_path), 0, 0,
     "write JSON to FILE as well; -: to standard output instead of the table"},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]), FIRST = 256 }; /* FIRST: getopt_long's value of the first row */

static void help_print(void)
{
    printf("usage: hiermoe plan [OPTIONS]\n"
           "Predicts the time of one MoE all-to-all at every depth and says which experts should trade places.\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        int width = 16 - (int)strlen(rows[i].name) - 3;
        printf("  --%s %-*s  %s\n", rows[i].name, width > 0 ? width : 0, rows[i].value, rows[i].help);
    }
    printf(
        "\nA trace of other ranks than the topology's is dealt over these: each gets the next tokens, --tokens of "
        "them;\n"
        "at its end the trace begins again, a bit further on each time.\n"
        "Gains of up to 3 %% (10 %% where nothing is a copy) are not taken. JSON's depth_best is Eq. 6 of the paper,\n"
        "without extra_ms and leaving alone.\n");
}

static int file_read(const option_row_t *row, const char *text, const char **value)
{
    if (text[0] == '\0') return command_fail("--%s: expected a file name or -", row->name);
    *value = text;
    return 0;
}

static int routing_read(const char *text, hm_plan_request_t *request)
{
    const char *why;
    bool trace = strncmp(text, "trace:", 6) == 0;
    if (strcmp(text, "trace:") == 0) return command_fail("--routing: \"trace:\": expected a file name after it");
    if (!trace && routing_parse(text, &request->routing, &why) != 0)
        return command_fail("--routing: \"%s\": %s", text, why);
    request->routing_text = text;
    request->trace_path = trace ? text + 6 : NULL;
    return 0;
}

static int hardware_read(const char *text, hm_plan_request_t *request)
{
    const char *why;
    if (hardware_parse(text, &request->hardware, &why) != 0) return command_fail("--hardware: \"%s\": %s", text, why);
    request->hardware_name = text;
    return 0;
}

static int cost_read(const char *text, int *value)
{
    int model = plan_cost_find(text);
    if (model < 0) return command_fail("--cost: \"%s\": expected padded, padded-sliced, links or links-sliced", text);
    *value = model;
    return 0;
}

static int objective_read(const char *text, int *value)
{
    int objective = plan_objective_find(text);
    if (objective < 0) return command_fail("--objective: \"%s\": expected max, smooth or lse", text);
    *value = objective;
    return 0;
}

static int option_read(const option_row_t *row, const char *text, hm_plan_request_t *request)
{
    void *value = (char *)request + row->field;
    switch (row->kind) {
    case OPTION_NUMBER:
        return option_whole(row->name, text, row->least, row->most, value);
    case OPTION_REAL:
        return option_real(row->name, text, value);
    case OPTION_FILE:
        return file_read(row, text, value);
    case OPTION_ROUTING:
        return routing_read(text, request);
    case OPTION_HARDWARE:
        return hardware_read(text, request);
    case OPTION_COST:
        return cost_read(text, value);
    case OPTION_OBJECTIVE:
        return objective_read(text, value);
    case OPTION_TEXT:
        break;
    }
    *(const char **)value = text;
    return 0;
}

static int model_refuse(const char *name)
{
    char names[512];
    size_t length = 0;
    const hm_model_t *model;
    for (int i = 0; (model = model_at(i)) != NULL; i++)
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s", i > 0 ? ", " : "", model->name);
    return command_fail("--model: \"%s\": expected one of %s", name, names);
}

static int models_list(void)
{
    const hm_model_t *model;
    printf("%-18s %7s %8s %6s %7s %9s\n", "model", "hidden", "experts", "top-k", "layers", "groups");
    for (int i = 0; (model = model_at(i)) != NULL; i++) {
        char groups[32] = "-", layers[32] = "-";
        if (model->layers > 0) snprintf(layers, sizeof(layers), "%d", model->layers);
        if (model->routing_groups > 1)
            snprintf(groups, sizeof(groups), "%d of %d", model->chosen_groups, model->routing_groups);
        printf("%-18s %7d %8d %6d %7s %9s\n", model->name, model->hidden, model->experts, model->top_k, layers, groups);
    }
    return 0;
}

/* The model's own router, where no routing was given. */
static void router_apply(hm_plan_request_t *request)
{
    static char text[32];
    const hm_model_t *model = request->model;
    if (request->routing_text != NULL || model->routing_groups < 2 || request->experts != model->experts) return;
    request->routing =
        (hm_routing_t){.kind = HM_ROUTING_GATE, .groups = model->routing_groups, .chosen = model->chosen_groups};
    snprintf(text, sizeof(text), "gate:%d:%d", model->routing_groups, model->chosen_groups);
    request->routing_text = text;
}

/* Fills from the model what was not given. */
static int model_apply(hm_plan_request_t *request)
{
    if (request->model_name == NULL) return 0;
    const hm_model_t *model = model_find(request->model_name);
    if (model == NULL) return model_refuse(request->model_name);
    request->model = model;
    if (request->hidden == 0) request->hidden = model->hidden;
    if (request->experts == 0 && request->trace_path == NULL) request->experts = model->experts;
    if (request->top_k == 0 && request->trace_path == NULL) request->top_k = model->top_k;
    if (request->expert_bytes < 0) request->expert_bytes = model_expert_bytes(model);
    if (request->routing_groups == 0) request->routing_groups = model->routing_groups;
    router_apply(request);
    return 0;
}

static int wires_complete(hm_plan_request_t *request)
{
    if (request->profile_name != NULL && request->hardware_name != NULL)
        return command_fail("--hardware: expected no --profile beside it");
    if (request->hardware_name != NULL && request->topo_text == NULL)
        return command_fail("--hardware: expected --topo with it, such as 16,8: 16 nodes of 8 GPUs");
    if (request->bandwidth > 0 && request->hardware_name == NULL)
        return command_fail("--bandwidth: expected --hardware with it");
    if (request->bandwidth > 0) request->hardware.net_gbit_per_s = request->bandwidth;
    if (request->mfu <= 0 || request->mfu > 1) return command_fail("--mfu: expected a share above 0, at most 1");
    request->untimed = request->profile_name == NULL && request->hardware_name == NULL;
    if (request->untimed && request->topo_text == NULL)
        return command_fail("plan: expected --hardware (h100-ib400) or --profile (built-in: a6000-4x8), or --topo to "
                            "count copies alone");
    return 0;
}

static int request_complete(hm_plan_request_t *request)
{
    bool grouped = request->routing.kind == HM_ROUTING_GROUP || request->routing.kind == HM_ROUTING_GATE;
    if (request->routing_groups == 0 && request->trace_path == NULL && grouped)
        request->routing_groups = request->routing.groups;
    int rc = model_apply(request);
    if (rc == 0) rc = wires_complete(request);
    if (rc != 0) return rc;
    if (request->routing_text == NULL) request->routing_text = "uniform";
    if (request->routing_groups == 0) request->routing_groups = 1;
    if (request->gamma > 0 && request->objective == HM_SWAP_MAX)
        return command_fail("--gamma: max has none: expected --objective smooth or lse with it");
    if (request->hidden == 0) return command_fail("plan: expected --model or --hidden");
    if (request->expert_bytes < 0) request->expert_bytes = 0;
    if (request->trace_path == NULL && request->layer >= 0)
        return command_fail("--layer: expected --routing trace:FILE with it");
    request->every_layer = request->layer < 0;
    if (request->layer < 0) request->layer = 0;
    if (request->trace_path != NULL) return 0;
    if (request->tokens == 0) request->tokens = request->hardware_name != NULL ? 4096 : 1024;
    if (request->experts == 0 || request->top_k == 0)
        return command_fail("plan: expected --model, or --experts and --topk");
    return 0;
}

/* The argument that getopt_long stopped at. It stays at an argument of several letters: no option has one letter. */
static const char *option_unknown(int argc, char **argv)
{
    const char *next = optind < argc ? argv[optind] : "";
    return optopt != 0 && next[0] == '-' && next[1] == optopt && next[2] != '\0' ? next : argv[optind - 1];
}

int plan_request_parse(int argc, char **argv, hm_plan_request_t *request)
{
    struct option longs[ROWS + 2] = {[ROWS] = {"help", no_argument, NULL, 'h'}};
    *request = (hm_plan_request_t){.element_bytes = 2,
                                   .swaps = 4,
                                   .seed = 1,
                                   .layer = -1,
                                   .sample = 1 << 24,
                                   .slices = 4,
                                   .expert_bytes = -1,
                                   .objective = HM_PLAN_OBJECTIVE_ANY,
                                   .cost = -1,
                                   .mfu = 0.4,
                                   .horizon = 1000};
    for (int i = 0; i < ROWS; i++) longs[i] = (struct option){rows[i].name, required_argument, NULL, FIRST + i};
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
        if (found == 'h') {
            help_print();
            plan_questions_help();
            request->help = true;
            return 0;
        }
        if (found == ':') return command_fail("%s: expected a value after it", argv[optind - 1]);
        if (found < FIRST)
            return command_fail("%s: no such option, or short for several; hiermoe plan --help lists them",
                                option_unknown(argc, argv));
        int rc = option_read(&rows[found - FIRST], optarg, request);
        if (rc != 0) return rc;
    }
    if (optind < argc) return command_fail("\"%s\": expected options only", argv[optind]);
    if (request->model_name != NULL && strcmp(request->model_name, "list") == 0) {
        request->help = true;
        return models_list();
    }
    return request_complete(request);
}
