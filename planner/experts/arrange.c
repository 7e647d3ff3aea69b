#include "arrange.h"

#include "arrange_score.h"
#include "arrange_settle.h"
#include "balance.h"
#include "cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How much the mean load of a group weighs against what is chosen together: blocks are dealt with each of them. */
static const double arrange_balances[] = {0.05, 0.1, 0.2, 0.4};
enum { BALANCES = sizeof arrange_balances / sizeof arrange_balances[0] };

/* One search. */
typedef struct search {
    const hm_topo_t *topo;
    const hm_profile_t *profile;
    const hm_placement_t *now;
    const hm_routes_t *routes, *held;
    const hm_arrange_options_t *options;
    hm_score_t *score;
    hm_settle_t *settle;
    hm_cluster_t *cluster;
    int *rank[HM_ARRANGEMENTS]; /* [experts] */
    int *start;                 /* [experts] a placement at hand */
    hm_arrangement_t *result;
} search_t;

const char *arrange_name(int kind)
{
    static const char *const names[HM_ARRANGEMENTS] = {
        [HM_ARRANGED_NOW] = "now",
        [HM_ARRANGED_PAIRS] = "pairs",
        [HM_ARRANGED_BLOCKS] = "blocks and pairs",
        [HM_ARRANGED_PACKED] = "packed by counts (EPLB)",
        [HM_ARRANGED_BALANCED] = "balanced by counts (SmartMoE)",
    };
    return kind >= 0 && kind < HM_ARRANGEMENTS ? names[kind] : NULL;
}

static int packed_find(const search_t *search, int *rank)
{
    int *room = calloc((size_t)search->topo->ranks, sizeof *room);
    if (room == NULL) return -ENOMEM;
    for (int e = 0; e < search->now->experts; e++) room[search->now->rank[e]]++;
    int rc = balance_pack(search->topo, cluster_counts(search->cluster), search->now->experts, room, rank);
    free(room);
    return rc;
}

/* On both parts: what one part alone likes best often is its noise. */
static double both_ms(const search_t *search, const int *rank)
{
    hm_routes_t sample = settle_routes(search->settle);
    return score_ms(search->score, &sample, rank) + score_ms(search->score, search->held, rank);
}

/* Keeps a placement in `rank` if it is the best so far; *least is below 0 where there is none yet. */
static void place_keep(const search_t *search, const int *place, double *least, int *rank)
{
    double ms = both_ms(search, place);
    if (*least >= 0 && ms >= *least) return;
    *least = ms;
    memcpy(rank, place, (size_t)search->now->experts * sizeof *rank);
}

/* The best placement to start from: blocks dealt at each balance, and those by counts alone. */
static int start_find(search_t *search, double *least, int *rank)
{
    for (int i = 0; i < BALANCES; i++) {
        int rc = cluster_place(search->cluster, search->topo, search->now, arrange_balances[i], search->start);
        if (rc == -EINVAL) break; /* groups hold unequally many experts */
        if (rc != 0) return rc;
        place_keep(search, search->start, least, rank);
    }
    int rc = packed_find(search, search->start);
    if (rc != 0) return rc;
    place_keep(search, search->start, least, rank);
    memcpy(search->start, search->now->rank, (size_t)search->now->experts * sizeof *rank);
    rc = balance_swap(search->topo, cluster_counts(search->cluster), search->now->experts, search->start);
    if (rc >= 0) place_keep(search, search->start, least, rank);
    return rc < 0 ? rc : 0;
}

/* The best start, with pairs exchanged from there; or as it is, or what pairs alone led to, where that is better. */
static int blocks_find(search_t *search, int *rank)
{
    double least = -1;
    int rc = start_find(search, &least, rank);
    if (rc != 0) return rc;
    memcpy(search->start, rank, (size_t)search->now->experts * sizeof *rank);
    rc = settle_run(search->settle, search->start);
    if (rc != 0) return rc;
    place_keep(search, search->start, &least, rank);
    place_keep(search, search->rank[HM_ARRANGED_PAIRS], &least, rank);
    return 0;
}

static int kind_find(search_t *search, hm_arrangement_kind_t kind)
{
    int *rank = search->rank[kind];
    switch (kind) {
    case HM_ARRANGED_PAIRS:
        return settle_run(search->settle, rank);
    case HM_ARRANGED_BLOCKS:
        return search->options->by.routing_groups > 1 ? 0 : blocks_find(search, rank);
    case HM_ARRANGED_PACKED:
        return search->options->by.routing_groups > 1 ? 0 : packed_find(search, rank);
    case HM_ARRANGED_BALANCED: {
        int swaps = balance_swap(search->topo, cluster_counts(search->cluster), search->now->experts, rank);
        return swaps < 0 ? swaps : 0;
    }
    case HM_ARRANGED_NOW:
    case HM_ARRANGEMENTS:
        break;
    }
    return 0;
}

static void kind_value(search_t *search, hm_arrangement_kind_t kind)
{
    const int *rank = search->rank[kind];
    hm_arrangement_t *result = &search->result[kind];
    *result = (hm_arrangement_t){.tried = true,
                                 .ms = score_ms(search->score, search->routes, rank),
                                 .held_ms = score_ms(search->score, search->held, rank),
                                 .move_ms = score_move_ms(search->score, search->now->rank, rank)};
    for (int e = 0; e < search->now->experts; e++) result->moved += rank[e] != search->now->rank[e];
}

/* Whether an arrangement is worth its moves. */
static bool arrangement_pays(const hm_arrangement_t *now, const hm_arrangement_t *other, double horizon)
{
    double gain = now->ms - other->ms, held = now->held_ms - other->held_ms;
    double least = gain < held ? gain : held;
    return gain >= HM_ARRANGE_GAIN * now->ms && held >= HM_ARRANGE_GAIN * now->held_ms && held >= gain / 2 &&
           (horizon <= 0 || least * horizon > 2 * other->move_ms);
}

static hm_arrangement_kind_t kind_take(const search_t *search)
{
    hm_arrangement_kind_t best = HM_ARRANGED_NOW;
    const hm_arrangement_t *result = search->result;
    double horizon = search->options->by.horizon, least = 0;
    for (int k = 1; k < HM_ARRANGEMENTS; k++) {
        if (!arrangement_pays(&result[0], &result[k], horizon)) continue;
        double ms = result[k].ms + result[k].held_ms + (horizon > 0 ? 2 * result[k].move_ms / horizon : 0);
        if (best != HM_ARRANGED_NOW && ms >= least) continue;
        best = (hm_arrangement_kind_t)k;
        least = ms;
    }
    return best;
}

static int search_run(search_t *search)
{
    size_t bytes = (size_t)search->now->experts * sizeof(int);
    for (int k = 0; k < HM_ARRANGEMENTS; k++) {
        memcpy(search->rank[k], search->now->rank, bytes);
        int rc = kind_find(search, (hm_arrangement_kind_t)k);
        if (rc != 0) return rc;
        kind_value(search, (hm_arrangement_kind_t)k);
    }
    return 0;
}

int arrange_choose(const hm_topo_t *topo, const hm_profile_t *profile, const hm_placement_t *now,
                   const hm_routes_t *routes, const hm_routes_t *held, const hm_arrange_options_t *options, int *rank,
                   hm_arrangement_kind_t *taken, hm_arrangement_t result[HM_ARRANGEMENTS])
{
    size_t experts = (size_t)now->experts;
    hm_arrangement_t found[HM_ARRANGEMENTS];
    search_t search = {topo, profile, now, routes, held, options, .result = found};
    int *places = malloc((HM_ARRANGEMENTS + 1) * experts * sizeof *places);
    int rc =
        places == NULL ? -ENOMEM : score_create(topo, profile, options, now->experts, routes->tokens, &search.score);
    if (rc == 0) rc = score_check(search.score, held);
    if (rc == 0) rc = score_check(search.score, routes);
    if (rc == 0) rc = settle_create(topo, profile, now->experts, routes, options, &search.settle);
    if (rc == 0) rc = cluster_create(routes, now->experts, &search.cluster);
    if (rc == 0) {
        for (int k = 0; k < HM_ARRANGEMENTS; k++) search.rank[k] = places + (size_t)k * experts;
        search.start = places + (size_t)HM_ARRANGEMENTS * experts;
        rc = search_run(&search);
    }
    if (rc == 0) {
        *taken = kind_take(&search);
        memcpy(rank, search.rank[*taken], experts * sizeof *rank);
        memcpy(result, found, sizeof found);
    }
    cluster_destroy(search.cluster);
    settle_destroy(search.settle);
    score_destroy(search.score);
    free(places);
    return rc;
}
