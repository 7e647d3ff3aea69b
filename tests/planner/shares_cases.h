/* Layers and machines that divisions are tried on. */
#ifndef HM_SHARES_CASES_H
#define HM_SHARES_CASES_H

#include "planner_test.h"

#include "../splitmix.h"

#include "shares/shares.h"

#define CASE_EXPERTS_MOST 300

typedef struct shares_case {
    int experts, resident;
    hm_shares_cost_t cost;
    uint64_t loads[CASE_EXPERTS_MOST];
    bool held[CASE_EXPERTS_MOST]; /* `resident` of them, any */
} shares_case_t;

static inline double case_uniform(uint64_t *random)
{
    return (double)(splitmix_next(random) >> 11) * 0x1p-53;
}

/* From least to most, every power of ten as likely. */
static inline double case_spread(uint64_t *random, double least, double most)
{
    return least * pow(most / least, case_uniform(random));
}

/* Decode and prefill, even and skewed loads, links, CPUs and GPUs that are slow and fast beside each other. */
static inline void case_draw(shares_case_t *drawn, int experts, uint64_t *random)
{
    double top = case_spread(random, 1, 2000), skew = 2 * case_uniform(random);
    bool even = case_uniform(random) < 0.5;
    memset(drawn, 0, sizeof(*drawn));
    drawn->experts = experts;
    drawn->resident = (int)(case_uniform(random) * (experts + 1) * (case_uniform(random) < 0.5 ? 1 : 0.5));
    drawn->cost = (hm_shares_cost_t){case_spread(random, 0.01, 1), case_spread(random, 0.001, 0.5),
                                     case_spread(random, 0.005, 0.2), case_spread(random, 0.0003, 0.05),
                                     case_spread(random, 0.1, 2)};
    for (int e = 0; e < experts; e++) {
        double load = even ? top * case_uniform(random) : top * pow(e + 1, -skew);
        drawn->loads[e] = (uint64_t)load + (splitmix_next(random) % 8 != 0);
    }
    for (int left = drawn->resident; left > 0;) {
        size_t e = splitmix_next(random) % (uint64_t)experts;
        left -= !drawn->held[e];
        drawn->held[e] = true;
    }
}

#endif
