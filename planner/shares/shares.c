#include "shares.h"

#include "experts/loads.h"
#include "shares_division.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct hm_shares {
    int experts;
    int *order;  /* [experts] all of them by load */
    int *expert; /* [experts] those to be divided, as many as division.count; scratch to sort with before */
    hm_division_t division;
};

int shares_create(int experts, hm_shares_t **out)
{
    if (experts < 1) return -EINVAL;
    size_t n = (size_t)experts;
    hm_shares_t *shares = calloc(1, sizeof(*shares));
    double *doubles = malloc((5 * n + 3) * sizeof(*doubles));
    int *ints = malloc(2 * n * sizeof(*ints));
    bool *bools = malloc(2 * n * sizeof(*bools));
    if (shares == NULL || doubles == NULL || ints == NULL || bools == NULL) {
        free(bools);
        free(ints);
        free(doubles);
        free(shares);
        return -ENOMEM;
    }
    *shares = (hm_shares_t){.experts = experts, .order = ints, .expert = ints + n};
    shares->division.cpu = doubles;
    shares->division.gpu = doubles + n;
    shares->division.work = doubles + 2 * n;
    shares->division.on_cpu = bools;
    shares->division.now = bools + n;
    *out = shares;
    return 0;
}

void shares_destroy(hm_shares_t *shares)
{
    if (shares == NULL) return;
    free(shares->division.on_cpu);
    free(shares->division.cpu);
    free(shares->order);
    free(shares);
}

static double cpu_ms(const hm_shares_cost_t *cost, uint64_t tokens)
{
    return cost->cpu_alpha_ms + cost->cpu_beta_ms * (double)tokens;
}

static double gpu_ms(const hm_shares_cost_t *cost, uint64_t tokens)
{
    return cost->gpu_alpha_ms + cost->gpu_beta_ms * (double)tokens;
}

/* order is that of the loads. */
static hm_shares_time_t share_time(const hm_shares_t *shares, const hm_shares_cost_t *cost, const uint64_t *loads,
                                   const hm_share_t *share)
{
    hm_shares_time_t time = {0, 0, 0, 0};
    for (int e = 0; e < shares->experts; e++) {
        if (loads[e] == 0) continue;
        if (share[e] == HM_SHARE_CPU) time.cpu_ms += cpu_ms(cost, loads[e]);
        if (share[e] == HM_SHARE_RESIDENT) time.gpu_ms += gpu_ms(cost, loads[e]);
    }
    for (int i = 0; i < shares->experts && loads[shares->order[i]] > 0; i++) {
        if (share[shares->order[i]] != HM_SHARE_STREAM) continue;
        time.link_ms += cost->stream_ms;
        time.gpu_ms = division_later(time.gpu_ms, time.link_ms) + gpu_ms(cost, loads[shares->order[i]]);
    }
    time.makespan_ms = division_later(time.cpu_ms, division_later(time.link_ms, time.gpu_ms));
    return time;
}

hm_shares_time_t shares_time(hm_shares_t *shares, const hm_shares_cost_t *cost, const uint64_t *loads,
                             const hm_share_t *share)
{
    loads_order(loads, shares->experts, shares->order, shares->expert);
    return share_time(shares, cost, loads, share);
}

/* Lines up what is to be divided. */
static void layer_prepare(hm_shares_t *shares, const hm_shares_cost_t *cost, const uint64_t *loads, int resident,
                          const bool *held)
{
    hm_division_t *division = &shares->division;
    division->count = 0;
    division->resident = held == NULL && resident > 0 ? resident : 0;
    division->held_ms = 0;
    division->stream_ms = cost->stream_ms;
    loads_order(loads, shares->experts, shares->order, shares->expert);
    for (int i = 0; i < shares->experts; i++) {
        int e = shares->order[i];
        if (loads[e] == 0) break;
        if (held != NULL && held[e]) {
            division->held_ms += gpu_ms(cost, loads[e]);
            continue;
        }
        shares->expert[division->count] = e;
        division->cpu[division->count] = cpu_ms(cost, loads[e]);
        division->gpu[division->count++] = gpu_ms(cost, loads[e]);
    }
}

/* The GPU's hottest experts are resident: they save as much of the link as any, and let it finish the earliest. */
static void share_write(const hm_shares_t *shares, const bool *held, hm_share_t *share)
{
    const hm_division_t *division = &shares->division;
    for (int e = 0; e < shares->experts; e++) share[e] = held != NULL && held[e] ? HM_SHARE_RESIDENT : HM_SHARE_CPU;
    for (int i = 0, resident = 0; i < division->count; i++) {
        if (division->on_cpu[i]) continue;
        share[shares->expert[i]] = resident++ < division->resident ? HM_SHARE_RESIDENT : HM_SHARE_STREAM;
    }
}

/* Up to 12 experts make a tree of no more than 8190 nodes; many of them are many small steps anyway. */
static int steps_allowed(int count)
{
    if (count <= 12) return 8192;
    return count < 85 ? 32768 / count : 384;
}

hm_shares_time_t shares_choose(hm_shares_t *shares, const hm_shares_cost_t *cost, const uint64_t *loads, int resident,
                               const bool *held, hm_share_t *share)
{
    layer_prepare(shares, cost, loads, resident, held);
    division_window(&shares->division);
    division_search(&shares->division, HM_SHARES_CLOSE, steps_allowed(shares->division.count));
    share_write(shares, held, share);
    return share_time(shares, cost, loads, share);
}

hm_shares_time_t shares_fiddler(hm_shares_t *shares, const hm_shares_cost_t *cost, const uint64_t *loads, int resident,
                                const bool *held, hm_share_t *share)
{
    layer_prepare(shares, cost, loads, resident, held);
    hm_division_t *division = &shares->division;
    for (int i = 0; i < division->count; i++)
        division->on_cpu[i] = i >= division->resident && division->cpu[i] < cost->stream_ms + division->gpu[i];
    share_write(shares, held, share);
    return share_time(shares, cost, loads, share);
}
