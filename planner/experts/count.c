#include "count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t count_scratch(const hm_topo_t *topo)
{
    size_t words = 0;
    for (int l = 1; l <= topo->levels; l++) words += (size_t)topo->groups[l];
    return words;
}

/* seen[g] is 1 + the last token that hit group g, so that it need not be cleared between tokens. */
static void token_count(const hm_topo_t *topo, int level, const hm_placement_t *placement, const uint16_t *ids,
                        int top_k, uint32_t stamp, uint32_t *distinct, uint32_t *seen)
{
    for (int k = 0; k < top_k; k++) {
        int group = topo->group[level][placement->rank[ids[k]]];
        if (seen[group] == stamp) continue;
        seen[group] = stamp;
        distinct[group]++;
    }
}

int count_source(const hm_topo_t *topo, const hm_placement_t *placement, const uint16_t *ids, size_t tokens, int top_k,
                 uint32_t *raw, uint32_t *const *distinct, uint32_t *seen)
{
    if (tokens >= UINT32_MAX) return -EINVAL;
    for (size_t i = 0; i < tokens * (size_t)top_k; i++)
        if (ids[i] >= placement->experts) return -EINVAL;
    if (raw != NULL) {
        memset(raw, 0, (size_t)topo->ranks * sizeof *raw);
        for (size_t i = 0; i < tokens * (size_t)top_k; i++) raw[placement->rank[ids[i]]]++;
    }
    for (int l = 1; l <= topo->levels; seen += topo->groups[l], l++) {
        if (distinct[l] == NULL) continue;
        memset(distinct[l], 0, (size_t)topo->groups[l] * sizeof **distinct);
        memset(seen, 0, (size_t)topo->groups[l] * sizeof *seen);
        for (size_t t = 0; t < tokens; t++)
            token_count(topo, l, placement, ids + t * (size_t)top_k, top_k, (uint32_t)t + 1, distinct[l], seen);
    }
    return 0;
}

int count_trace(const hm_topo_t *topo, const hm_placement_t *placement, const hm_trace_t *trace, int layer,
                uint32_t *raw, uint32_t *const *distinct)
{
    int rc = 0;
    if (trace->ranks != topo->ranks || layer < 0 || layer >= trace->layers) return -EINVAL;
    uint32_t *seen = malloc(count_scratch(topo) * sizeof *seen);
    if (seen == NULL) return -ENOMEM;
    for (int s = 0; s < topo->ranks && rc == 0; s++) {
        uint32_t *row[HM_MAX_LEVELS + 1] = {NULL};
        for (int l = 1; l <= topo->levels; l++) row[l] = distinct[l] + (size_t)s * (size_t)topo->groups[l];
        rc = count_source(topo, placement, trace_source(trace, s, layer), trace->tokens, trace->top_k,
                          raw + (size_t)s * (size_t)topo->ranks, row, seen);
    }
    free(seen);
    return rc;
}

double count_hit_uniform(int experts, int local, int top_k)
{
    double miss = 1; /* C(E - local, K) / C(E, K), factor by factor */
    for (int k = 0; k < top_k; k++) {
        if (experts - local - k <= 0) return 1;
        miss *= (double)(experts - local - k) / (experts - k);
    }
    return 1 - miss;
}
