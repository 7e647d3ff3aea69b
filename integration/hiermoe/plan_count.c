/* Counts what one exchange moves: an expectation for uniform routing, else by going through tokens source by source. */
#include "command.h"
#include "deal.h"
#include "plan_command.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_MOST 262144

/* One source's counts, and sums over all. */
typedef struct tally {
    const hm_topo_t *topo;
    uint32_t *raw, *distinct[HM_MAX_LEVELS + 1], *seen, *memory;
    uint64_t *sum_raw, *sum[HM_MAX_LEVELS + 1], *sums;
} tally_t;

static void tally_free(tally_t *tally)
{
    free(tally->memory);
    free(tally->sums);
}

static int tally_create(const hm_topo_t *topo, tally_t *tally)
{
    size_t words = count_scratch(topo), ranks = (size_t)topo->ranks;
    *tally = (tally_t){.topo = topo};
    tally->memory = malloc((ranks + 2 * words) * sizeof(*tally->memory));
    tally->sums = calloc(ranks + words, sizeof(*tally->sums));
    if (tally->memory == NULL || tally->sums == NULL) {
        tally_free(tally);
        return command_fail("out of memory");
    }
    tally->raw = tally->memory;
    tally->seen = tally->memory + ranks + words;
    tally->sum_raw = tally->sums;
    for (size_t l = 1, at = ranks; l <= (size_t)topo->levels; at += (size_t)topo->groups[l], l++) {
        tally->distinct[l] = tally->memory + at;
        tally->sum[l] = tally->sums + at;
    }
    return 0;
}

/* Rows of one source that leave its outermost group: copies, one for each GPU, one for each group. */
static void tally_out(const tally_t *tally, int source, double out[3])
{
    const hm_topo_t *topo = tally->topo;
    int own = topo->group[1][source];
    for (int r = 0; r < topo->ranks; r++) {
        if (topo->group[1][r] == own) continue;
        out[0] += tally->raw[r];
        out[1] += tally->distinct[topo->levels][topo->group[topo->levels][r]];
    }
    for (int g = 0; g < topo->groups[1]; g++)
        if (g != own) out[2] += tally->distinct[1][g];
}

static void tally_add(tally_t *tally, int source, plan_counts_t *counts)
{
    const hm_topo_t *topo = tally->topo;
    size_t ranks = (size_t)topo->ranks;
    tally_out(tally, source, counts->out);
    for (size_t r = 0; r < ranks; r++) tally->sum_raw[r] += tally->raw[r];
    for (int l = 1; l <= topo->levels; l++)
        for (int g = 0; g < topo->groups[l]; g++) tally->sum[l][g] += tally->distinct[l][g];
    if (counts->raw_table == NULL) return;
    memcpy(counts->raw_table + (size_t)source * ranks, tally->raw, ranks * sizeof(*tally->raw));
    for (int l = 1; l <= topo->levels; l++) {
        size_t groups = (size_t)topo->groups[l];
        memcpy(counts->table[l] + (size_t)source * groups, tally->distinct[l], groups * sizeof(uint32_t));
    }
}

static void sum_up(const uint64_t *sums, int count, double scale, double *total, double *most)
{
    *total = *most = 0;
    for (int i = 0; i < count; i++) {
        double rows = (double)sums[i] * scale;
        *total += rows;
        if (rows > *most) *most = rows;
    }
}

static void tally_finish(const tally_t *tally, double scale, plan_counts_t *counts)
{
    const hm_topo_t *topo = tally->topo;
    sum_up(tally->sum_raw, topo->ranks, scale, &counts->raw, &counts->hits.raw);
    for (int l = 1; l <= topo->levels; l++)
        sum_up(tally->sum[l], topo->groups[l], scale, &counts->distinct[l], &counts->hits.level[l]);
    for (int i = 0; i < 3; i++) counts->out[i] *= scale / topo->ranks;
}

static int tables_create(const hm_topo_t *topo, plan_counts_t *counts)
{
    size_t ranks = (size_t)topo->ranks;
    if (ranks > PLAN_MAX_TABLE_RANKS)
        return command_fail("--cost: the links models take at most %d ranks; expected padded", PLAN_MAX_TABLE_RANKS);
    counts->raw_table = malloc(ranks * ranks * sizeof(uint32_t));
    int missing = counts->raw_table == NULL;
    for (int l = 1; l <= topo->levels; l++) {
        counts->table[l] = malloc(ranks * (size_t)topo->groups[l] * sizeof(uint32_t));
        missing |= counts->table[l] == NULL;
    }
    return missing ? command_fail("out of memory") : 0;
}

/* Where tokens come from: drawn, the trace's own, or dealt from a trace of other ranks. */
typedef struct supply {
    const plan_options_t *options;
    hm_sampler_t *sampler;
    const hm_trace_t *trace;
    int own;
    size_t tokens; /* of one source, to be gone through */
    uint16_t *ids; /* room for them; NULL where the trace's own are read in place */
} supply_t;

static int supply_create(const plan_options_t *options, const hm_topo_t *topo, const hm_trace_t *trace, int whole,
                         supply_t *supply)
{
    const char *why;
    size_t most = (size_t)options->sample / (size_t)topo->ranks;
    *supply = (supply_t){.options = options, .trace = trace, .tokens = (size_t)options->tokens};
    supply->own = trace != NULL && trace->ranks == topo->ranks;
    if (supply->own) return 0;
    if (!whole && supply->tokens > most) supply->tokens = most > 0 ? most : 1;
    supply->ids = malloc(supply->tokens * (size_t)options->top_k * sizeof(*supply->ids));
    if (supply->ids == NULL) return command_fail("out of memory");
    if (trace != NULL || sampler_create(&options->routing, (int)options->experts, (int)options->top_k,
                                        (uint64_t)options->seed, &supply->sampler, &why) == 0)
        return 0;
    return command_fail("--routing: \"%s\": %s", options->routing_text, why);
}

static void supply_free(supply_t *supply)
{
    sampler_destroy(supply->sampler);
    free(supply->ids);
}

/* The tokens of the next source, `source` being counted up from 0. */
static const uint16_t *supply_next(supply_t *supply, int source)
{
    int layer = (int)supply->options->layer;
    if (supply->own) return trace_source(supply->trace, source, layer);
    if (supply->trace != NULL)
        deal_source(supply->trace, layer, (size_t)source, supply->tokens, supply->ids);
    else
        sampler_draw(supply->sampler, supply->tokens, supply->ids);
    return supply->ids;
}

static int sources_count(const plan_options_t *options, const hm_placement_t *placement, supply_t *supply,
                         tally_t *tally, plan_counts_t *counts)
{
    int top_k = (int)options->top_k;
    size_t keep = KEPT_MOST / (size_t)tally->topo->ranks;
    if (keep > supply->tokens) keep = supply->tokens;
    if (keep < 1) keep = 1;
    counts->ids = malloc((size_t)tally->topo->ranks * keep * (size_t)top_k * sizeof(*counts->ids));
    if (counts->ids == NULL) return command_fail("out of memory");
    for (int s = 0; s < tally->topo->ranks; s++) {
        const uint16_t *source = supply_next(supply, s);
        if (count_source(tally->topo, placement, source, supply->tokens, top_k, tally->raw, tally->distinct,
                         tally->seen) != 0)
            return command_fail("rank %d: an expert id out of range: expected less than %ld", s, options->experts);
        tally_add(tally, s, counts);
        memcpy(counts->ids + counts->kept * (size_t)top_k, source, keep * (size_t)top_k * sizeof(*source));
        counts->kept += keep;
    }
    counts->tokens = supply->tokens;
    counts->kept_scale = (double)options->tokens / (double)keep;
    return 0;
}

static int tokens_count(const plan_options_t *options, const hm_topo_t *topo, const hm_placement_t *placement,
                        const hm_trace_t *trace, plan_counts_t *counts)
{
    supply_t supply;
    tally_t tally;
    int rc = tally_create(topo, &tally);
    if (rc != 0) return rc;
    rc = supply_create(options, topo, trace, counts->raw_table != NULL, &supply);
    if (rc == 0) rc = sources_count(options, placement, &supply, &tally, counts);
    if (rc == 0) tally_finish(&tally, (double)options->tokens / (double)supply.tokens, counts);
    supply_free(&supply);
    tally_free(&tally);
    return rc;
}

static int uniform_count(const plan_options_t *options, const hm_topo_t *topo, const hm_placement_t *placement,
                         plan_counts_t *counts)
{
    int top_k = (int)options->top_k, experts = (int)options->experts;
    double tokens = (double)options->tokens, all = tokens * topo->ranks;
    int *local = malloc((size_t)topo->ranks * sizeof(*local));
    if (local == NULL) return command_fail("out of memory");
    for (int l = 1; l <= topo->levels; l++) {
        count_local(topo, placement, l, local);
        for (int g = 0; g < topo->groups[l]; g++) {
            double hit = count_hit_uniform(experts, local[g], top_k), rows = all * hit;
            int first = topo->order[topo->start[l][g]], node = topo->group[1][first];
            double away = 1 - (double)topo_group_size(topo, 1, node) / topo->ranks;
            counts->distinct[l] += rows;
            if (rows > counts->hits.level[l]) counts->hits.level[l] = rows;
            if (l == 1) counts->out[2] += tokens * hit * away;
            if (l < topo->levels) continue;
            double raw = all * top_k * local[g] / experts;
            counts->out[1] += tokens * hit * away;
            counts->out[0] += raw / topo->ranks * away;
            counts->raw += raw;
            if (raw > counts->hits.raw) counts->hits.raw = raw;
        }
    }
    free(local);
    return 0;
}

int plan_count(const plan_options_t *options, const hm_topo_t *topo, const hm_placement_t *placement,
               const hm_trace_t *trace, plan_counts_t *counts)
{
    memset(counts, 0, sizeof(*counts));
    counts->hits.row_bytes = (size_t)options->hidden * (size_t)options->element_bytes;
    int tables = options->cost_model >= HM_COST_LINKS, rc = tables ? tables_create(topo, counts) : 0;
    if (rc != 0) return rc;
    if (!tables && trace == NULL && options->routing.kind == HM_ROUTING_UNIFORM)
        rc = uniform_count(options, topo, placement, counts);
    else
        rc = tokens_count(options, topo, placement, trace, counts);
    counts->hits.copies = table_duplication(counts->distinct[1], counts->raw);
    return rc;
}

void plan_counts_free(plan_counts_t *counts)
{
    free(counts->ids);
    free(counts->raw_table);
    for (int l = 0; l <= HM_MAX_LEVELS; l++) free(counts->table[l]);
}
