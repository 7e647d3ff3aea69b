#include "options.h"

#include "parse.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const pattern_names[] = {"megatron", "deepspeed", "alltoall", NULL};
static const char *const direction_names[] = {"dispatch", "combine", "combine_backward", "dispatch_backward", "both",
                                              "all",      NULL};
enum { DIRECTIONS_BOTH = MP_DIRECTIONS, DIRECTIONS_ALL }; /* behind the single ones */
static const char *const dtype_names[] = {"bf16", "fp16", "fp32", "fp8", NULL};
static const size_t dtype_bytes[] = {2, 2, 4, 1};

const char *options_pattern_name(mp_pattern_t pattern)
{
    return pattern_names[pattern];
}

const char *options_direction_name(mp_direction_t direction)
{
    return direction_names[direction];
}

const char *options_dtype_name(mp_dtype_t dtype)
{
    return dtype_names[dtype];
}

size_t options_dtype_bytes(mp_dtype_t dtype)
{
    return dtype_bytes[dtype];
}

static const char usage[] =
    "usage: moe_perf [options]      one process per rank, with RANK, WORLD_SIZE and LOCAL_RANK as torchrun sets them\n"
    "  --pattern megatron|deepspeed|alltoall   unequal splits; equal padded splits as sends and receives, or as one\n"
    "                         ncclAlltoAll (default megatron)\n"
    "  --direction dispatch|combine|combine_backward|dispatch_backward|both|all   both: the first two (default\n"
    "                         dispatch)\n"
    "  --guided               announce each exchange to the library in front of NCCL, if there is one; combines and\n"
    "                         backwards of dispatches bring numbers, which are added up and held against fp64\n"
    "  --routing uniform|zipf:S|group:N:G|one:R|trace:FILE\n"
    "                         G of N equal groups of experts per token; all to rank R's experts; a recorded routing\n"
    "  --tokens N             tokens per rank (default 4096)         --tokens-of R:N  rank R has N tokens\n"
    "  --hidden N             elements per row (default 2048)        --dtype bf16|fp16|fp32|fp8\n"
    "  --experts N --topk K   (default 128, 8)                       --layers N       routings to cycle through\n"
    "  --seed N --iters N --warmup N           (default 7, 20, 5)\n"
    "  --between MS           pause before each exchange, untimed, as a job computes between its calls (default 0)\n"
    "  --capacity-factor F    padded patterns: rows per expert as a multiple of the mean; default: none is dropped\n"
    "  --check N              every byte of every Nth iteration (default 1; 0 never)\n"
    "  --node-of A,B,...      node of each rank (default RANK / LOCAL_WORLD_SIZE)\n"
    "  --wire-if IF,IF        interfaces whose byte counters are read (default: all but lo)\n"
    "  --id-file PATH         where rank 0 leaves NCCL's unique id (or MOE_PERF_ID_FILE)\n"
    "  --json FILE            everything as one JSON object, written by rank 0\n"
    "  --timeout SECONDS      for the start and for each exchange (default 120)\n"
    "exit status: 0; 1 a byte was wrong; 2 bad options; 3 NCCL, the device or a file failed\n";

static int route_parse(mp_options_t *options, const char *text)
{
    const char *colon = strchr(text, ':'), *arg = colon ? colon + 1 : NULL;
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    options->route_text = text;
    if (!strcmp(text, "uniform")) {
        options->route = MP_UNIFORM;
        return 0;
    }
    if (arg && length == 4 && !strncmp(text, "zipf", 4)) {
        options->route = MP_ZIPF;
        return parse_real("--routing zipf:S", arg, 0, 16, &options->zipf);
    }
    if (arg && length == 3 && !strncmp(text, "one", 3)) {
        options->route = MP_ONE;
        return parse_int("--routing one:RANK", arg, 0, 65535, &options->one_rank);
    }
    if (arg && length == 5 && !strncmp(text, "trace", 5) && *arg) {
        options->route = MP_TRACE;
        options->trace = arg;
        return 0;
    }
    if (arg && strchr(arg, ':') && length == 5 && !strncmp(text, "group", 5)) {
        uint64_t groups;
        options->route = MP_GROUP;
        if (parse_number("--routing group:N:G", arg, ':', 1, 65535, &groups)) return -EINVAL;
        options->groups = (int)groups;
        return parse_int("--routing group:N:G", strchr(arg, ':') + 1, 1, options->groups, &options->group_topk);
    }
    say("--routing: expected uniform, zipf:S, group:N:G, one:RANK or trace:FILE, got '%s'", text);
    return -EINVAL;
}

static int tokens_of_parse(mp_options_t *options, const char *text)
{
    uint64_t rank, tokens;
    const char *colon = strchr(text, ':');
    if (!colon) {
        say("--tokens-of: expected RANK:TOKENS, got '%s'", text);
        return -EINVAL;
    }
    if (parse_number("--tokens-of RANK:TOKENS", text, ':', 0, (uint64_t)options->ranks - 1, &rank) ||
        parse_number("--tokens-of RANK:TOKENS", colon + 1, 0, 0, 1 << 20, &tokens))
        return -EINVAL;
    options->tokens_of[rank] = (int64_t)tokens;
    return 0;
}

static int node_of_parse(mp_options_t *options, const char *text)
{
    for (int r = 0; r < options->ranks; r++) {
        uint64_t node;
        bool last = r == options->ranks - 1;
        if (!text || parse_number("--node-of", text, last ? 0 : ',', 0, 4095, &node)) {
            say("--node-of: expected %d comma-separated node numbers, one for each rank", options->ranks);
            return -EINVAL;
        }
        options->node_of[r] = (int)node;
        text = last ? NULL : strchr(text, ',') + 1;
    }
    return 0;
}

static int environment_int(const char *name, int low, int high, int fallback, int *value)
{
    const char *text = getenv(name);
    if (text) return parse_int(name, text, low, high, value);
    if (fallback < low) {
        say("%s is not set: start one process per rank with RANK, WORLD_SIZE and LOCAL_RANK set, as torchrun does",
            name);
        return -EINVAL;
    }
    *value = fallback;
    return 0;
}

/* Rank, nodes and id file from the environment; options may override the latter two. */
static int environment_read(mp_options_t *options)
{
    static char id_file[256];
    int per_node;
    if (environment_int("WORLD_SIZE", 1, 4096, -1, &options->ranks) ||
        environment_int("RANK", 0, options->ranks - 1, -1, &options->rank) ||
        environment_int("LOCAL_RANK", 0, 4095, 0, &options->local_rank) ||
        environment_int("LOCAL_WORLD_SIZE", 1, 4096, options->ranks, &per_node))
        return -EINVAL;
    options->node_of = calloc((size_t)options->ranks, sizeof(int));
    options->tokens_of = calloc((size_t)options->ranks, sizeof(int64_t));
    if (!options->node_of || !options->tokens_of) {
        say("out of memory");
        return -ENOMEM;
    }
    for (int r = 0; r < options->ranks; r++) {
        options->node_of[r] = r / per_node;
        options->tokens_of[r] = -1;
    }
    options->id_file = getenv("MOE_PERF_ID_FILE");
    if (!options->id_file) {
        const char *address = getenv("MASTER_ADDR"), *port = getenv("MASTER_PORT");
        snprintf(id_file, sizeof(id_file), "/tmp/moe_perf.%s.%s.id", address ? address : "localhost",
                 port ? port : "0");
        options->id_file = id_file;
    }
    return 0;
}

static int direction_parse(mp_options_t *options, const char *text)
{
    int picked = parse_choice("--direction", text, direction_names);
    if (picked < 0) return picked;
    for (int d = 0; d < MP_DIRECTIONS; d++)
        options->run[d] = d == picked || picked == DIRECTIONS_ALL || (picked == DIRECTIONS_BOTH && d <= MP_COMBINE);
    return 0;
}

static int pattern_parse(mp_options_t *options, const char *text)
{
    int picked = parse_choice("--pattern", text, pattern_names);
    if (picked >= 0) options->pattern = (mp_pattern_t)picked;
    return picked < 0 ? picked : 0;
}

static int dtype_parse(mp_options_t *options, const char *text)
{
    int picked = parse_choice("--dtype", text, dtype_names);
    if (picked >= 0) options->dtype = (mp_dtype_t)picked;
    return picked < 0 ? picked : 0;
}

static int tokens_parse(mp_options_t *options, const char *text)
{
    uint64_t tokens;
    int status = parse_number("--tokens", text, 0, 0, 1 << 20, &tokens);
    if (!status) options->tokens = (int64_t)tokens;
    return status;
}

static int hidden_parse(mp_options_t *options, const char *text)
{
    uint64_t hidden;
    int status = parse_number("--hidden", text, 0, 1, 1 << 18, &hidden);
    if (!status) options->hidden = (size_t)hidden;
    return status;
}

static int seed_parse(mp_options_t *options, const char *text)
{
    return parse_number("--seed", text, 0, 0, UINT64_MAX, &options->seed);
}

/* Each option fills one field: an int or a real within limits, a text, or whatever its own parser does. */
enum kind { INT, REAL, TEXT, OWN, FLAG };
#define FIELD(name) offsetof(mp_options_t, name)

static const struct entry {
    const char *name;
    enum kind kind;
    size_t field;
    double low, high;
    int (*parse)(mp_options_t *options, const char *text);
} entries[] = {
    {"--pattern", OWN, 0, 0, 0, pattern_parse},
    {"--direction", OWN, 0, 0, 0, direction_parse},
    {"--guided", FLAG, FIELD(guided), 0, 0, NULL},
    {"--routing", OWN, 0, 0, 0, route_parse},
    {"--tokens", OWN, 0, 0, 0, tokens_parse},
    {"--tokens-of", OWN, 0, 0, 0, tokens_of_parse},
    {"--hidden", OWN, 0, 0, 0, hidden_parse},
    {"--dtype", OWN, 0, 0, 0, dtype_parse},
    {"--experts", INT, FIELD(experts), 1, 65535, NULL},
    {"--topk", INT, FIELD(topk), 1, 65535, NULL},
    {"--layers", INT, FIELD(layers), 1, 4096, NULL},
    {"--seed", OWN, 0, 0, 0, seed_parse},
    {"--iters", INT, FIELD(iters), 1, 1000000, NULL},
    {"--warmup", INT, FIELD(warmup), 0, 1000000, NULL},
    {"--between", REAL, FIELD(between_ms), 0, 60000, NULL},
    {"--capacity-factor", REAL, FIELD(capacity_factor), 0.01, 65535, NULL},
    {"--check", INT, FIELD(check), 0, 1000000, NULL},
    {"--node-of", OWN, 0, 0, 0, node_of_parse},
    {"--wire-if", TEXT, FIELD(wire_if), 0, 0, NULL},
    {"--id-file", TEXT, FIELD(id_file), 0, 0, NULL},
    {"--json", TEXT, FIELD(json), 0, 0, NULL},
    {"--timeout", REAL, FIELD(timeout), 1, 86400, NULL},
};
enum { ENTRIES = sizeof(entries) / sizeof(entries[0]) };

static int entry_apply(mp_options_t *options, const struct entry *entry, const char *text)
{
    void *field = (char *)options + entry->field;
    if (entry->kind == OWN) return entry->parse(options, text);
    if (entry->kind == INT) return parse_int(entry->name, text, (int)entry->low, (int)entry->high, field);
    if (entry->kind == REAL) return parse_real(entry->name, text, entry->low, entry->high, field);
    if (entry->kind == FLAG)
        *(bool *)field = true;
    else
        *(const char **)field = text;
    return 0;
}

static int arguments_read(mp_options_t *options, int argc, char **argv)
{
    struct option names[ENTRIES + 1] = {{0}};
    int status = 0, picked;
    for (int i = 0; i < ENTRIES; i++)
        names[i] = (struct option){entries[i].name + 2, entries[i].kind == FLAG ? no_argument : required_argument, NULL,
                                   256 + i};
    optind = 1;
    while (!status && (picked = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (picked >= 256)
            status = entry_apply(options, &entries[picked - 256], optarg);
        else
            status = -EINVAL; /* getopt has said why */
    }
    if (status || optind == argc) return status;
    say("expected only options, got '%s'", argv[optind]);
    return -EINVAL;
}

/* A trace brings ranks, tokens, experts, top-k and layers; without one the defaults fill what was not given. */
static int options_complete(mp_options_t *options)
{
    if (options->route == MP_TRACE) {
        if (options->tokens >= 0 || options->experts || options->topk || options->layers) {
            say("--routing trace: the trace brings tokens, experts, top-k and layers: leave out --tokens, --experts, "
                "--topk and --layers");
            return -EINVAL;
        }
    } else {
        if (options->tokens < 0) options->tokens = 4096;
        if (!options->experts) options->experts = 128;
        if (!options->topk) options->topk = 8;
        if (!options->layers) options->layers = 1;
    }
    if (options->guided && options->dtype == MP_FP8) {
        say("--guided: expected rows that can be added up, of bf16, fp16 or fp32, got fp8");
        return -EINVAL;
    }
    for (int r = 0; r < options->ranks; r++)
        if (options->node_of[r] >= options->nodes) options->nodes = options->node_of[r] + 1;
    return 0;
}

int options_parse(int argc, char **argv, mp_options_t *options)
{
    *options = (mp_options_t){.run = {true, false},
                              .route_text = "uniform",
                              .tokens = -1,
                              .hidden = 2048,
                              .seed = 7,
                              .iters = 20,
                              .warmup = 5,
                              .check = 1,
                              .timeout = 120};
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help")) {
            fputs(usage, stdout);
            return 1;
        }
    int status = environment_read(options);
    if (!status) status = arguments_read(options, argc, argv);
    if (!status) status = options_complete(options);
    if (status) options_free(options);
    return status;
}

void options_free(mp_options_t *options)
{
    free(options->node_of);
    free(options->tokens_of);
    options->node_of = NULL;
    options->tokens_of = NULL;
}
