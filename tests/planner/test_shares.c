/* What CPU, link and GPU take of a layer: the time of a division, and what a chosen one may look like. */
#include "shares_cases.h"

#include <errno.h>

/* When the GPU is done with jobs in this order, each brought by the link before. */
static double flow_shop(const double *transfer, const double *compute, const int *order, int count)
{
    double link = 0, gpu = 0;
    for (int i = 0; i < count; i++) {
        link += transfer[order[i]];
        if (link > gpu) gpu = link;
        gpu += compute[order[i]];
    }
    return gpu;
}

static double permutations_best(const double *transfer, const double *compute, int *order, int fixed, int count)
{
    double best = fixed == count ? flow_shop(transfer, compute, order, count) : INFINITY;
    for (int i = fixed; i < count; i++) {
        int swapped = order[fixed];
        order[fixed] = order[i];
        order[i] = swapped;
        double time = permutations_best(transfer, compute, order, fixed + 1, count);
        if (time < best) best = time;
        order[i] = order[fixed];
        order[fixed] = swapped;
    }
    return best;
}

/* Johnson's order is the best of all orders, and the CPU works beside it. */
static void test_time_is_that_of_the_best_order(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 3000; i++) {
        shares_case_t drawn;
        hm_shares_t *shares;
        hm_share_t share[6];
        double transfer[6], compute[6], cpu = 0;
        int order[6], jobs = 0, experts = 1 + i % 6;
        case_draw(&drawn, experts, &random);
        assert_int_equal(shares_create(experts, &shares), 0);
        for (int e = 0; e < experts; e++) {
            double n = (double)drawn.loads[e];
            share[e] = (hm_share_t)(splitmix_next(&random) % 3);
            if (n == 0) continue;
            if (share[e] == HM_SHARE_CPU) cpu += drawn.cost.cpu_alpha_ms + drawn.cost.cpu_beta_ms * n;
            if (share[e] == HM_SHARE_CPU) continue;
            transfer[jobs] = share[e] == HM_SHARE_STREAM ? drawn.cost.stream_ms : 0;
            compute[jobs] = drawn.cost.gpu_alpha_ms + drawn.cost.gpu_beta_ms * n;
            order[jobs] = jobs;
            jobs++;
        }
        double gpu = permutations_best(transfer, compute, order, 0, jobs);
        hm_shares_time_t time = shares_time(shares, &drawn.cost, drawn.loads, share);
        assert_float_equal(time.cpu_ms, cpu, 1e-9 * cpu);
        assert_float_equal(time.gpu_ms, gpu, 1e-9 * gpu);
        assert_float_equal(time.makespan_ms, cpu > gpu ? cpu : gpu, 1e-9 * (cpu + gpu));
        shares_destroy(shares);
    }
}

/* By hand: the CPU takes 0.7 ms for each of the two cold experts, meanwhile the hottest is computed in 0.14, and the
 * other, which arrives at 0.8, in 0.09. Any other division keeps CPU or link busy for longer than 1.4. */
static void test_a_layer_by_hand(void **state)
{
    (void)state;
    const hm_shares_cost_t cost = {0.5, 0.2, 0.05, 0.01, 0.8};
    const uint64_t loads[4] = {9, 4, 1, 1};
    const hm_share_t want[4] = {HM_SHARE_RESIDENT, HM_SHARE_STREAM, HM_SHARE_CPU, HM_SHARE_CPU};
    hm_share_t share[4];
    hm_shares_t *shares;
    assert_int_equal(shares_create(4, &shares), 0);
    hm_shares_time_t time = shares_choose(shares, &cost, loads, 1, NULL, share);
    assert_memory_equal(share, want, sizeof(want));
    assert_float_equal(time.cpu_ms, 1.4, 1e-12);
    assert_float_equal(time.link_ms, 0.8, 1e-12);
    assert_float_equal(time.gpu_ms, 0.89, 1e-12);
    assert_float_equal(time.makespan_ms, 1.4, 1e-12);
    shares_destroy(shares);
}

static void test_a_division_keeps_to_its_limits(void **state)
{
    (void)state;
    uint64_t random = 2;
    for (int i = 0; i < 2000; i++) {
        shares_case_t drawn;
        hm_shares_t *shares;
        hm_share_t share[CASE_EXPERTS_MOST];
        int experts = 1 + (int)(splitmix_next(&random) % (i % 20 == 0 ? CASE_EXPERTS_MOST : 40)), resident = 0;
        case_draw(&drawn, experts, &random);
        assert_int_equal(shares_create(experts, &shares), 0);
        hm_shares_time_t time = shares_choose(shares, &drawn.cost, drawn.loads, drawn.resident, NULL, share);
        hm_shares_time_t again = shares_time(shares, &drawn.cost, drawn.loads, share);
        assert_memory_equal(&time, &again, sizeof(time));
        for (int e = 0; e < experts; e++) {
            resident += share[e] == HM_SHARE_RESIDENT;
            if (drawn.loads[e] == 0) assert_int_equal(share[e], HM_SHARE_CPU);
        }
        assert_true(resident <= drawn.resident);
        shares_choose(shares, &drawn.cost, drawn.loads, 0, drawn.held, share);
        for (int e = 0; e < experts; e++) assert_int_equal(share[e] == HM_SHARE_RESIDENT, drawn.held[e]);
        shares_destroy(shares);
    }
}

/* Guaranteed by the way the division is found; the last bits of sums may differ. */
static void test_never_worse_than_fiddler(void **state)
{
    (void)state;
    uint64_t random = 3;
    for (int i = 0; i < 4000; i++) {
        shares_case_t drawn;
        hm_shares_t *shares;
        hm_share_t share[CASE_EXPERTS_MOST];
        int experts = 1 + (int)(splitmix_next(&random) % (i % 20 == 0 ? CASE_EXPERTS_MOST : 40));
        case_draw(&drawn, experts, &random);
        assert_int_equal(shares_create(experts, &shares), 0);
        for (int fixed = 0; fixed < 2; fixed++) {
            const bool *held = fixed ? drawn.held : NULL;
            double theirs = shares_fiddler(shares, &drawn.cost, drawn.loads, drawn.resident, held, share).makespan_ms;
            double ours = shares_choose(shares, &drawn.cost, drawn.loads, drawn.resident, held, share).makespan_ms;
            if (!(ours <= theirs * (1 + 1e-12))) fail_msg("case %d: %.17g, Fiddler's %.17g", i, ours, theirs);
        }
        shares_destroy(shares);
    }
}

/* Fiddler's rule, expert by expert. */
static void test_fiddler_takes_the_sooner_side(void **state)
{
    (void)state;
    const hm_shares_cost_t cost = {0, 7, 0, 0, 70};
    const uint64_t loads[5] = {11, 10, 9, 0, 300};
    const bool held[5] = {false, false, true, false, false};
    hm_share_t share[5];
    hm_shares_t *shares;
    assert_int_equal(shares_create(5, &shares), 0);
    shares_fiddler(shares, &cost, loads, 1, NULL, share);
    const hm_share_t chosen[5] = {HM_SHARE_STREAM, HM_SHARE_STREAM, HM_SHARE_CPU, HM_SHARE_CPU, HM_SHARE_RESIDENT};
    assert_memory_equal(share, chosen, sizeof(chosen));
    shares_fiddler(shares, &cost, loads, 1, held, share);
    const hm_share_t fixed[5] = {HM_SHARE_STREAM, HM_SHARE_STREAM, HM_SHARE_RESIDENT, HM_SHARE_CPU, HM_SHARE_STREAM};
    assert_memory_equal(share, fixed, sizeof(fixed));
    shares_destroy(shares);
}

static void test_odd_layers(void **state)
{
    (void)state;
    const hm_shares_cost_t nothing = {0, 0, 0, 0, 0}, cost = {1, 1, 1, 1, 1};
    const uint64_t none[3] = {0, 0, 0}, some[3] = {5, 0, 7};
    const bool all[3] = {true, true, true};
    hm_share_t share[3];
    hm_shares_t *shares = NULL;
    assert_int_equal(shares_create(0, &shares), -EINVAL);
    assert_null(shares);
    shares_destroy(NULL);
    assert_int_equal(shares_create(3, &shares), 0);
    assert_float_equal(shares_choose(shares, &cost, none, 2, NULL, share).makespan_ms, 0, 0);
    assert_float_equal(shares_choose(shares, &nothing, some, 2, NULL, share).makespan_ms, 0, 0);
    assert_float_equal(shares_choose(shares, &cost, some, 0, all, share).makespan_ms, 14, 0);
    assert_float_equal(shares_choose(shares, &cost, some, 3, NULL, share).makespan_ms, 8, 0);
    shares_destroy(shares);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_is_that_of_the_best_order), cmocka_unit_test(test_a_layer_by_hand),
        cmocka_unit_test(test_a_division_keeps_to_its_limits), cmocka_unit_test(test_never_worse_than_fiddler),
        cmocka_unit_test(test_fiddler_takes_the_sooner_side),  cmocka_unit_test(test_odd_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
