#include "swap_stats.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

size_t swap_stats_words(const hm_topo_t *topo, int experts)
{
    size_t n = (size_t)experts, words = n;
    for (int l = 1; l <= topo->levels; l++) words += (size_t)topo->groups[l] * (n + 1) + n * n;
    return words;
}

static void stats_lay_out(hm_swap_stats_t *stats, uint16_t *group)
{
    size_t n = (size_t)stats->experts;
    uint32_t *at = stats->data;
    stats->cnt = at;
    at += n;
    for (int l = 1; l <= stats->levels; l++) {
        size_t groups = (size_t)stats->groups[l];
        stats->p[l] = at;
        stats->H[l] = at + groups;
        stats->S[l] = at + groups + groups * n;
        at = stats->S[l] + n * n;
        stats->group[l] = group + (size_t)(l - 1) * n;
    }
}

int swap_stats_create(const hm_topo_t *topo, const hm_placement_t *placement, hm_swap_stats_t **out)
{
    /* Groups are kept in 16 bits, as expert ids are. */
    if (placement->experts < 1 || placement->experts > 65536 || topo->ranks > 65536) return -EINVAL;
    hm_swap_stats_t *stats = calloc(1, sizeof *stats);
    if (stats == NULL) return -ENOMEM;
    stats->experts = placement->experts;
    stats->levels = topo->levels;
    memcpy(stats->groups, topo->groups, sizeof stats->groups);
    stats->words = swap_stats_words(topo, placement->experts);
    stats->data = calloc(stats->words, sizeof *stats->data);
    uint16_t *group = malloc((size_t)topo->levels * (size_t)placement->experts * sizeof *group);
    if (stats->data == NULL || group == NULL) {
        free(group);
        free(stats->data);
        free(stats);
        return -ENOMEM;
    }
    stats_lay_out(stats, group);
    for (int l = 1; l <= topo->levels; l++)
        for (int e = 0; e < placement->experts; e++) stats->group[l][e] = (uint16_t)topo->group[l][placement->rank[e]];
    *out = stats;
    return 0;
}

void swap_stats_destroy(hm_swap_stats_t *stats)
{
    if (stats == NULL) return;
    free(stats->group[1]);
    free(stats->data);
    free(stats);
}

/* Adds to a row of sums what a token chose. `one` is 1 or, to take a token out, (uint32_t)-1: the sums wrap. */
static void row_add(uint32_t *row, const uint16_t *ids, int top_k, uint32_t one)
{
    for (int j = 0; j < top_k; j++) row[ids[j]] += one;
}

/* Adds a token to the sums of one group. */
static void group_add(hm_swap_stats_t *stats, int level, int g, const uint16_t *ids, int top_k, uint32_t one)
{
    const uint16_t *group = stats->group[level];
    size_t n = (size_t)stats->experts, last = 0;
    int inside = 0;
    for (int i = 0; i < top_k; i++) {
        if (group[ids[i]] != g) continue;
        inside++;
        last = ids[i];
    }
    if (inside == 0) return;
    stats->p[level][g] += one;
    row_add(stats->H[level] + (size_t)g * n, ids, top_k, one);
    if (inside == 1) row_add(stats->S[level] + last * n, ids, top_k, one);
}

/* Adds a token to the sums of all groups of a level. */
static void token_add(hm_swap_stats_t *stats, int level, const uint16_t *ids, int top_k, uint32_t one)
{
    const uint16_t *group = stats->group[level];
    for (int i = 0; i < top_k; i++) {
        bool first = true;
        for (int j = 0; j < i && first; j++) first = group[ids[j]] != group[ids[i]];
        if (first) group_add(stats, level, group[ids[i]], ids, top_k, one);
    }
}

static int ids_check(const hm_swap_stats_t *stats, const uint16_t *ids, size_t tokens, int top_k)
{
    if (top_k < 1 || top_k > HM_SWAP_MAX_TOPK) return -EINVAL;
    for (size_t i = 0; i < tokens * (size_t)top_k; i++)
        if (ids[i] >= stats->experts) return -EINVAL;
    return 0;
}

int swap_stats_add(hm_swap_stats_t *stats, const uint16_t *ids, size_t tokens, int top_k, int sign)
{
    uint32_t one = sign < 0 ? (uint32_t)-1 : 1;
    int rc = ids_check(stats, ids, tokens, top_k);
    if (rc != 0) return rc;
    for (size_t i = 0; i < tokens * (size_t)top_k; i++) stats->cnt[ids[i]] += one;
    for (int l = 1; l <= stats->levels; l++)
        for (size_t t = 0; t < tokens; t++) token_add(stats, l, ids + t * (size_t)top_k, top_k, one);
    return 0;
}

void swap_stats_place(hm_swap_stats_t *stats, int a, int b)
{
    for (int l = 1; l <= stats->levels; l++) {
        uint16_t group = stats->group[l][a];
        stats->group[l][a] = stats->group[l][b];
        stats->group[l][b] = group;
    }
}

static bool token_touched(const uint16_t *ids, int top_k, int a, int b)
{
    bool has = false;
    for (int k = 0; k < top_k; k++) {
        has = has || ids[k] == a || ids[k] == b;
    }
    /* Also with both: the groups hit stay the same, but not which of the two is alone in which. */
    return has;
}

/* No sum of another group changes where two experts trade places. */
static void touched_add(hm_swap_stats_t *stats, const uint16_t *ids, size_t tokens, int top_k, int a, int b,
                        uint32_t one)
{
    for (size_t t = 0; t < tokens; t++) {
        const uint16_t *token = ids + t * (size_t)top_k;
        if (!token_touched(token, top_k, a, b)) continue;
        for (int l = 1; l <= stats->levels; l++) {
            int ga = stats->group[l][a], gb = stats->group[l][b];
            if (ga == gb) continue;
            group_add(stats, l, ga, token, top_k, one);
            group_add(stats, l, gb, token, top_k, one);
        }
    }
}

int swap_stats_swap(hm_swap_stats_t *stats, const uint16_t *ids, size_t tokens, int top_k, int a, int b)
{
    int rc = ids_check(stats, ids, tokens, top_k);
    if (rc != 0) return rc;
    if (a < 0 || b < 0 || a >= stats->experts || b >= stats->experts) return -EINVAL;
    touched_add(stats, ids, tokens, top_k, a, b, (uint32_t)-1);
    swap_stats_place(stats, a, b);
    touched_add(stats, ids, tokens, top_k, a, b, 1);
    return 0;
}
