/* Brute force for the swap tests: counts all tokens again for every placement, and sums up Eq. 8 with libm. */
#ifndef HM_SWAP_REFERENCE_H
#define HM_SWAP_REFERENCE_H

#include "planner_test.h"

#include "call/cost.h"

#include "experts/swap.h"

/* All tokens of a batch. */
static inline hm_swap_stats_t *test_stats_of(const hm_topo_t *topo, const test_batch_t *batch)
{
    hm_swap_stats_t *stats;
    assert_int_equal(swap_stats_create(topo, &batch->placement, &stats), 0);
    size_t tokens = (size_t)topo->ranks * batch->trace.tokens;
    assert_int_equal(swap_stats_add(stats, batch->ids, tokens, batch->trace.top_k, 1), 0);
    return stats;
}

/* Tokens that hit each group of a level: hits[groups]. */
static inline void reference_hits(const hm_topo_t *topo, const test_batch_t *batch, int level, double *hits)
{
    size_t tokens = (size_t)topo->ranks * batch->trace.tokens;
    int top_k = batch->trace.top_k;
    memset(hits, 0, (size_t)topo->groups[level] * sizeof(*hits));
    for (size_t t = 0; t < tokens; t++)
        for (int k = 0; k < top_k; k++) {
            const uint16_t *ids = batch->ids + t * (size_t)top_k;
            int g = topo->group[level][batch->place[ids[k]]], again = 0;
            for (int j = 0; j < k; j++) again |= topo->group[level][batch->place[ids[j]]] == g;
            if (!again) hits[g]++;
        }
}

static inline void reference_swap(test_batch_t *batch, int a, int b)
{
    int place = batch->place[a];
    batch->place[a] = batch->place[b];
    batch->place[b] = place;
}

static inline double reference_maximum(const hm_swap_options_t *options, const double *hits, const double *now, int n)
{
    double most = 0, top = 0, sum = 0;
    for (int g = 0; g < n; g++) {
        if (hits[g] > most) most = hits[g];
        if (now[g] > top) top = now[g];
    }
    if (options->objective == HM_SWAP_MAX) return most;
    for (int g = 0; g < n; g++)
        sum += options->objective == HM_SWAP_SMOOTH_MAX ? pow(hits[g] / most, options->gamma)
                                                        : exp(options->gamma * hits[g] / top - options->gamma);
    if (options->objective == HM_SWAP_SMOOTH_MAX) return most * pow(sum, 1.0 / options->gamma);
    return top * (1 + log(sum) / options->gamma);
}

/* The objective with a and b exchanged; the placement is left as it was. */
static inline double reference_score(const hm_topo_t *topo, const hm_profile_t *profile, test_batch_t *batch, int depth,
                                     const hm_swap_options_t *options, int a, int b)
{
    hm_cost_term_t term[HM_MAX_LEVELS];
    double *now = malloc((size_t)topo->ranks * sizeof(*now)), *hits = malloc((size_t)topo->ranks * sizeof(*hits));
    double ms = 0;
    assert_true(now != NULL && hits != NULL);
    int terms = cost_terms(topo, profile, batch->table.row_bytes, depth, term);
    for (int i = 0; i < terms; i++) {
        int level = term[i].level;
        reference_hits(topo, batch, level, now);
        reference_swap(batch, a, b);
        reference_hits(topo, batch, level, hits);
        reference_swap(batch, a, b);
        ms += term[i].alpha_ms +
              term[i].ms_per_row * options->scale * reference_maximum(options, hits, now, topo->groups[level]);
    }
    if (options->compute_ms > 0) {
        size_t choices = (size_t)topo->ranks * batch->trace.tokens * (size_t)batch->trace.top_k;
        memset(now, 0, (size_t)topo->ranks * sizeof(*now));
        memset(hits, 0, (size_t)topo->ranks * sizeof(*hits));
        for (size_t i = 0; i < choices; i++) now[topo->pos[batch->place[batch->ids[i]]]]++;
        reference_swap(batch, a, b);
        for (size_t i = 0; i < choices; i++) hits[topo->pos[batch->place[batch->ids[i]]]]++;
        reference_swap(batch, a, b);
        ms += options->compute_ms * options->scale * reference_maximum(options, hits, now, topo->ranks);
    }
    free(now);
    free(hits);
    return ms;
}

/* The first of the best pairs by swap_score, -1 if none gains more than rounding. Does not know what moving costs. */
typedef struct test_best {
    int a, b;
    double after_ms;
} test_best_t;

static inline test_best_t test_best(hm_swap_t *swap, const hm_swap_stats_t *stats, const hm_swap_options_t *options,
                                    int experts)
{
    double now = swap_score(swap, stats, 0, 0), least = now * (1 - 1e-9);
    int run = options->routing_groups > 1 ? experts / options->routing_groups : experts;
    test_best_t best = {-1, -1, now};
    for (int a = 0; a < experts; a++)
        for (int b = a + 1; b < (a / run + 1) * run; b++) {
            double ms = swap_score(swap, stats, a, b);
            if (ms < least) best = (test_best_t){a, b, least = ms};
        }
    return best;
}

#endif
