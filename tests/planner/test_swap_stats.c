/* Statistics that swaps are chosen from, against brute force. */
#include "swap_reference.h"

#include <errno.h>

/* Ends the batch and the topology. */
static void check_batch_hits(hm_topo_t *topo, test_batch_t *batch)
{
    int experts = batch->trace.experts;
    double *hits = malloc((size_t)topo->ranks * sizeof(*hits));
    assert_non_null(hits);
    hm_swap_stats_t *stats = test_stats_of(topo, batch);
    for (int a = 0; a < experts; a++)
        for (int b = 0; b < experts; b++) {
            reference_swap(batch, a, b);
            for (int l = 1; l <= topo->levels; l++) {
                reference_hits(topo, batch, l, hits);
                int ga = stats->group[l][a], gb = stats->group[l][b];
                for (int g = 0; g < topo->groups[l]; g++) {
                    int64_t want = stats->p[l][g];
                    if (ga != gb && g == ga) want = swap_stats_hits(stats, l, a, b);
                    if (ga != gb && g == gb) want = swap_stats_hits(stats, l, b, a);
                    if (want != (int64_t)hits[g])
                        fail_msg("level %d group %d after %d <-> %d: %lld, not %.0f", l, g, a, b, (long long)want,
                                 hits[g]);
                }
            }
            reference_swap(batch, a, b);
        }
    swap_stats_destroy(stats);
    test_batch_destroy(batch);
    free(hits);
    topo_destroy(topo);
}

static void check_hits(hm_topo_t *topo, const char *routing, int experts, int top_k)
{
    test_batch_t batch;
    test_batch_create(&batch, topo, routing, experts, top_k, 30, 21);
    check_batch_hits(topo, &batch);
}

static void check_hits_real(hm_topo_t *topo, int layer, size_t first)
{
    test_batch_t batch;
    test_batch_read(&batch, topo, layer, first, 10);
    check_batch_hits(topo, &batch);
}

static void test_hits_after_any_swap_equal_brute_force(void **state)
{
    (void)state;
    check_hits(test_topo("4,2,2,2", 32), "uniform", 64, 8);
    check_hits(test_topo("2,2,2", 8), "zipf:1.3", 32, 6);
    check_hits(test_topo("2,4", 8), "group:4:2", 32, 4);
    check_hits(test_topo_scattered(7, 3, 8), "zipf:0.8", 21, 5);
}

static void test_hits_of_a_real_trace_equal_brute_force(void **state)
{
    (void)state;
    check_hits_real(test_topo("2,2,2", 8), 0, 500);
    check_hits_real(test_topo("4,2", 8), 1, 0);
    check_hits_real(test_topo_scattered(8, 3, 8), 1, 1014);
}

static void assert_stats_equal(const hm_swap_stats_t *one, const hm_swap_stats_t *two)
{
    assert_int_equal(one->words, two->words);
    assert_memory_equal(one->data, two->data, one->words * sizeof(*one->data));
}

static void test_sums_of_ranks_are_the_sums_of_all(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,4", 8);
    test_batch_t batch;
    test_batch_create(&batch, topo, "zipf:1", 32, 6, 50, 3);
    hm_swap_stats_t *all = test_stats_of(topo, &batch), *sum, *one;
    assert_int_equal(swap_stats_create(topo, &batch.placement, &sum), 0);
    for (int r = 0; r < 8; r++) {
        assert_int_equal(swap_stats_create(topo, &batch.placement, &one), 0);
        assert_int_equal(swap_stats_add(one, trace_source(&batch.trace, r, 0), 50, 6, 1), 0);
        for (size_t i = 0; i < one->words; i++) sum->data[i] += one->data[i];
        swap_stats_destroy(one);
    }
    assert_stats_equal(sum, all);
    for (int r = 0; r < 8; r++) swap_stats_add(all, trace_source(&batch.trace, r, 0), 50, 6, -1);
    for (size_t i = 0; i < all->words; i++) assert_int_equal(all->data[i], 0);
    batch.ids[3] = 32;
    assert_int_equal(swap_stats_add(all, batch.ids, 10, 6, 1), -EINVAL);
    for (size_t i = 0; i < all->words; i++) assert_int_equal(all->data[i], 0);
    swap_stats_destroy(all);
    swap_stats_destroy(sum);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_updated_statistics_equal_rebuilt_ones(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2,2", 8);
    test_batch_t batch;
    test_batch_create(&batch, topo, "zipf:1", 32, 6, 60, 3);
    hm_swap_stats_t *stats = test_stats_of(topo, &batch);
    srand(4);
    for (int i = 0; i < 60; i++) {
        int a = rand() % 32, b = rand() % 32;
        assert_int_equal(swap_stats_swap(stats, batch.ids, 8 * 60, 6, a, b), 0);
        reference_swap(&batch, a, b);
        hm_swap_stats_t *rebuilt = test_stats_of(topo, &batch);
        assert_stats_equal(stats, rebuilt);
        for (int l = 1; l <= topo->levels; l++)
            assert_memory_equal(stats->group[l], rebuilt->group[l], 32 * sizeof(uint16_t));
        swap_stats_destroy(rebuilt);
    }
    swap_stats_destroy(stats);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_after_any_swap_equal_brute_force),
        cmocka_unit_test(test_hits_of_a_real_trace_equal_brute_force),
        cmocka_unit_test(test_sums_of_ranks_are_the_sums_of_all),
        cmocka_unit_test(test_updated_statistics_equal_rebuilt_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
