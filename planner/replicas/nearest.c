#include "nearest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct hm_nearest {
    const hm_topo_t *topo;
    const int *slot;
    int slots, experts, source;
    int *depth; /* [experts] innermost level at which a copy is in the source's group; topo->levels: on its rank */
    int *first; /* [experts + 1] an expert's nearest slots are near[first[e]] ... near[first[e + 1] - 1] */
    int *turn;  /* [experts] which of them is next, from 0 */
    int *near;  /* [ranks * slots] */
};

static int slots_check(const int *slot, int count, int experts, int *seen)
{
    int found = 0;
    memset(seen, 0, (size_t)experts * sizeof(*seen));
    for (int i = 0; i < count; i++) {
        if (slot[i] < 0 || slot[i] >= experts) return -EINVAL;
        found += seen[slot[i]] == 0;
        seen[slot[i]] = 1;
    }
    return found == experts ? 0 : -EINVAL;
}

int nearest_create(const hm_topo_t *topo, const int *slot, int slots, int experts, hm_nearest_t **out)
{
    size_t n = (size_t)experts, count = (size_t)topo->ranks * (size_t)slots;
    if (experts < 1 || slots < 1 || count < n) return -EINVAL;
    hm_nearest_t *nearest = calloc(1, sizeof(*nearest));
    int *memory = malloc((3 * n + 1 + count) * sizeof(*memory));
    int rc = nearest != NULL && memory != NULL ? slots_check(slot, (int)count, experts, memory) : -ENOMEM;
    if (rc != 0) {
        free(memory);
        free(nearest);
        return rc;
    }
    *nearest = (hm_nearest_t){.topo = topo, .slot = slot, .slots = slots, .experts = experts};
    nearest->depth = memory;
    nearest->first = memory + n;
    nearest->turn = memory + 2 * n + 1;
    nearest->near = memory + 3 * n + 1;
    nearest_source(nearest, 0);
    *out = nearest;
    return 0;
}

void nearest_destroy(hm_nearest_t *nearest)
{
    if (nearest == NULL) return;
    free(nearest->depth);
    free(nearest);
}

/* The innermost level at which two ranks are in one group. */
static int depth_shared(const hm_topo_t *topo, int a, int b)
{
    int depth = 0;
    while (depth < topo->levels && topo->group[depth + 1][a] == topo->group[depth + 1][b]) depth++;
    return depth;
}

/* Sets depth, and how many slots of each expert are that near. */
static void depths_find(hm_nearest_t *nearest, int *count)
{
    const hm_topo_t *topo = nearest->topo;
    for (int e = 0; e < nearest->experts; e++) nearest->depth[e] = -1;
    for (int r = 0; r < topo->ranks; r++) {
        int depth = depth_shared(topo, nearest->source, r);
        for (int i = 0; i < nearest->slots; i++) {
            int e = nearest->slot[(size_t)r * (size_t)nearest->slots + (size_t)i];
            if (depth < nearest->depth[e]) continue;
            if (depth > nearest->depth[e]) count[e] = 0;
            nearest->depth[e] = depth;
            count[e]++;
        }
    }
}

void nearest_source(hm_nearest_t *nearest, int source)
{
    const hm_topo_t *topo = nearest->topo;
    nearest->source = source;
    depths_find(nearest, nearest->turn);
    int at = 0;
    for (int e = 0; e < nearest->experts; e++) {
        nearest->first[e] = at;
        at += nearest->turn[e];
    }
    nearest->first[nearest->experts] = at;
    memset(nearest->turn, 0, (size_t)nearest->experts * sizeof(*nearest->turn));
    for (int r = 0; r < topo->ranks; r++) {
        int depth = depth_shared(topo, source, r);
        for (int i = r * nearest->slots; i < (r + 1) * nearest->slots; i++) {
            int e = nearest->slot[i];
            if (depth == nearest->depth[e]) nearest->near[nearest->first[e] + nearest->turn[e]++] = i;
        }
    }
    for (int e = 0; e < nearest->experts; e++) nearest->turn[e] = source % (nearest->first[e + 1] - nearest->first[e]);
}

int nearest_take(hm_nearest_t *nearest, int expert)
{
    int first = nearest->first[expert], count = nearest->first[expert + 1] - first, turn = nearest->turn[expert];
    nearest->turn[expert] = turn + 1 < count ? turn + 1 : 0;
    return nearest->near[first + turn];
}

/* seen[g] is the last token that hit group g, counted from 1; the levels' groups follow each other. */
static void row_count(const hm_topo_t *topo, int rank, uint32_t token, uint32_t *const *distinct, uint32_t *seen)
{
    for (int l = 1; l <= topo->levels; seen += topo->groups[l], l++) {
        int group = topo->group[l][rank];
        if (seen[group] == token) continue;
        seen[group] = token;
        distinct[l][group]++;
    }
}

int nearest_count(hm_nearest_t *nearest, const uint16_t *ids, size_t tokens, int top_k, uint32_t *raw,
                  uint32_t *const *distinct, uint32_t *seen, uint64_t *slot_load)
{
    const hm_topo_t *topo = nearest->topo;
    size_t words = 0;
    if (tokens >= UINT32_MAX) return -EINVAL;
    for (size_t i = 0; i < tokens * (size_t)top_k; i++)
        if (ids[i] >= nearest->experts) return -EINVAL;
    memset(raw, 0, (size_t)topo->ranks * sizeof(*raw));
    for (int l = 1; l <= topo->levels; l++) {
        memset(distinct[l], 0, (size_t)topo->groups[l] * sizeof(**distinct));
        words += (size_t)topo->groups[l];
    }
    memset(seen, 0, words * sizeof(*seen));
    for (size_t i = 0; i < tokens * (size_t)top_k; i++) {
        int slot = nearest_take(nearest, ids[i]), rank = slot / nearest->slots;
        raw[rank]++;
        row_count(topo, rank, (uint32_t)(i / (size_t)top_k) + 1, distinct, seen);
        if (slot_load != NULL) slot_load[slot]++;
    }
    return 0;
}
