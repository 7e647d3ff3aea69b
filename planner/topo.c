#define _GNU_SOURCE
#include "topo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What ranks are sorted by: labels, outermost first, then the key, then the rank itself. */
typedef struct sort_keys {
    int levels;
    const int *const *label;
    const uint64_t *key; /* may be NULL */
} sort_keys_t;

static int ranks_compare(const void *left, const void *right, void *context)
{
    const sort_keys_t *keys = context;
    int a = *(const int *)left, b = *(const int *)right;
    for (int l = 0; l < keys->levels; l++)
        if (keys->label[l][a] != keys->label[l][b]) return keys->label[l][a] < keys->label[l][b] ? -1 : 1;
    if (keys->key != NULL && keys->key[a] != keys->key[b]) return keys->key[a] < keys->key[b] ? -1 : 1;
    return (a > b) - (a < b);
}

static void ranks_sort(int *order, int ranks, const sort_keys_t *keys)
{
    for (int i = 0; i < ranks; i++) order[i] = i;
    qsort_r(order, (size_t)ranks, sizeof *order, ranks_compare, (void *)keys);
}

/* Labels each rank with the smallest rank of its group, so that groups come in the order of their first rank. Returns
 * the number of groups. */
static int level_label(int ranks, const sort_keys_t *keys, int *order, int *label)
{
    int groups = 0;
    ranks_sort(order, ranks, keys);
    for (int i = 0; i < ranks; i++) {
        bool same = i > 0 && keys->key[order[i]] == keys->key[order[i - 1]];
        for (int l = 0; same && l < keys->levels; l++) same = keys->label[l][order[i]] == keys->label[l][order[i - 1]];
        if (!same) groups++;
        label[order[i]] = same ? label[order[i - 1]] : order[i];
    }
    return groups;
}

static hm_topo_t *topo_allocate(int ranks, int levels)
{
    size_t n = (size_t)ranks, stride = 2 * n + 1;
    hm_topo_t *topo = calloc(1, sizeof *topo);
    int *memory = malloc((2 * n + ((size_t)levels + 1) * stride) * sizeof *memory);
    if (topo == NULL || memory == NULL) {
        free(memory);
        free(topo);
        return NULL;
    }
    topo->ranks = ranks;
    topo->levels = levels;
    topo->order = memory;
    topo->pos = memory + n;
    for (int l = 0; l <= levels; l++) {
        topo->group[l] = memory + 2 * n + (size_t)l * stride;
        topo->start[l] = topo->group[l] + n;
    }
    return topo;
}

/* Numbers the groups of one level by position. label NULL: one group per rank. */
static void level_number(hm_topo_t *topo, int level, const int *label)
{
    int groups = 0;
    for (int p = 0; p < topo->ranks; p++) {
        int rank = topo->order[p];
        if (p == 0 || label == NULL || label[rank] != label[topo->order[p - 1]]) topo->start[level][groups++] = p;
        topo->group[level][rank] = groups - 1;
    }
    topo->start[level][groups] = topo->ranks;
    topo->groups[level] = groups;
}

static int topo_build(int ranks, int levels, const int *const *label, hm_topo_t **out)
{
    hm_topo_t *topo = topo_allocate(ranks, levels + 1);
    if (topo == NULL) return -ENOMEM;
    ranks_sort(topo->order, ranks, &(sort_keys_t){levels, label, NULL});
    for (int p = 0; p < ranks; p++) topo->pos[topo->order[p]] = p;
    for (int r = 0; r < ranks; r++) topo->group[0][r] = 0;
    topo->start[0][0] = 0;
    topo->start[0][1] = ranks;
    topo->groups[0] = 1;
    for (int l = 1; l <= levels; l++) level_number(topo, l, label[l - 1]);
    level_number(topo, levels + 1, NULL);
    *out = topo;
    return 0;
}

int topo_create(int ranks, int key_levels, const uint64_t *const *key, hm_topo_t **topo)
{
    if (ranks < 1 || key_levels < 0 || topo == NULL) return -EINVAL;
    int *memory = malloc(((size_t)HM_MAX_LEVELS + 1) * (size_t)ranks * sizeof *memory);
    if (memory == NULL) return -ENOMEM;
    int *order = memory + (size_t)HM_MAX_LEVELS * (size_t)ranks;
    int *label[HM_MAX_LEVELS];
    int levels = 0, above = 1;
    for (int l = 0; l < key_levels && levels < HM_MAX_LEVELS - 1; l++) {
        label[levels] = memory + (size_t)levels * (size_t)ranks;
        sort_keys_t keys = {levels, (const int *const *)label, key[l]};
        int groups = level_label(ranks, &keys, order, label[levels]);
        if (groups == ranks) break; /* one rank in each: deeper levels add nothing */
        if (groups == above) continue;
        above = groups;
        levels++;
    }
    int status = topo_build(ranks, levels, (const int *const *)label, topo);
    free(memory);
    return status;
}

/* Reads "4,2,2" into factors. Returns their number, 0 for any other text. */
static int spec_read(const char *spec, int *factor)
{
    int count = 0;
    for (const char *at = spec;; at++) {
        char *end;
        if (*at < '0' || *at > '9' || count == HM_MAX_LEVELS) return 0;
        long value = strtol(at, &end, 10);
        if (value < 1 || value > 1 << 20) return 0;
        factor[count++] = (int)value;
        if (*end == '\0') return count;
        if (*end != ',') return 0;
        at = end;
    }
}

int topo_parse(const char *spec, int ranks, hm_topo_t **topo, const char **why)
{
    int factor[HM_MAX_LEVELS];
    int count = spec_read(spec, factor);
    long long product = 1;
    for (int l = 0; l < count && product <= ranks; l++) product *= factor[l];
    if (count == 0) {
        *why = "expected one to six whole numbers above 0 joined by commas, outermost first, such as 4,8 or 4,2,2";
        return -EINVAL;
    }
    if (product != ranks) {
        *why = "the numbers must multiply to the number of ranks";
        return -EINVAL;
    }
    uint64_t *memory = malloc((size_t)count * (size_t)ranks * sizeof *memory);
    if (memory == NULL) {
        *why = "out of memory";
        return -ENOMEM;
    }
    const uint64_t *key[HM_MAX_LEVELS];
    int size = ranks;
    for (int l = 0; l < count; l++) {
        uint64_t *at = memory + (size_t)l * (size_t)ranks;
        size /= factor[l];
        for (int r = 0; r < ranks; r++) at[r] = (uint64_t)(r / size);
        key[l] = at;
    }
    int status = topo_create(ranks, count, key, topo);
    if (status != 0) *why = "out of memory";
    free(memory);
    return status;
}

void topo_destroy(hm_topo_t *topo)
{
    if (topo == NULL) return;
    free(topo->order);
    free(topo);
}

int topo_rail_peer(const hm_topo_t *topo, int level, int group, int rank)
{
    return topo_lane_peer(topo, level, group, rank, 0);
}

int topo_lane_peer(const hm_topo_t *topo, int level, int group, int rank, int lane)
{
    int own = topo->pos[rank] - topo->start[level][topo->group[level][rank]] + lane;
    int first = topo->start[level][group], size = topo->start[level][group + 1] - first;
    if (own >= size) own = size == 1 ? 0 : own < 2 * size ? own - size : own % size; /* division is slow */
    return topo->order[first + own];
}

int topo_lanes(const hm_topo_t *topo)
{
    int size = topo_group_size(topo, 1, 0);
    if (topo->levels < 2 || size > HM_MAX_LANES || topo->ranks > HM_MAX_LANE_RANKS) return 1;
    for (int g = 1; g < topo->groups[1]; g++)
        if (topo_group_size(topo, 1, g) != size) return 1;
    return size;
}
