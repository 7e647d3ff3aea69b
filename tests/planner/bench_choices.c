/* bench_choices [--count]: how long choices take that a job would make between two batches, for 256 experts: copies
 * over 1,024 ranks and leases may take a millisecond, shares of CPU, link and GPU 50 us. Bounds are four instructions
 * for a nanosecond, which is what this reaches on a core of 2020. See bench.h. */
#include "bench.h"

#include "../splitmix.h"

#include "replicas/leases.h"
#include "replicas/replicas.h"
#include "shares/shares.h"

#include <stdio.h>
#include <stdlib.h>

#define EXPERTS 256
#define RANKS 1024
#define ROUNDS 1001
#define COUNTED 5

static uint64_t loads[EXPERTS];

/* A few experts with most of the tokens, as Zipf's law has it, and some noise. */
static void loads_draw(uint64_t *random)
{
    for (int e = 0; e < EXPERTS; e++)
        loads[e] = 4000000 / (1 + splitmix_next(random) % EXPERTS) + splitmix_next(random) % 1000;
}

static void replicas_run(void *unused)
{
    static int count[EXPERTS];
    static double work[EXPERTS];
    (void)unused;
    replicas_count(loads, EXPERTS, RANKS, 2, count, work);
}

static void leases_run(void *unused)
{
    static const hm_lease_options_t options = HM_LEASE_DEFAULTS;
    static int home[EXPERTS], work[2 * (EXPERTS + RANKS)];
    static uint64_t pending[RANKS], rank_load[RANKS];
    static hm_lease_t lease[EXPERTS + RANKS];
    (void)unused;
    for (int e = 0; e < EXPERTS; e++) home[e] = e * (RANKS / EXPERTS);
    leases_choose(loads, home, EXPERTS, RANKS, &options, work, pending, rank_load, lease);
}

/* A quarter of the experts may stay on a GPU behind PCIe 4 (test_shares_best.c). */
static void shares_run(void *shares)
{
    static const hm_shares_cost_t cost = {0.16, 0.02, 0.015, 0.0002, 0.38};
    static hm_share_t share[EXPERTS];
    shares_choose(shares, &cost, loads, EXPERTS / 4, NULL, share);
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void case_run(const char *name, void (*run)(void *), void *argument, long most, int count)
{
    static double us[ROUNDS];
    uint64_t random = 1;
    int rounds = count ? COUNTED : ROUNDS;
    for (int i = 0; i < rounds; i++) {
        loads_draw(&random);
        double start = bench_now_ms();
        bench_counted(run, argument);
        us[i] = 1e3 * (bench_now_ms() - start);
    }
    if (count) {
        bench_case_end(name, most, rounds);
        return;
    }
    qsort(us, ROUNDS, sizeof(us[0]), by_value);
    printf("%s: median %.1f us, slowest %.1f us of %d\n", name, us[ROUNDS / 2], us[ROUNDS - 1], ROUNDS);
}

int main(int argc, char **argv)
{
    int count = bench_arguments(argc, argv);
    hm_shares_t *shares;
    case_run("replicas", replicas_run, NULL, 1000000, count);
    case_run("leases", leases_run, NULL, 1000000, count);
    if (shares_create(EXPERTS, &shares) != 0) return 1;
    case_run("shares", shares_run, shares, 200000, count);
    shares_destroy(shares);
    return 0;
}
