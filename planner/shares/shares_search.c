/* Branch and bound over what CPU and GPU take, expert by expert, the hottest first. */
#include "shares_division.h"

#include <stddef.h>
#include <string.h>

#define PLACES_MOST 64 /* at the cold end, where an expert changes least; bounds the depth of the recursion too */

typedef struct search {
    hm_division_t *division;
    double *left;   /* [count + 1] the sooner side's time of all from a place on */
    double at_most; /* share of the best time that a branch must stay below */
    int steps;      /* still allowed */
} search_t;

/* What has been divided so far. taken: by the GPU. */
typedef struct branch {
    int place, taken;
    double cpu_ms, gpu_ms;
} branch_t;

static branch_t branch_follow(const hm_division_t *division, branch_t branch, bool on_cpu)
{
    int i = branch.place++;
    if (on_cpu) {
        branch.cpu_ms += division->cpu[i];
        return branch;
    }
    int transfers = ++branch.taken - division->resident;
    double arrived = transfers > 0 ? transfers * division->stream_ms : 0;
    branch.gpu_ms = division_later(branch.gpu_ms, arrived) + division->gpu[i];
    return branch;
}

/* Nothing below a branch is done before this: either side is busy so long, or both together with what is left. */
static double branch_bound(const search_t *search, const branch_t *branch)
{
    double half = (branch->cpu_ms + branch->gpu_ms + search->left[branch->place]) / 2;
    return division_later(division_later(branch->cpu_ms, branch->gpu_ms), half);
}

/* Tries first what the best division so far does, so that the next best ones are near. */
static void branch_search(search_t *search, branch_t branch)
{
    hm_division_t *division = search->division;
    if (branch.place == division->count) {
        division->best_ms = branch_bound(search, &branch);
        memcpy(division->on_cpu, division->now, (size_t)division->count * sizeof(*division->now));
        return;
    }
    bool first = division->on_cpu[branch.place];
    for (int other = 0; other < 2; other++) {
        bool on_cpu = first != (other == 1);
        branch_t next = branch_follow(division, branch, on_cpu);
        if (branch_bound(search, &next) >= division->best_ms * search->at_most) continue;
        if (search->steps-- <= 0) return;
        division->now[branch.place] = on_cpu;
        branch_search(search, next);
    }
}

void division_search(hm_division_t *division, double share, int steps)
{
    int n = division->count, from = n > PLACES_MOST ? n - PLACES_MOST : 0;
    search_t search = {division, division->work, 1 - share, steps};
    branch_t branch = {.gpu_ms = division->held_ms};
    search.left[n] = 0;
    for (int i = n - 1; i >= 0; i--)
        search.left[i] =
            search.left[i + 1] + (division->cpu[i] < division->gpu[i] ? division->cpu[i] : division->gpu[i]);
    memcpy(division->now, division->on_cpu, (size_t)n * sizeof(*division->now));
    while (branch.place < from) branch = branch_follow(division, branch, division->on_cpu[branch.place]);
    branch_search(&search, branch);
}
