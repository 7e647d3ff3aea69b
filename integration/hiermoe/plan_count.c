/* Counts what one exchange moves: an expectation for uniform routing, else by going through tokens source by source. */
#include "command.h"
#include "deal.h"
#include "plan_command.h"
#include "plan_tally.h"
#include "replicas/nearest.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_MOST 262144 /* tokens of all ranks, for the swaps */

static int tables_create(const hm_topo_t *topo, hm_plan_counts_t *counts)
{
    size_t ranks = (size_t)topo->ranks;
    if (ranks > HM_PLAN_MAX_TABLE_RANKS)
        return command_fail("--cost: the links models take at most %d ranks; expected padded", HM_PLAN_MAX_TABLE_RANKS);
    counts->raw_table = malloc(ranks * ranks * sizeof(uint32_t));
    bool missing = counts->raw_table == NULL;
    for (int l = 1; l <= topo->levels; l++) {
        counts->table[l] = malloc(ranks * (size_t)topo->groups[l] * sizeof(uint32_t));
        missing = missing || counts->table[l] == NULL;
    }
    return missing ? command_fail("out of memory") : 0;
}

/* Where tokens come from: they are drawn, or read from a trace of these ranks, or dealt from a trace of others. */
typedef struct supply {
    const hm_plan_request_t *request;
    hm_sampler_t *sampler;
    const hm_trace_t *trace;
    bool own;      /* the trace has these ranks: its tokens are read in place */
    size_t tokens; /* of each source */
    uint16_t *ids; /* [tokens][top_k], where they are not read in place */
} supply_t;

/* whole: no token may be left out, however many there are. */
static int supply_create(const hm_plan_request_t *request, const hm_topo_t *topo, const hm_trace_t *trace, bool whole,
                         supply_t *supply)
{
    const char *why;
    size_t most = (size_t)request->sample / (size_t)topo->ranks;
    *supply = (supply_t){.request = request, .trace = trace, .tokens = (size_t)request->tokens};
    supply->own = trace != NULL && trace->ranks == topo->ranks;
    if (supply->own) return 0;
    if (!whole && supply->tokens > most) supply->tokens = most > 0 ? most : 1;
    supply->ids = malloc(supply->tokens * (size_t)request->top_k * sizeof(*supply->ids));
    if (supply->ids == NULL) return command_fail("out of memory");
    if (trace != NULL || sampler_create(&request->routing, (int)request->experts, (int)request->top_k,
                                        (uint64_t)request->seed, &supply->sampler, &why) == 0)
        return 0;
    return command_fail("--routing: \"%s\": %s", request->routing_text, why);
}

static void supply_free(supply_t *supply)
{
    sampler_destroy(supply->sampler);
    free(supply->ids);
}

/* The tokens of one source; sources are asked for in order, from 0. */
static const uint16_t *supply_next(supply_t *supply, int source)
{
    int layer = (int)supply->request->layer;
    if (supply->own) return trace_source(supply->trace, source, layer);
    if (supply->trace != NULL)
        deal_source(supply->trace, layer, (size_t)source, supply->tokens, supply->ids);
    else
        sampler_draw(supply->sampler, supply->tokens, supply->ids);
    return supply->ids;
}

/* The rows of one source, to the experts' places or to their nearest copies. */
static int tokens_tally(const hm_placement_t *placement, hm_nearest_t *nearest, int source, const uint16_t *ids,
                        size_t tokens, int top_k, hm_plan_tally_t *tally)
{
    if (nearest == NULL)
        return count_source(tally->topo, placement, ids, tokens, top_k, tally->raw, tally->distinct, tally->seen);
    nearest_source(nearest, source);
    return nearest_count(nearest, ids, tokens, top_k, tally->raw, tally->distinct, tally->seen, NULL);
}

static int sources_count(const hm_plan_request_t *request, const hm_placement_t *placement, hm_nearest_t *nearest,
                         supply_t *supply, hm_plan_tally_t *tally, hm_plan_counts_t *counts)
{
    int top_k = (int)request->top_k;
    size_t keep = KEPT_MOST / (size_t)tally->topo->ranks;
    if (keep > supply->tokens) keep = supply->tokens;
    if (keep < 1) keep = 1;
    counts->ids = malloc((size_t)tally->topo->ranks * keep * (size_t)top_k * sizeof(*counts->ids));
    if (counts->ids == NULL) return command_fail("out of memory");
    for (int s = 0; s < tally->topo->ranks; s++) {
        const uint16_t *source = supply_next(supply, s);
        if (tokens_tally(placement, nearest, s, source, supply->tokens, top_k, tally) != 0)
            return command_fail("rank %d: an expert id out of range: expected less than %ld", s, request->experts);
        plan_tally_add(tally, s, counts);
        memcpy(counts->ids + counts->kept * (size_t)top_k, source, keep * (size_t)top_k * sizeof(*source));
        counts->kept += keep;
    }
    counts->tokens = supply->tokens;
    counts->kept_scale = (double)request->tokens / (double)keep;
    return 0;
}

static int tokens_count(const hm_plan_request_t *request, const hm_topo_t *topo, const hm_placement_t *placement,
                        const hm_plan_copies_t *copies, const hm_trace_t *trace, hm_plan_counts_t *counts)
{
    supply_t supply;
    hm_plan_tally_t tally;
    hm_nearest_t *nearest = NULL;
    int rc = plan_tally_create(topo, &tally);
    if (rc != 0) return rc;
    rc = supply_create(request, topo, trace, counts->raw_table != NULL, &supply);
    if (rc == 0 && copies != NULL &&
        nearest_create(topo, copies->slot, copies->slots, placement->experts, &nearest) != 0)
        rc = command_fail("out of memory");
    if (rc == 0) rc = sources_count(request, placement, nearest, &supply, &tally, counts);
    if (rc == 0) plan_tally_finish(&tally, (double)request->tokens / (double)supply.tokens, counts);
    nearest_destroy(nearest);
    supply_free(&supply);
    plan_tally_free(&tally);
    return rc;
}

/* Expected rows: a token reaches a group with probability `hit`, and leaves its own node for it with `away`. */
static int uniform_count(const hm_plan_request_t *request, const hm_topo_t *topo, const hm_placement_t *placement,
                         hm_plan_counts_t *counts)
{
    int top_k = (int)request->top_k, experts = (int)request->experts;
    double tokens = (double)request->tokens, all = tokens * topo->ranks;
    int *local = malloc((size_t)topo->ranks * sizeof(*local));
    if (local == NULL) return command_fail("out of memory");
    for (int l = 1; l <= topo->levels; l++) {
        placement_count(topo, placement, l, local);
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

int plan_count(const hm_plan_request_t *request, const hm_topo_t *topo, const hm_placement_t *placement,
               const hm_plan_copies_t *copies, const hm_trace_t *trace, hm_plan_counts_t *counts)
{
    memset(counts, 0, sizeof(*counts));
    counts->hits.row_bytes = (size_t)request->hidden * (size_t)request->element_bytes;
    bool tables = request->cost_model >= HM_COST_LINKS;
    int rc = tables ? tables_create(topo, counts) : 0;
    if (rc != 0) return rc;
    if (!tables && copies == NULL && trace == NULL && request->routing.kind == HM_ROUTING_UNIFORM)
        rc = uniform_count(request, topo, placement, counts);
    else
        rc = tokens_count(request, topo, placement, copies, trace, counts);
    counts->hits.copies = table_duplication(counts->distinct[1], counts->raw);
    return rc;
}

void plan_counts_free(hm_plan_counts_t *counts)
{
    free(counts->ids);
    free(counts->raw_table);
    for (int l = 0; l <= HM_MAX_LEVELS; l++) free(counts->table[l]);
}
