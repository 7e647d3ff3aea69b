/* Blocks of experts that are chosen together. */
#include "experts/cluster.h"
#include "planner_test.h"

#include <errno.h>

#define EXPERTS 32
#define TOP_K 4
#define TOKENS 2000

/* Tokens of `families` kinds: each takes experts that differ by a multiple of the number of families. */
static void routes_draw(uint16_t *ids, int families)
{
    srand(3);
    for (int t = 0; t < TOKENS; t++) {
        int family = rand() % families, first = rand() % (EXPERTS / families);
        for (int k = 0; k < TOP_K; k++)
            ids[t * TOP_K + k] = (uint16_t)(family + families * ((first + k) % (EXPERTS / families)));
    }
}

static void experts_check(const hm_topo_t *topo, const int *rank, int each)
{
    hm_placement_t placement = {EXPERTS, (int *)rank};
    int held[EXPERTS];
    placement_count(topo, &placement, topo->levels, held);
    for (int r = 0; r < topo->ranks; r++) assert_int_equal(held[r], each);
}

/* Experts 0, 4, 8, ... are one family: each family ends up on one node, though contiguous places part all of them. */
static void test_families_come_to_lie_on_one_node(void **state)
{
    (void)state;
    uint16_t ids[TOKENS * TOP_K];
    hm_routes_t routes = {ids, TOKENS, TOP_K};
    int place[EXPERTS], rank[EXPERTS];
    hm_placement_t now = {EXPERTS, place};
    hm_cluster_t *cluster;
    hm_topo_t *topo = test_topo("4,2", 8);
    routes_draw(ids, 4);
    placement_contiguous(EXPERTS, 8, place);
    assert_int_equal(cluster_create(&routes, EXPERTS, &cluster), 0);
    assert_int_equal(cluster_place(cluster, topo, &now, 0.2, rank), 0);
    for (int e = 4; e < EXPERTS; e++) assert_int_equal(topo->group[1][rank[e]], topo->group[1][rank[e % 4]]);
    experts_check(topo, rank, 4);
    cluster_destroy(cluster);
    topo_destroy(topo);
}

/* Where families lie on their nodes already, in another order, nothing moves between nodes. */
static void test_blocks_stay_where_they_are(void **state)
{
    (void)state;
    uint16_t ids[TOKENS * TOP_K];
    hm_routes_t routes = {ids, TOKENS, TOP_K};
    int place[EXPERTS], rank[EXPERTS];
    hm_placement_t now = {EXPERTS, place};
    hm_cluster_t *cluster;
    hm_topo_t *topo = test_topo("4,2", 8);
    routes_draw(ids, 4);
    for (int e = 0; e < EXPERTS; e++) place[e] = (3 - e % 4) * 2 + (e / 4) % 2;
    assert_int_equal(cluster_create(&routes, EXPERTS, &cluster), 0);
    assert_int_equal(cluster_place(cluster, topo, &now, 0.2, rank), 0);
    for (int e = 0; e < EXPERTS; e++) assert_int_equal(topo->group[1][rank[e]], 3 - e % 4);
    cluster_destroy(cluster);
    topo_destroy(topo);
}

static void test_three_levels_and_scattered_ranks_keep_their_numbers(void **state)
{
    (void)state;
    uint16_t ids[TOKENS * TOP_K];
    hm_routes_t routes = {ids, TOKENS, TOP_K};
    int place[EXPERTS], rank[EXPERTS];
    hm_placement_t now = {EXPERTS, place};
    hm_cluster_t *cluster;
    routes_draw(ids, 8);
    placement_contiguous(EXPERTS, 8, place);
    assert_int_equal(cluster_create(&routes, EXPERTS, &cluster), 0);
    hm_topo_t *deep = test_topo("2,2,2", 8), *uneven = test_topo_scattered(8, 3, 5);
    assert_int_equal(cluster_place(cluster, deep, &now, 0.1, rank), 0);
    experts_check(deep, rank, 4);
    assert_int_equal(cluster_place(cluster, uneven, &now, 0.1, rank), -EINVAL);
    cluster_destroy(cluster);
    topo_destroy(uneven);
    topo_destroy(deep);
}

static void test_counts_and_bad_ids(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 1, 1, 2};
    hm_routes_t routes = {ids, 2, 2};
    hm_cluster_t *cluster = NULL;
    assert_int_equal(cluster_create(&routes, 2, &cluster), -EINVAL);
    assert_null(cluster);
    assert_int_equal(cluster_create(&routes, 3, &cluster), 0);
    assert_int_equal(cluster_counts(cluster)[0], 1);
    assert_int_equal(cluster_counts(cluster)[1], 2);
    assert_int_equal(cluster_counts(cluster)[2], 1);
    cluster_destroy(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families_come_to_lie_on_one_node),
        cmocka_unit_test(test_blocks_stay_where_they_are),
        cmocka_unit_test(test_three_levels_and_scattered_ranks_keep_their_numbers),
        cmocka_unit_test(test_counts_and_bad_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
