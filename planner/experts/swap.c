#include "swap.h"

#include "call/cost_padded.h"
#include "smooth.h"
#include "swap_bound.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FORBIDDEN 1e30f
/* Share of the time below which a gain is rounding. */
#define WORTH 1e-9
/* Relative error of exact scores. */
#define ROUNDING 1e-12

struct hm_swap {
    int experts, levels, terms;
    hm_swap_options_t options;
    hm_swap_term_t term[HM_MAX_LEVELS + 1];
    hm_swap_shape_t shape;
    double move_ms[HM_MAX_LEVELS + 1]; /* by the outermost level at which the two ranks are in different groups */
    float *change, *pair; /* [stride * stride] of one term; [stride * stride] lower bounds of the change, a < b */
    double *loads;        /* behind all terms' load and weight */
    int32_t *homes;       /* behind all terms' home */
    uint8_t *touched[HM_MAX_LEVELS + 1]; /* [level][group] 1: sums are out of date */
    size_t touched_bytes;
    uint8_t *taken; /* [experts] 1: part of a candidate */
};

static void terms_create(hm_swap_t *swap, const hm_topo_t *topo, const hm_profile_t *profile, size_t row_bytes,
                         int depth)
{
    hm_cost_term_t cost[HM_MAX_LEVELS];
    hm_profile_t room;
    swap->terms = cost_terms(topo, profile, row_bytes, depth, cost);
    for (int i = 0; i < swap->terms; i++)
        swap->term[i] = (hm_swap_term_t){.level = cost[i].level,
                                         .ms_per_row = cost[i].ms_per_row * swap->options.scale,
                                         .alpha_ms = cost[i].alpha_ms};
    if (swap->options.compute_ms > 0)
        swap->term[swap->terms++] = (hm_swap_term_t){
            .level = topo->levels, .compute = true, .ms_per_row = swap->options.compute_ms * swap->options.scale};
    profile = profile_adapt(profile, topo, false, &room);
    for (int l = 1; l <= topo->levels && swap->options.horizon > 0; l++) {
        const hm_link_t *link = l < topo->levels ? &profile->inter[l] : &profile->intra[l - 1];
        double peers = (double)topo->groups[l] / topo->groups[l - 1];
        swap->move_ms[l] = link->alpha_ms + swap->options.expert_bytes * link_leaving_beta(link, peers);
    }
}

static int memory_create(hm_swap_t *swap, const hm_topo_t *topo)
{
    size_t n = swap_pair_stride(swap->experts), ranks = (size_t)topo->ranks;
    swap->touched_bytes = (size_t)topo->levels * ranks;
    swap->change = calloc(n * n, sizeof *swap->change);
    swap->pair = calloc(n * n, sizeof *swap->pair);
    swap->loads = malloc(2 * ranks * (size_t)swap->terms * sizeof(double));
    swap->homes = calloc(n * (size_t)swap->terms, sizeof(int32_t));
    swap->touched[1] = calloc(swap->touched_bytes, 1);
    swap->taken = calloc((size_t)swap->experts, 1);
    if (swap->change == NULL || swap->pair == NULL || swap->loads == NULL || swap->homes == NULL) return -ENOMEM;
    if (swap->touched[1] == NULL || swap->taken == NULL) return -ENOMEM;
    for (int l = 2; l <= topo->levels; l++) swap->touched[l] = swap->touched[1] + (size_t)(l - 1) * ranks;
    for (int i = 0; i < swap->terms; i++) {
        swap->term[i].load = swap->loads + 2 * ranks * (size_t)i;
        swap->term[i].weight = swap->term[i].load + ranks;
        swap->term[i].home = swap->homes + n * (size_t)i;
    }
    return 0;
}

int swap_create(const hm_topo_t *topo, const hm_profile_t *profile, const hm_placement_t *placement, size_t row_bytes,
                int depth, const hm_swap_options_t *options, hm_swap_t **out)
{
    int runs = options->routing_groups;
    if (depth < 1 || depth > topo->levels || options->gamma < 1 || options->gamma > HM_SMOOTH_MAX_GAMMA) return -EINVAL;
    if (!(options->scale > 0) || runs < 0 || (runs > 1 && placement->experts % runs != 0)) return -EINVAL;
    hm_swap_t *swap = calloc(1, sizeof *swap);
    if (swap == NULL) return -ENOMEM;
    swap->experts = placement->experts;
    swap->levels = topo->levels;
    swap->options = *options;
    terms_create(swap, topo, profile, row_bytes, depth);
    swap_shape_fill(&swap->shape, options->objective, options->gamma);
    int rc = memory_create(swap, topo);
    if (rc != 0) {
        swap_destroy(swap);
        return rc;
    }
    *out = swap;
    return 0;
}

void swap_destroy(hm_swap_t *swap)
{
    if (swap == NULL) return;
    free(swap->change);
    free(swap->pair);
    free(swap->loads);
    free(swap->homes);
    free(swap->touched[1]);
    free(swap->taken);
    free(swap);
}

static void swap_prepare(hm_swap_t *swap, const hm_swap_stats_t *stats)
{
    for (int i = 0; i < swap->terms; i++) swap_term_prepare(&swap->term[i], &swap->shape, stats);
}

static double prepared_score(const hm_swap_t *swap, const hm_swap_stats_t *stats, int a, int b)
{
    double ms = 0;
    for (int i = 0; i < swap->terms; i++) {
        const hm_swap_term_t *term = &swap->term[i];
        ms += term->alpha_ms + term->ms_per_row * swap_term_maximum(term, &swap->shape, stats, a, b);
    }
    return ms;
}

double swap_score(hm_swap_t *swap, const hm_swap_stats_t *stats, int a, int b)
{
    swap_prepare(swap, stats);
    return prepared_score(swap, stats, a, b);
}

/* The outermost level at which two experts' ranks are in different groups; 0 if they share a rank. */
static int level_parting(const hm_swap_stats_t *stats, int a, int b)
{
    for (int l = 1; l <= stats->levels; l++)
        if (stats->group[l][a] != stats->group[l][b]) return l;
    return 0;
}

/* Whether either expert's group is out of date at level `from`, at which the two part, or deeper. */
static bool pair_touched(const hm_swap_t *swap, const hm_swap_stats_t *stats, int a, int b, int from)
{
    for (int l = from; l <= stats->levels; l++)
        if (swap->touched[l][stats->group[l][a]] || swap->touched[l][stats->group[l][b]]) return true;
    return false;
}

/* Sets each pair to the cost of moving the two, as each all-to-all of the horizon pays it; FORBIDDEN for pairs that may
 * not or need not be scored. */
static void pairs_start(hm_swap_t *swap, const hm_swap_stats_t *stats, bool any_touched)
{
    int n = swap->experts, run = swap->options.routing_groups > 1 ? n / swap->options.routing_groups : n;
    const uint16_t *rank = stats->group[stats->levels];
    for (int a = 0; a < n; a++) {
        float *pair = swap->pair + (size_t)a * swap_pair_stride(n);
        int run_end = (a / run + 1) * run;
        for (int b = a & ~3; b <= a; b++) pair[b] = FORBIDDEN;
        for (int b = a + 1; b < run_end; b++) pair[b] = rank[a] == rank[b] ? FORBIDDEN : 0;
        for (size_t b = (size_t)run_end; b < swap_pair_stride(n); b++) pair[b] = FORBIDDEN;
        if (swap->options.horizon <= 0 && !any_touched) continue;
        for (int b = a + 1; b < run_end; b++) {
            if (rank[a] == rank[b]) continue;
            int level = level_parting(stats, a, b);
            if (swap->options.horizon > 0) pair[b] = (float)(swap->move_ms[level] / swap->options.horizon * (1 - 1e-6));
            if (any_touched && pair_touched(swap, stats, a, b, level)) pair[b] = FORBIDDEN;
        }
    }
}

/* Sets swap->pair, a < b, to lower bounds of how exchanges change the time; returns the place of the least. */
static size_t pairs_bound(hm_swap_t *swap, const hm_swap_stats_t *stats, bool any_touched)
{
    size_t n = (size_t)swap->experts, stride = swap_pair_stride(swap->experts), least = 0;
    pairs_start(swap, stats, any_touched);
    for (int i = 0; i < swap->terms; i++) swap_bound_add(&swap->term[i], &swap->shape, stats, swap->change, swap->pair);
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++)
            if (swap->pair[a * stride + b] < swap->pair[least]) least = a * stride + b;
    return least;
}

/* The best exchange so far: `net` is its time with the move; pairs with a bound not below `below` cannot beat it. */
typedef struct best {
    double net, below;
    size_t at; /* in swap->pair */
} best_t;

static void best_set(best_t *best, double now, double net, size_t at)
{
    *best = (best_t){net, net - now + now * ROUNDING, at};
}

/* Scores one pair exactly and takes it if it is the best so far, the first among equals. */
static void consider(const hm_swap_t *swap, const hm_swap_stats_t *stats, size_t at, best_t *best,
                     hm_swap_choice_t *choice)
{
    size_t stride = swap_pair_stride(swap->experts);
    int a = (int)(at / stride), b = (int)(at % stride);
    double move = swap->move_ms[level_parting(stats, a, b)], after = prepared_score(swap, stats, a, b);
    double net = after + (swap->options.horizon > 0 ? move / swap->options.horizon : 0);
    if (net > best->net || (net == best->net && at >= best->at)) return;
    best_set(best, choice->before_ms, net, at);
    choice->a = a;
    choice->b = b;
    choice->after_ms = after;
    choice->move_ms = move;
}

static void choose(hm_swap_t *swap, const hm_swap_stats_t *stats, bool any_touched, hm_swap_choice_t *choice)
{
    best_t best;
    swap_prepare(swap, stats);
    double now = prepared_score(swap, stats, 0, 0);
    *choice = (hm_swap_choice_t){-1, -1, now, now, 0};
    best_set(&best, now, now * (1 - WORTH), 0);
    size_t n = (size_t)swap->experts, stride = swap_pair_stride(swap->experts);
    size_t least = pairs_bound(swap, stats, any_touched);
    if (swap->pair[least] < best.below)
        consider(swap, stats, least, &best, choice); /* first, so that few others are left to score */
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++)
            if (swap->pair[a * stride + b] < best.below) consider(swap, stats, a * stride + b, &best, choice);
}

void swap_choose(hm_swap_t *swap, const hm_swap_stats_t *stats, hm_swap_choice_t *choice)
{
    choose(swap, stats, false, choice);
}

/* The pair of least bound whose experts are both free; stride * stride where none is below `below`. */
static size_t pair_free(const hm_swap_t *swap, const uint8_t *taken, float below)
{
    size_t n = (size_t)swap->experts, stride = swap_pair_stride(swap->experts), least = stride * stride;
    for (size_t a = 0; a < n; a++) {
        if (taken[a] != 0) continue;
        for (size_t b = a + 1; b < n; b++)
            if (swap->pair[a * stride + b] < below && taken[b] == 0) {
                least = a * stride + b;
                below = swap->pair[least];
            }
    }
    return least;
}

int swap_candidates(hm_swap_t *swap, const hm_swap_stats_t *stats, int most, int *a, int *b)
{
    size_t stride = swap_pair_stride(swap->experts);
    int count = 0;
    swap_prepare(swap, stats);
    pairs_bound(swap, stats, false);
    memset(swap->taken, 0, (size_t)swap->experts);
    for (; count < most; count++) {
        size_t at = pair_free(swap, swap->taken, 0);
        if (at == stride * stride) break;
        a[count] = (int)(at / stride);
        b[count] = (int)(at % stride);
        swap->taken[a[count]] = swap->taken[b[count]] = 1;
    }
    return count;
}

/* Exchanges two experts without tokens: hits of the two groups are known in closed form, other sums are not. */
static void place_untold(hm_swap_t *swap, hm_swap_stats_t *stats, int a, int b)
{
    for (int l = 1; l <= stats->levels; l++) {
        int ga = stats->group[l][a], gb = stats->group[l][b];
        if (ga == gb) continue;
        uint32_t hits_a = (uint32_t)swap_stats_hits(stats, l, a, b), hits_b = (uint32_t)swap_stats_hits(stats, l, b, a);
        stats->p[l][ga] = hits_a;
        stats->p[l][gb] = hits_b;
        swap->touched[l][ga] = swap->touched[l][gb] = 1;
    }
    swap_stats_place(stats, a, b);
}

int swap_choose_several(hm_swap_t *swap, hm_swap_stats_t *stats, hm_swap_update_t update, void *context, int most,
                        hm_swap_choice_t *choice)
{
    int count = 0;
    memset(swap->touched[1], 0, swap->touched_bytes);
    while (count < most) {
        hm_swap_choice_t next;
        choose(swap, stats, update == NULL && count > 0, &next);
        if (next.a < 0) break;
        if (update != NULL) {
            int rc = update(context, stats, next.a, next.b);
            if (rc != 0) return rc;
        } else {
            place_untold(swap, stats, next.a, next.b);
        }
        choice[count++] = next;
    }
    return count;
}
