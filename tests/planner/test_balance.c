/* Placements by counts alone. */
#include "experts/balance.h"
#include "planner_test.h"

/* Tokens of the busiest rank; fails where a rank has not its number of experts. */
static uint64_t busiest(const hm_topo_t *topo, const uint32_t *count, int experts, const int *rank, int each)
{
    uint64_t most = 0;
    for (int r = 0; r < topo->ranks; r++) {
        uint64_t load = 0;
        int held = 0;
        for (int e = 0; e < experts; e++) {
            load += rank[e] == r ? count[e] : 0;
            held += rank[e] == r;
        }
        assert_int_equal(held, each);
        if (load > most) most = load;
    }
    return most;
}

static void test_packing_goes_by_nodes_first(void **state)
{
    (void)state;
    static const uint32_t count[8] = {90, 80, 40, 30, 20, 10, 5, 1};
    static const int room[4] = {2, 2, 2, 2};
    int rank[8];
    hm_topo_t *topo = test_topo("2,2", 4);
    assert_int_equal(balance_pack(topo, count, 8, room, rank), 0);
    /* Node 0: 90, 30, 20, 1; node 1: 80, 40, 10, 5. */
    static const int want[8] = {0, 2, 3, 1, 1, 3, 2, 0};
    assert_memory_equal(rank, want, sizeof(want));
    topo_destroy(topo);
}

static void test_swapping_makes_the_busiest_rank_less_busy(void **state)
{
    (void)state;
    uint32_t count[64];
    int rank[64];
    hm_topo_t *topo = test_topo("4,2", 8);
    for (int e = 0; e < 64; e++) count[e] = e < 8 ? 1000 : 10 + (uint32_t)e; /* all hot ones on rank 0 */
    placement_contiguous(64, 8, rank);
    uint64_t before = busiest(topo, count, 64, rank, 8);
    int swaps = balance_swap(topo, count, 64, rank);
    assert_true(swaps >= 7);
    assert_int_equal(before, 8000);
    assert_true(busiest(topo, count, 64, rank, 8) < 1500);
    assert_int_equal(balance_swap(topo, count, 64, rank), 0);
    topo_destroy(topo);
}

static void test_even_counts_stay_as_they_are(void **state)
{
    (void)state;
    uint32_t count[16];
    int rank[16], was[16];
    hm_topo_t *topo = test_topo("2,2", 4);
    for (int e = 0; e < 16; e++) count[e] = 7;
    placement_contiguous(16, 4, rank);
    memcpy(was, rank, sizeof(rank));
    assert_int_equal(balance_swap(topo, count, 16, rank), 0);
    assert_memory_equal(rank, was, sizeof(rank));
    topo_destroy(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_goes_by_nodes_first),
        cmocka_unit_test(test_swapping_makes_the_busiest_rank_less_busy),
        cmocka_unit_test(test_even_counts_stay_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
