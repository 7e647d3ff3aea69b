#include "arrange_settle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_AT_ONCE 8
#define WORTH 1e-9 /* share of the time below which a gain is rounding */

struct hm_settle {
    const hm_topo_t *topo;
    const hm_profile_t *profile;
    const hm_arrange_options_t *options;
    int experts, top_k;
    size_t tokens;
    uint16_t *ids;           /* [tokens][top_k] */
    uint32_t *first, *token; /* tokens of expert e: token[first[e]] to token[first[e + 1] - 1] */
    uint16_t *touched;       /* [tokens][top_k] those with one of two experts */
    hm_swap_options_t by, true_by;
};

/* One run's working state. */
typedef struct run {
    hm_swap_stats_t *stats;
    hm_swap_t *swap, *exact; /* by the search's objective, and by true maxima */
    double now, least;       /* times by each */
    int done, kept;          /* exchanges carried out, and those up to the least time */
    int (*pair)[2];          /* [steps] */
} run_t;

/* Which tokens have each expert: counted, then filed. */
static void tokens_index(hm_settle_t *settle)
{
    size_t count = settle->tokens * (size_t)settle->top_k;
    memset(settle->first, 0, ((size_t)settle->experts + 1) * sizeof *settle->first);
    for (size_t i = 0; i < count; i++) settle->first[settle->ids[i] + 1]++;
    for (int e = 0; e < settle->experts; e++) settle->first[e + 1] += settle->first[e];
    for (size_t i = count; i-- > 0;)
        settle->token[--settle->first[settle->ids[i] + 1]] = (uint32_t)(i / (size_t)settle->top_k);
    /* Now first[e + 1] is where e begins. */
    memmove(settle->first, settle->first + 1, (size_t)settle->experts * sizeof *settle->first);
    settle->first[settle->experts] = (uint32_t)count;
}

int settle_create(const hm_topo_t *topo, const hm_profile_t *profile, int experts, const hm_routes_t *routes,
                  const hm_arrange_options_t *options, hm_settle_t **out)
{
    size_t tokens = routes->tokens < HM_SETTLE_TOKENS ? routes->tokens : HM_SETTLE_TOKENS;
    size_t words = tokens * (size_t)routes->top_k;
    if (options->steps < 0 || routes->top_k > HM_SWAP_MAX_TOPK) return -EINVAL;
    hm_settle_t *settle = calloc(1, sizeof *settle);
    if (settle == NULL) return -ENOMEM;
    *settle = (hm_settle_t){topo, profile, options, experts, routes->top_k, tokens, .by = options->by};
    settle->ids = malloc(2 * words * sizeof *settle->ids);
    settle->first = malloc(((size_t)experts + 1 + words) * sizeof *settle->first);
    if (settle->ids == NULL || settle->first == NULL) {
        settle_destroy(settle);
        return -ENOMEM;
    }
    settle->touched = settle->ids + words;
    settle->token = settle->first + experts + 1;
    for (size_t t = 0; t < tokens; t++)
        memcpy(settle->ids + t * (size_t)routes->top_k,
               routes->ids + t * routes->tokens / tokens * (size_t)routes->top_k,
               (size_t)routes->top_k * sizeof *settle->ids);
    tokens_index(settle);
    settle->by.horizon = 0; /* what moving costs is asked at the end, of all moves together */
    settle->by.scale *= (double)routes->tokens / (double)tokens;
    settle->true_by = settle->by;
    settle->true_by.objective = HM_SWAP_MAX;
    *out = settle;
    return 0;
}

void settle_destroy(hm_settle_t *settle)
{
    if (settle == NULL) return;
    free(settle->ids);
    free(settle->first);
    free(settle);
}

hm_routes_t settle_routes(const hm_settle_t *settle)
{
    return (hm_routes_t){settle->ids, settle->tokens, settle->top_k};
}

/* Copies the tokens with a or b; returns their number. */
static size_t tokens_gather(hm_settle_t *settle, int a, int b)
{
    size_t top_k = (size_t)settle->top_k, count = 0;
    const uint32_t *one = settle->token + settle->first[a], *other = settle->token + settle->first[b];
    const uint32_t *one_end = settle->token + settle->first[a + 1], *other_end = settle->token + settle->first[b + 1];
    while (one < one_end || other < other_end) {
        uint32_t next = one < one_end ? *one : *other;
        if (other < other_end && *other < next) next = *other;
        if (one < one_end && *one == next) one++;
        if (other < other_end && *other == next) other++;
        memcpy(settle->touched + count++ * top_k, settle->ids + next * top_k, top_k * sizeof *settle->touched);
    }
    return count;
}

static int pair_exchange(hm_settle_t *settle, run_t *run, int a, int b)
{
    size_t count = tokens_gather(settle, a, b);
    int rc = swap_stats_swap(run->stats, settle->touched, count, settle->top_k, a, b);
    if (rc != 0) return rc;
    run->pair[run->done][0] = a;
    run->pair[run->done][1] = b;
    run->done++;
    double exact = swap_score(run->exact, run->stats, 0, 0);
    if (exact >= run->least * (1 - WORTH)) return 0;
    run->least = exact;
    run->kept = run->done;
    return 0;
}

/* Several pairs are taken from one table of all; each is scored again before it is carried out. */
static int pairs_exchange(hm_settle_t *settle, run_t *run)
{
    int a[PAIRS_AT_ONCE], b[PAIRS_AT_ONCE], steps = settle->options->steps;
    for (bool moved = true; moved && run->done < steps;) {
        int left = steps - run->done;
        int count = swap_candidates(run->swap, run->stats, PAIRS_AT_ONCE < left ? PAIRS_AT_ONCE : left, a, b);
        moved = false;
        for (int i = 0; i < count; i++) {
            double after = swap_score(run->swap, run->stats, a[i], b[i]);
            if (after >= run->now * (1 - WORTH)) continue;
            int rc = pair_exchange(settle, run, a[i], b[i]);
            if (rc != 0) return rc;
            run->now = after;
            moved = true;
        }
    }
    return 0;
}

static int run_start(const hm_settle_t *settle, const hm_placement_t *placement, run_t *run)
{
    const hm_arrange_options_t *options = settle->options;
    int rc = swap_stats_create(settle->topo, placement, &run->stats);
    run->pair = malloc((size_t)(options->steps + 1) * sizeof *run->pair);
    if (rc == 0 && run->pair == NULL) rc = -ENOMEM;
    if (rc == 0) rc = swap_stats_add(run->stats, settle->ids, settle->tokens, settle->top_k, 1);
    if (rc == 0)
        rc = swap_create(settle->topo, settle->profile, placement, options->row_bytes, options->depth, &settle->by,
                         &run->swap);
    if (rc == 0)
        rc = swap_create(settle->topo, settle->profile, placement, options->row_bytes, options->depth, &settle->true_by,
                         &run->exact);
    if (rc != 0) return rc;
    run->now = swap_score(run->swap, run->stats, 0, 0);
    run->least = swap_score(run->exact, run->stats, 0, 0);
    return 0;
}

int settle_run(hm_settle_t *settle, int *rank)
{
    hm_placement_t placement = {settle->experts, rank};
    run_t run = {.stats = NULL};
    int rc = run_start(settle, &placement, &run);
    if (rc == 0) rc = pairs_exchange(settle, &run);
    for (int i = 0; i < run.kept && rc == 0; i++) {
        int *a = &rank[run.pair[i][0]], *b = &rank[run.pair[i][1]], was = *a;
        *a = *b;
        *b = was;
    }
    swap_destroy(run.exact);
    swap_destroy(run.swap);
    swap_stats_destroy(run.stats);
    free(run.pair);
    return rc;
}
