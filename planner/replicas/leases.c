#include "leases.h"

#include "experts/loads.h"

#include <stdbool.h>
#include <string.h>

typedef struct assignment {
    const hm_lease_options_t *options;
    int ranks, count;
    int64_t room;               /* tokens that fill a rank */
    uint64_t *pending, *placed; /* by rank: of its own experts still to come; placed for good */
    int *best;                  /* [2 * ranks] see room_changed */
    int excluded;               /* the rank that spills now, or -1 */
    hm_lease_t *lease;
} assignment_t;

double leases_imbalance(const uint64_t *rank_load, int ranks)
{
    uint64_t sum = 0, most = 0;
    for (int r = 0; r < ranks; r++) {
        sum += rank_load[r];
        if (rank_load[r] > most) most = rank_load[r];
    }
    return sum > 0 ? (double)most * ranks / (double)sum : 1;
}

static int64_t room_left(const assignment_t *all, int rank)
{
    if (rank == all->excluded) return INT64_MIN;
    return all->room - (int64_t)all->placed[rank] - (int64_t)all->pending[rank];
}

static int rank_better(const assignment_t *all, int a, int b)
{
    int64_t left = room_left(all, a), right = room_left(all, b);
    if (left != right) return left > right ? a : b;
    return a < b ? a : b;
}

/* best[1] is the rank with most room, best[n] the better of best[2n] and best[2n + 1], best[ranks + r] rank r itself.
 */
static void room_changed(assignment_t *all, int rank)
{
    for (int n = (all->ranks + rank) / 2; n > 0; n /= 2)
        all->best[n] = rank_better(all, all->best[2 * n], all->best[2 * n + 1]);
}

static void rooms_compare(assignment_t *all)
{
    for (int r = 0; r < all->ranks; r++) all->best[all->ranks + r] = r;
    for (int n = all->ranks - 1; n > 0; n--) all->best[n] = rank_better(all, all->best[2 * n], all->best[2 * n + 1]);
}

/* Algorithm 3. It asks the other ranks in turn, the one with most room first; where that one has too little, the rest
 * have too. */
static void excess_spill(assignment_t *all, int expert, int home, uint64_t tokens)
{
    all->excluded = home;
    room_changed(all, home);
    while (tokens > 0) {
        int to = all->best[1];
        int64_t room = room_left(all, to);
        bool part = room > 0 && (uint64_t)room < tokens && (uint64_t)room >= all->options->least_tokens;
        uint64_t taken = part ? (uint64_t)room : tokens; /* where no rank has room for enough, one takes all */
        all->lease[all->count++] = (hm_lease_t){expert, home, to, taken};
        all->placed[to] += taken;
        room_changed(all, to);
        tokens -= taken;
    }
    all->excluded = -1;
    room_changed(all, home);
}

/* The body of Algorithm 2's loop. */
static void expert_assign(assignment_t *all, int expert, int home, uint64_t tokens)
{
    all->pending[home] -= tokens;
    int64_t room = room_left(all, home);
    uint64_t own = room < 0 ? 0 : (uint64_t)room < tokens ? (uint64_t)room : tokens;
    if (tokens - own < all->options->least_tokens || all->ranks == 1) own = tokens;
    all->placed[home] += own;
    if (own < tokens) excess_spill(all, expert, home, tokens - own);
}

int leases_choose(const uint64_t *loads, const int *home, int experts, int ranks, const hm_lease_options_t *options,
                  int *work, uint64_t *pending, uint64_t *rank_load, hm_lease_t *lease)
{
    uint64_t sum = 0;
    memset(pending, 0, (size_t)ranks * sizeof(*pending));
    for (int e = 0; e < experts; e++) {
        pending[home[e]] += loads[e];
        sum += loads[e];
    }
    if (leases_imbalance(pending, ranks) < options->threshold) {
        memcpy(rank_load, pending, (size_t)ranks * sizeof(*rank_load));
        return 0;
    }
    double full = options->factor * (double)sum / ranks;
    assignment_t all = {.options = options, .ranks = ranks, .pending = pending, .placed = rank_load, .lease = lease};
    int *order = work;
    all.room = (int64_t)full;
    if ((double)all.room < full) all.room++;
    all.best = work + 2 * experts;
    all.excluded = -1;
    memset(rank_load, 0, (size_t)ranks * sizeof(*rank_load));
    loads_order(loads, experts, order, work + experts);
    rooms_compare(&all);
    for (int i = 0; i < experts; i++) expert_assign(&all, order[i], home[order[i]], loads[order[i]]);
    return all.count;
}
