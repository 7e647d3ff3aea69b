#define _GNU_SOURCE
#include "command.h"
#include "models.h"
#include "plan_command.h"
#include "smooth.h"
#include "swap.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const cost_names[] = {[HM_COST_PADDED] = "padded",
                                         [HM_COST_PADDED_SLICED] = "padded-sliced",
                                         [HM_COST_LINKS] = "links",
                                         [HM_COST_LINKS_SLICED] = "links-sliced"};

const char *plan_cost_name(int model)
{
    return model >= 0 && model < HM_COST_MODELS ? cost_names[model] : NULL;
}

static const char *const objective_names[] = {
    [HM_SWAP_MAX] = "max", [HM_SWAP_SMOOTH_MAX] = "smooth", [HM_SWAP_LOG_SUM_EXP] = "lse"};

const char *plan_objective_name(int objective)
{
    return objective_names[objective];
}

static const char help[] =
    "usage: hiermoe plan [OPTIONS]\n"
    "Predicts the time of one MoE all-to-all at every depth and says which experts should trade places.\n\n"
    "  --routing R       uniform (default), zipf:S, group:N:G (N groups, a token uses G) or trace:FILE\n"
    "  --profile P       a built-in profile, a file, or prior:KIND,... (nvlink, pci, shm, net, tcp by level); needed\n"
    "  --topo T          nested groups, outermost first: 4,8 are 4 nodes of 8, joined like the profile's, 1,8 is one\n"
    "                    node; default: those of the profile\n"
    "  --model M         qwen3-30b-a3b, deepseek-v3, deepseek-v3-half or mixtral-8x7b: sets the next five\n"
    "  --hidden N        elements of a row\n"
    "  --experts N       experts of a layer\n"
    "  --topk N          experts of a token\n"
    "  --routing-groups N  experts lie in N runs of ids that the router chooses from first: swaps stay inside a run\n"
    "                    (default 1 without --model and group:N:G)\n"
    "  --expert-bytes X  bytes that move with one expert (default 0 without --model)\n"
    "  --tokens N        tokens of one rank (default 1024, or the trace's)\n"
    "  --element-bytes N bytes of an element (default 2)\n"
    "  --cost C          padded (default, the paper's), padded-sliced, links or links-sliced\n"
    "  --slices N        slices of the sliced models (default 4)\n"
    "  --swaps N         most swaps to suggest (default 4)\n"
    "  --horizon N       all-to-alls that a swap must pay for itself in; 0: moving is free (default 1000)\n"
    "  --objective O     what swaps are chosen by: max (the busiest group), smooth or lse (all groups, the busy ones\n"
    "                    most); default: the better of max and smooth\n"
    "  --gamma N         how much smooth and lse mind the busiest group, 1 to 32 (default 10)\n"
    "  --compute-ms X    ms that experts compute for 1000 rows that chose them: swaps also even that out over ranks,\n"
    "                    their times include it (default 0)\n"
    "  --layer N         layer of the trace (default 0)\n"
    "  --seed N          of drawn routings (default 1)\n"
    "  --sample N        most tokens to draw or deal, over all ranks (default 16777216); padded costs only\n"
    "  --json FILE       write JSON to FILE as well; -: to standard output instead of the table\n\n"
    "A trace of other ranks than the topology's is dealt over these: each gets the next tokens, --tokens of them; at "
    "its\n"
    "end the trace begins again, a bit further on each time.\n"
    "Gains of up to 3 % (10 % where nothing is a copy) are not taken. JSON's depth_best is Eq. 6 of the paper, "
    "without\n"
    "extra_ms and leaving alone.\n";

static int whole(const char *option, const char *text, long least, long most, long *value)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < least || number > most)
        return command_fail("--%s: \"%s\": expected a whole number from %ld to %ld", option, text, least, most);
    *value = number;
    return 0;
}

static int real(const char *option, const char *text, double *value)
{
    char *end;
    double number = strtod(text, &end);
    if (strspn(text, "0123456789.eE+") != strlen(text) || end == text || *end != '\0' || !(number <= 1e18))
        return command_fail("--%s: \"%s\": expected a number from 0 to 1e18", option, text);
    *value = number;
    return 0;
}

static int routing(const char *text, plan_options_t *options)
{
    const char *why;
    options->routing_text = text;
    options->trace_path = strncmp(text, "trace:", 6) == 0 ? text + 6 : NULL;
    if (strcmp(text, "trace:") == 0) return command_fail("--routing: \"trace:\": expected a file name after it");
    if (options->trace_path != NULL || routing_parse(text, &options->routing, &why) == 0) return 0;
    return command_fail("--routing: \"%s\": %s", text, why);
}

static int json_path(const char *text, plan_options_t *options)
{
    if (text[0] == '\0') return command_fail("--json: expected a file name or -");
    options->json_path = text;
    return 0;
}

static int cost_model(const char *text, plan_options_t *options)
{
    for (int m = 0; m < HM_COST_MODELS; m++)
        if (strcmp(text, cost_names[m]) == 0) {
            options->cost_model = (hm_cost_model_t)m;
            return 0;
        }
    return command_fail("--cost: \"%s\": expected padded, padded-sliced, links or links-sliced", text);
}

static int objective(const char *text, plan_options_t *options)
{
    for (int o = HM_SWAP_MAX; o <= HM_SWAP_LOG_SUM_EXP; o++)
        if (strcmp(text, objective_names[o]) == 0) {
            options->objective = o;
            return 0;
        }
    return command_fail("--objective: \"%s\": expected max, smooth or lse", text);
}

static int option_take(const char *name, const char *text, plan_options_t *options)
{
    const struct {
        const char *name;
        long least, most, *value;
    } numbers[] = {
        {"tokens", 1, 1 << 20, &options->tokens},
        {"hidden", 1, 1 << 20, &options->hidden},
        {"experts", 1, 65535, &options->experts},
        {"topk", 1, 64, &options->top_k},
        {"element-bytes", 1, 16, &options->element_bytes},
        {"layer", 0, 4095, &options->layer},
        {"swaps", 0, PLAN_MAX_SWAPS, &options->swaps},
        {"seed", 0, 1L << 60, &options->seed},
        {"sample", 1, 1L << 40, &options->sample},
        {"slices", 1, 1024, &options->slices},
        {"routing-groups", 1, 65535, &options->routing_groups},
        {"gamma", 1, HM_SMOOTH_MAX_GAMMA, &options->gamma},
    };
    const struct {
        const char *name, **value;
    } texts[] = {{"profile", &options->profile_name}, {"topo", &options->topo_text}, {"model", &options->model_name}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strcmp(name, numbers[i].name) == 0)
            return whole(name, text, numbers[i].least, numbers[i].most, numbers[i].value);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].value = text;
            return 0;
        }
    if (strcmp(name, "json") == 0) return json_path(text, options);
    if (strcmp(name, "routing") == 0) return routing(text, options);
    if (strcmp(name, "cost") == 0) return cost_model(text, options);
    if (strcmp(name, "objective") == 0) return objective(text, options);
    if (strcmp(name, "compute-ms") == 0) return real(name, text, &options->compute_ms);
    return real(name, text, strcmp(name, "horizon") == 0 ? &options->horizon : &options->expert_bytes);
}

/* Fills from the model what was not given. */
static int model_apply(plan_options_t *options)
{
    if (options->model_name == NULL) return 0;
    const model_t *model = model_find(options->model_name);
    if (model == NULL)
        return command_fail("--model: \"%s\": expected qwen3-30b-a3b, deepseek-v3, deepseek-v3-half or mixtral-8x7b",
                            options->model_name);
    if (options->hidden == 0) options->hidden = model->hidden;
    if (options->experts == 0 && options->trace_path == NULL) options->experts = model->experts;
    if (options->top_k == 0 && options->trace_path == NULL) options->top_k = model->top_k;
    if (options->expert_bytes < 0) options->expert_bytes = model_expert_bytes(model);
    if (options->routing_groups == 0) options->routing_groups = model->routing_groups;
    return 0;
}

static int options_complete(plan_options_t *options)
{
    if (options->routing_groups == 0 && options->trace_path == NULL && options->routing.kind == HM_ROUTING_GROUP)
        options->routing_groups = options->routing.groups;
    int rc = model_apply(options);
    if (rc != 0) return rc;
    if (options->routing_groups == 0) options->routing_groups = 1;
    if (options->gamma > 0 && options->objective == HM_SWAP_MAX)
        return command_fail("--gamma: max has none: expected --objective smooth or lse with it");
    if (options->profile_name == NULL) return command_fail("plan: expected --profile (built-in: a6000-4x8)");
    if (options->hidden == 0) return command_fail("plan: expected --model or --hidden");
    if (options->expert_bytes < 0) options->expert_bytes = 0;
    if (options->trace_path == NULL && options->layer >= 0)
        return command_fail("--layer: expected --routing trace:FILE with it");
    if (options->layer < 0) options->layer = 0;
    if (options->trace_path != NULL) return 0;
    if (options->tokens == 0) options->tokens = 1024;
    if (options->experts == 0 || options->top_k == 0)
        return command_fail("plan: expected --model, or --experts and --topk");
    return 0;
}

/* The argument that getopt_long stopped at: there are no short options, so it stays at one of several letters. */
static const char *option_unknown(int argc, char **argv)
{
    const char *next = optind < argc ? argv[optind] : "";
    return optopt != 0 && next[0] == '-' && next[1] == optopt && next[2] != '\0' ? next : argv[optind - 1];
}

int plan_options_parse(int argc, char **argv, plan_options_t *options)
{
    static const char *const names[] = {"routing",        "profile",   "topo",  "model",     "hidden", "experts",
                                        "topk",           "tokens",    "cost",  "slices",    "swaps",  "horizon",
                                        "element-bytes",  "layer",     "seed",  "sample",    "json",   "expert-bytes",
                                        "routing-groups", "objective", "gamma", "compute-ms"};
    enum { NAMES = sizeof(names) / sizeof(names[0]), FIRST = 256 };
    struct option longs[NAMES + 2] = {{0}};
    *options = (plan_options_t){.routing_text = "uniform",
                                .element_bytes = 2,
                                .swaps = 4,
                                .seed = 1,
                                .layer = -1,
                                .sample = 1 << 24,
                                .slices = 4,
                                .expert_bytes = -1,
                                .objective = PLAN_OBJECTIVE_ANY,
                                .horizon = 1000};
    for (int i = 0; i < NAMES; i++) longs[i] = (struct option){names[i], required_argument, NULL, FIRST + i};
    longs[NAMES] = (struct option){"help", no_argument, NULL, 'h'};
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
        if (found == 'h') {
            fputs(help, stdout);
            options->help = 1;
            return 0;
        }
        if (found == ':') return command_fail("%s: expected a value after it", argv[optind - 1]);
        if (found < FIRST)
            return command_fail("%s: no such option, or short for several; hiermoe plan --help lists them",
                                option_unknown(argc, argv));
        int rc = option_take(names[found - FIRST], optarg, options);
        if (rc != 0) return rc;
    }
    if (optind < argc) return command_fail("\"%s\": expected options only", argv[optind]);
    return options_complete(options);
}
