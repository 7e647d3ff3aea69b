/* Experts lent for a batch: LLEP's Algorithms 2 and 3. */
#include "planner_test.h"

#include "../splitmix.h"

#include "experts/loads.h"
#include "replicas/leases.h"

#define EXPERTS 64
#define RANKS 16

typedef struct batch {
    uint64_t loads[EXPERTS], pending[RANKS], rank_load[RANKS];
    int home[EXPERTS], work[2 * (EXPERTS + RANKS)], experts, ranks, count;
    hm_lease_t lease[EXPERTS + RANKS];
} batch_t;

static void batch_choose(batch_t *batch, const hm_lease_options_t *options)
{
    placement_contiguous(batch->experts, batch->ranks, batch->home);
    batch->count = leases_choose(batch->loads, batch->home, batch->experts, batch->ranks, options, batch->work,
                                 batch->pending, batch->rank_load, batch->lease);
}

static void lease_is(const hm_lease_t *lease, int expert, int from, int to, uint64_t tokens)
{
    assert_int_equal(lease->expert, expert);
    assert_int_equal(lease->from, from);
    assert_int_equal(lease->to, to);
    assert_int_equal(lease->tokens, tokens);
}

/* By hand: 4 ranks of 2 experts, 400 tokens, so a rank is full at 100. */
static void test_the_heaviest_expert_is_spilled_first(void **state)
{
    (void)state;
    batch_t batch = {.loads = {250, 30, 20, 0, 40, 20, 30, 10}, .experts = 8, .ranks = 4};
    hm_lease_options_t options = {.threshold = 1.3, .factor = 1, .least_tokens = 10};
    batch_choose(&batch, &options);
    assert_int_equal(batch.count, 3);
    /* Rank 0 keeps 70 beside the 30 of expert 1 that are still to come; rank 1 has room for 80, then 2 and 3 for 60
     * and 40. */
    lease_is(&batch.lease[0], 0, 0, 1, 80);
    lease_is(&batch.lease[1], 0, 0, 3, 60);
    lease_is(&batch.lease[2], 0, 0, 2, 40);
    for (int r = 0; r < 4; r++) assert_int_equal(batch.rank_load[r], 100);
}

static void test_nothing_is_lent_below_the_threshold(void **state)
{
    (void)state;
    batch_t batch = {.loads = {30, 22, 22, 22}, .experts = 4, .ranks = 4};
    hm_lease_options_t options = {.threshold = 1.3, .factor = 1, .least_tokens = 1};
    batch_choose(&batch, &options);
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.rank_load[0], 30);
    options.threshold = 1.2;
    batch_choose(&batch, &options);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.rank_load[0], 24);
}

static void test_few_tokens_stay_at_home(void **state)
{
    (void)state;
    batch_t batch = {.loads = {40, 20, 20, 20}, .experts = 4, .ranks = 4};
    hm_lease_options_t options = {.threshold = 1.3, .factor = 1, .least_tokens = 16};
    batch_choose(&batch, &options);
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.rank_load[0], 40);
    options.least_tokens = 5;
    batch_choose(&batch, &options);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.rank_load[0], 25);
}

/* Where no rank has room for enough tokens, the least loaded takes them all. */
static void test_what_fits_nowhere_goes_to_the_least_loaded(void **state)
{
    (void)state;
    batch_t batch = {.loads = {100, 10, 20, 30}, .experts = 4, .ranks = 4};
    hm_lease_options_t options = {.threshold = 1.3, .factor = 0.5, .least_tokens = 30};
    batch_choose(&batch, &options);
    assert_int_equal(batch.count, 1);
    lease_is(&batch.lease[0], 0, 0, 1, 80);
    assert_int_equal(batch.rank_load[1], 90);
}

static void test_one_rank_and_no_tokens(void **state)
{
    (void)state;
    batch_t batch = {.loads = {7, 9}, .experts = 2, .ranks = 1};
    hm_lease_options_t options = {.threshold = 0, .factor = 1, .least_tokens = 0};
    batch_choose(&batch, &options);
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.rank_load[0], 16);
    batch_t empty = {.experts = 2, .ranks = 2};
    batch_choose(&empty, &options);
    assert_int_equal(empty.count, 0);
    assert_float_equal(leases_imbalance(empty.rank_load, 2), 1, 0);
}

/* Algorithms 2 and 3 line by line, on whole tokens; as in the text, less than m tokens in excess stay at home. */
static int reference(const batch_t *batch, const hm_lease_options_t *options, hm_lease_t *lease, int64_t *assigned)
{
    int64_t pending[RANKS] = {0}, sum = 0;
    int order[EXPERTS], count = 0;
    for (int e = 0; e < batch->experts; e++) {
        pending[batch->home[e]] += (int64_t)batch->loads[e];
        sum += (int64_t)batch->loads[e];
        int at = e;
        for (; at > 0 && batch->loads[order[at - 1]] < batch->loads[e]; at--) order[at] = order[at - 1];
        order[at] = e;
    }
    int64_t most = (int64_t)ceil(options->factor * (double)sum / batch->ranks), m = (int64_t)options->least_tokens;
    memset(assigned, 0, RANKS * sizeof(*assigned));
    for (int i = 0; i < batch->experts; i++) {
        int e = order[i], home = batch->home[e];
        int64_t load = (int64_t)batch->loads[e];
        pending[home] -= load;
        int64_t room = most - assigned[home] - pending[home], own = room >= load ? load : room > 0 ? room : 0;
        if (load - own < m) own = load;
        assigned[home] += own;
        for (int64_t left = load - own; left > 0;) {
            int to = -1;
            for (int o = 0; o < batch->ranks; o++)
                if (o != home && (to < 0 || assigned[o] + pending[o] < assigned[to] + pending[to])) to = o;
            int64_t chunk = most - assigned[to] - pending[to] < left ? most - assigned[to] - pending[to] : left;
            if (chunk <= 0 || (chunk < m && left > chunk))
                chunk = left; /* too small everywhere: force the least loaded */
            lease[count++] = (hm_lease_t){e, home, to, (uint64_t)chunk};
            assigned[to] += chunk;
            left -= chunk;
        }
    }
    return count;
}

static void test_leases_equal_the_algorithms(void **state)
{
    (void)state;
    uint64_t random = 6;
    for (int i = 0; i < 20000; i++) {
        batch_t batch = {.experts = 1 + (int)(splitmix_next(&random) % EXPERTS),
                         .ranks = 2 + (int)(splitmix_next(&random) % (RANKS - 1))};
        hm_lease_options_t options = {.threshold = 0,
                                      .factor = 0.5 + (double)(splitmix_next(&random) % 100) / 100,
                                      .least_tokens = splitmix_next(&random) % 3 * 50};
        hm_lease_t lease[EXPERTS + RANKS];
        int64_t assigned[RANKS];
        for (int e = 0; e < batch.experts; e++)
            batch.loads[e] = splitmix_next(&random) % (1 + splitmix_next(&random) % 1000);
        batch_choose(&batch, &options);
        assert_int_equal(reference(&batch, &options, lease, assigned), batch.count);
        for (int l = 0; l < batch.count; l++)
            lease_is(&batch.lease[l], lease[l].expert, lease[l].from, lease[l].to, lease[l].tokens);
        for (int r = 0; r < batch.ranks; r++) assert_int_equal(batch.rank_load[r], assigned[r]);
    }
}

/* Whatever the loads: every token is computed once, only excess is lent, and loads end up even where leases of a single
 * token may be made. */
static void test_random_loads(void **state)
{
    (void)state;
    uint64_t random = 5;
    for (int i = 0; i < 20000; i++) {
        batch_t batch = {.experts = 1 + (int)(splitmix_next(&random) % EXPERTS),
                         .ranks = 1 + (int)(splitmix_next(&random) % RANKS)};
        hm_lease_options_t options = {.threshold = 1, .factor = 1, .least_tokens = splitmix_next(&random) % 3 * 50};
        uint64_t done[RANKS] = {0}, lent[EXPERTS] = {0}, sum, most = 0;
        for (int e = 0; e < batch.experts; e++)
            batch.loads[e] = splitmix_next(&random) % (1 + splitmix_next(&random) % 1000);
        sum = loads_sum(batch.loads, batch.experts);
        batch_choose(&batch, &options);
        assert_true(batch.count <= leases_most(batch.experts, batch.ranks));
        for (int l = 0; l < batch.count; l++) {
            const hm_lease_t *lease = &batch.lease[l];
            assert_true(lease->to != lease->from && lease->from == batch.home[lease->expert] && lease->tokens > 0);
            lent[lease->expert] += lease->tokens;
            done[lease->to] += lease->tokens;
        }
        for (int e = 0; e < batch.experts; e++) {
            assert_true(lent[e] <= batch.loads[e]);
            assert_true(lent[e] == 0 || lent[e] >= options.least_tokens);
            done[batch.home[e]] += batch.loads[e] - lent[e];
        }
        for (int r = 0; r < batch.ranks; r++) {
            assert_int_equal(done[r], batch.rank_load[r]);
            if (done[r] > most) most = done[r];
        }
        if (options.least_tokens == 0)
            assert_true(most <= sum / (uint64_t)batch.ranks + (sum % (uint64_t)batch.ranks != 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_heaviest_expert_is_spilled_first),
        cmocka_unit_test(test_nothing_is_lent_below_the_threshold),
        cmocka_unit_test(test_few_tokens_stay_at_home),
        cmocka_unit_test(test_what_fits_nowhere_goes_to_the_least_loaded),
        cmocka_unit_test(test_one_rank_and_no_tokens),
        cmocka_unit_test(test_leases_equal_the_algorithms),
        cmocka_unit_test(test_random_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
