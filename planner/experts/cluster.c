#include "cluster.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct hm_cluster {
    int experts;
    uint32_t *count;    /* [experts] */
    uint32_t *together; /* [experts][experts] tokens that chose both */
    int *order;         /* [experts] the heaviest first */
};

/* What one level's dealing works with; groups are those of the level. */
typedef struct dealing {
    const hm_cluster_t *cluster;
    const hm_topo_t *topo;
    int level;
    double balance;
    int *room;       /* [groups] experts that still fit */
    int *held;       /* [groups] experts dealt so far */
    double *load;    /* [groups] tokens of these */
    double *mean;    /* [groups of the level above] tokens that each group inside should get */
    uint64_t *bonds; /* [groups] how often the expert at hand is chosen with those dealt */
    int *above, *to; /* [experts] group of the level above, and the one dealt to */
    int *real;       /* [groups] the group that a dealt one is matched with */
} dealing_t;

static void experts_sort(const uint32_t *count, int experts, int *order)
{
    for (int e = 0; e < experts; e++) {
        int at = e;
        for (; at > 0 && count[order[at - 1]] < count[e]; at--) order[at] = order[at - 1];
        order[at] = e;
    }
}

static void tokens_count(const hm_routes_t *routes, hm_cluster_t *cluster)
{
    size_t n = (size_t)cluster->experts, top_k = (size_t)routes->top_k;
    for (size_t t = 0; t < routes->tokens; t++) {
        const uint16_t *ids = routes->ids + t * top_k;
        for (size_t i = 0; i < top_k; i++) {
            cluster->count[ids[i]]++;
            for (size_t j = 0; j < top_k; j++) cluster->together[ids[i] * n + ids[j]]++;
        }
    }
}

int cluster_create(const hm_routes_t *routes, int experts, hm_cluster_t **out)
{
    size_t n = (size_t)experts;
    for (size_t i = 0; i < routes->tokens * (size_t)routes->top_k; i++)
        if (routes->ids[i] >= experts) return -EINVAL;
    hm_cluster_t *cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL) return -ENOMEM;
    cluster->experts = experts;
    cluster->count = calloc(n, sizeof *cluster->count);
    cluster->together = calloc(n * n, sizeof *cluster->together);
    cluster->order = malloc(n * sizeof *cluster->order);
    if (cluster->count == NULL || cluster->together == NULL || cluster->order == NULL) {
        cluster_destroy(cluster);
        return -ENOMEM;
    }
    tokens_count(routes, cluster);
    experts_sort(cluster->count, experts, cluster->order);
    *out = cluster;
    return 0;
}

void cluster_destroy(hm_cluster_t *cluster)
{
    if (cluster == NULL) return;
    free(cluster->count);
    free(cluster->together);
    free(cluster->order);
    free(cluster);
}

const uint32_t *cluster_counts(const hm_cluster_t *cluster)
{
    return cluster->count;
}

/* The first group of a level inside one of the level above, and the one behind the last: groups are numbered by
 * position. */
static void groups_inside(const hm_topo_t *topo, int level, int above, int *first, int *end)
{
    *first = topo->group[level][topo->order[topo->start[level - 1][above]]];
    *end = topo->group[level][topo->order[topo->start[level - 1][above + 1] - 1]] + 1;
}

/* The group to take for an expert: by bonds and loads, among an innermost group's ranks by loads alone. */
static int group_take(const dealing_t *deal, int expert)
{
    int first, end, best = -1;
    double most = 0, count = deal->cluster->count[expert];
    groups_inside(deal->topo, deal->level, deal->above[expert], &first, &end);
    for (int g = first; g < end; g++) {
        if (deal->room[g] == 0) continue;
        double mean = deal->mean[deal->above[expert]], full = mean > 0 ? deal->load[g] / mean : 0;
        double score = deal->level == deal->topo->levels
                           ? -deal->load[g]
                           : (double)(deal->bonds[g] + 1) / (deal->held[g] + 1) - deal->balance * count * full;
        if (best >= 0 && score <= most) continue;
        best = g;
        most = score;
    }
    return best;
}

static void experts_deal(const dealing_t *deal)
{
    const hm_cluster_t *cluster = deal->cluster;
    size_t n = (size_t)cluster->experts, groups = (size_t)deal->topo->groups[deal->level];
    for (size_t i = 0; i < n; i++) {
        int expert = cluster->order[i];
        const uint32_t *with = cluster->together + (size_t)expert * n;
        memset(deal->bonds, 0, groups * sizeof *deal->bonds);
        for (size_t j = 0; j < i; j++) deal->bonds[deal->to[cluster->order[j]]] += with[cluster->order[j]];
        int group = group_take(deal, expert);
        deal->to[expert] = group;
        deal->room[group]--;
        deal->held[group]++;
        deal->load[group] += cluster->count[expert];
    }
}

/* Matches the dealt groups inside one group of the level above with its real ones: the pair with most experts in common
 * first. */
static void groups_match(const dealing_t *deal, const int *now, int first, int end, uint32_t *common)
{
    int count = end - first;
    memset(common, 0, (size_t)count * (size_t)count * sizeof *common);
    for (int e = 0; e < deal->cluster->experts; e++)
        if (deal->to[e] >= first && deal->to[e] < end && now[e] >= first && now[e] < end)
            common[(deal->to[e] - first) * count + now[e] - first]++;
    for (int g = first; g < end; g++) deal->real[g] = -1;
    bool *taken = (bool *)(common + (size_t)count * (size_t)count);
    memset(taken, 0, (size_t)count * sizeof *taken);
    for (int pair = 0; pair < count; pair++) {
        int dealt = -1, real = -1;
        for (int d = 0; d < count; d++)
            for (int r = 0; r < count && deal->real[first + d] < 0; r++)
                if (!taken[r] && (dealt < 0 || common[d * count + r] > common[dealt * count + real])) {
                    dealt = d;
                    real = r;
                }
        deal->real[first + dealt] = first + real;
        taken[real] = true;
    }
}

/* Experts that each group holds now; -EINVAL where groups inside the same group differ. */
static int room_fill(const dealing_t *deal, const hm_placement_t *now)
{
    placement_count(deal->topo, now, deal->level, deal->room);
    for (int above = 0; above < deal->topo->groups[deal->level - 1]; above++) {
        int first, end;
        groups_inside(deal->topo, deal->level, above, &first, &end);
        for (int g = first + 1; g < end; g++)
            if (deal->room[g] != deal->room[first]) return -EINVAL;
        deal->mean[above] = 0;
        for (int e = 0; e < now->experts; e++)
            if (deal->above[e] == above) deal->mean[above] += (double)deal->cluster->count[e] / (end - first);
    }
    return 0;
}

static int level_place(dealing_t *deal, const hm_placement_t *now, int *here, uint32_t *common)
{
    const hm_topo_t *topo = deal->topo;
    size_t groups = (size_t)topo->groups[deal->level];
    int rc = room_fill(deal, now);
    if (rc != 0) return rc;
    memset(deal->held, 0, groups * sizeof *deal->held);
    memset(deal->load, 0, groups * sizeof *deal->load);
    for (int e = 0; e < now->experts; e++) here[e] = topo->group[deal->level][now->rank[e]];
    experts_deal(deal);
    for (int above = 0; above < topo->groups[deal->level - 1]; above++) {
        int first, end;
        groups_inside(topo, deal->level, above, &first, &end);
        groups_match(deal, here, first, end, common);
    }
    for (int e = 0; e < now->experts; e++) deal->above[e] = deal->real[deal->to[e]];
    return 0;
}

static int dealing_create(const hm_cluster_t *cluster, const hm_topo_t *topo, dealing_t *deal)
{
    size_t ranks = (size_t)topo->ranks, n = (size_t)cluster->experts;
    deal->room = malloc(3 * ranks * sizeof *deal->room);
    deal->load = malloc(2 * ranks * sizeof *deal->load);
    deal->bonds = malloc(ranks * sizeof *deal->bonds);
    deal->above = calloc(3 * n, sizeof *deal->above);
    if (deal->room == NULL || deal->load == NULL || deal->bonds == NULL || deal->above == NULL) return -ENOMEM;
    deal->held = deal->room + ranks;
    deal->real = deal->held + ranks;
    deal->mean = deal->load + ranks;
    deal->to = deal->above + n;
    return 0;
}

int cluster_place(const hm_cluster_t *cluster, const hm_topo_t *topo, const hm_placement_t *now, double balance,
                  int *rank)
{
    dealing_t deal = {.cluster = cluster, .topo = topo, .balance = balance};
    int most = 1;
    for (int l = 1; l <= topo->levels; l++)
        for (int above = 0, first, end; above < topo->groups[l - 1]; above++) {
            groups_inside(topo, l, above, &first, &end);
            if (end - first > most) most = end - first;
        }
    uint32_t *common = malloc((size_t)(most + 1) * (size_t)most * sizeof *common);
    int rc = common == NULL ? -ENOMEM : dealing_create(cluster, topo, &deal);
    for (deal.level = 1; deal.level <= topo->levels && rc == 0; deal.level++)
        rc = level_place(&deal, now, deal.above + 2 * (size_t)cluster->experts, common);
    for (int e = 0; e < cluster->experts && rc == 0; e++)
        rank[e] = topo->order[topo->start[topo->levels][deal.above[e]]];
    free(common);
    free(deal.room);
    free(deal.load);
    free(deal.bonds);
    free(deal.above);
    return rc;
}
