#include "balance.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Experts by falling count, equal ones by id: insertion keeps their order. */
static void experts_sort(const uint32_t *count, int experts, int *order)
{
    for (int e = 0; e < experts; e++) {
        int at = e;
        for (; at > 0 && count[order[at - 1]] < count[e]; at--) order[at] = order[at - 1];
        order[at] = e;
    }
}

/* Loads and room of all groups of all levels, level by level from 1. */
typedef struct packing {
    uint64_t *load[HM_MAX_LEVELS + 1];
    int *room[HM_MAX_LEVELS + 1];
    uint64_t *loads;
    int *rooms;
} packing_t;

static int packing_create(const hm_topo_t *topo, const int *room, packing_t *packing)
{
    size_t groups = 0;
    for (int l = 1; l <= topo->levels; l++) groups += (size_t)topo->groups[l];
    packing->loads = calloc(groups, sizeof *packing->loads);
    packing->rooms = calloc(groups, sizeof *packing->rooms);
    if (packing->loads == NULL || packing->rooms == NULL) return -ENOMEM;
    size_t first = 0;
    for (int l = 1; l <= topo->levels; first += (size_t)topo->groups[l], l++) {
        packing->load[l] = packing->loads + first;
        packing->room[l] = packing->rooms + first;
        for (int r = 0; r < topo->ranks; r++) packing->room[l][topo->group[l][r]] += room[r];
    }
    return 0;
}

static void packing_free(packing_t *packing)
{
    free(packing->loads);
    free(packing->rooms);
}

/* The lightest group of a level with room, inside a group of the level above. */
static int group_find(const hm_topo_t *topo, const packing_t *packing, int level, int above)
{
    int best = -1;
    for (int p = topo->start[level - 1][above]; p < topo->start[level - 1][above + 1];) {
        int group = topo->group[level][topo->order[p]];
        bool better = best < 0 || packing->load[level][group] < packing->load[level][best];
        if (packing->room[level][group] > 0 && better) best = group;
        p = topo->start[level][group + 1];
    }
    return best;
}

int balance_pack(const hm_topo_t *topo, const uint32_t *count, int experts, const int *room, int *rank)
{
    packing_t packing = {.loads = NULL};
    int *order = malloc((size_t)experts * sizeof *order);
    int rc = order == NULL ? -ENOMEM : packing_create(topo, room, &packing);
    if (rc == 0) experts_sort(count, experts, order);
    for (int i = 0; i < experts && rc == 0; i++) {
        int group = 0;
        for (int l = 1; l <= topo->levels; l++) {
            group = group_find(topo, &packing, l, group);
            packing.load[l][group] += count[order[i]];
            packing.room[l][group]--;
        }
        rank[order[i]] = topo->order[topo->start[topo->levels][group]];
    }
    packing_free(&packing);
    free(order);
    return rc;
}

/* The exchange that leaves the busier of two ranks with least; false where none makes it less busy. */
static bool pair_find(const uint32_t *count, int experts, const int *rank, int busy, int idle, const uint64_t *load,
                      int *a, int *b)
{
    uint64_t least = load[busy];
    bool found = false;
    for (int x = 0; x < experts; x++) {
        if (rank[x] != busy) continue;
        for (int y = 0; y < experts; y++) {
            if (rank[y] != idle || count[y] >= count[x]) continue;
            uint64_t less = load[busy] - count[x] + count[y], more = load[idle] - count[y] + count[x];
            uint64_t most = less > more ? less : more;
            if (most >= least) continue;
            least = most;
            *a = x;
            *b = y;
            found = true;
        }
    }
    return found;
}

int balance_swap(const hm_topo_t *topo, const uint32_t *count, int experts, int *rank)
{
    int swaps = 0, a = 0, b = 0;
    uint64_t *load = calloc((size_t)topo->ranks, sizeof *load);
    if (load == NULL) return -ENOMEM;
    for (int e = 0; e < experts; e++) load[rank[e]] += count[e];
    for (;;) {
        int busy = 0, idle = 0;
        for (int r = 1; r < topo->ranks; r++) {
            if (load[r] > load[busy]) busy = r;
            if (load[r] < load[idle]) idle = r;
        }
        if (!pair_find(count, experts, rank, busy, idle, load, &a, &b)) break;
        load[busy] += (uint64_t)count[b] - count[a];
        load[idle] += (uint64_t)count[a] - count[b];
        rank[a] = idle;
        rank[b] = busy;
        swaps++;
    }
    free(load);
    return swaps;
}
