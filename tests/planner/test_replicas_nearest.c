/* Which copy serves a token, and what then has to travel: against counting token by token. */
#include "planner_test.h"

#include "../splitmix.h"

#include "replicas/nearest.h"
#include "replicas/replicas.h"

#include <errno.h>

/* Levels at which two ranks share a group, counted from the outermost. */
static int levels_shared(const hm_topo_t *topo, int a, int b)
{
    int shared = 0;
    for (int l = 1; l <= topo->levels; l++) shared += topo->group[l][a] == topo->group[l][b];
    return shared;
}

static int levels_nearest(const hm_topo_t *topo, const int *slot, int slots, int source, int expert)
{
    int best = -1;
    for (int i = 0; i < topo->ranks * slots; i++) {
        int shared = levels_shared(topo, source, i / slots);
        if (slot[i] == expert && shared > best) best = shared;
    }
    return best;
}

/* Every expert somewhere, the rest anywhere. */
static void slots_draw(int *slot, int count, int experts, uint64_t *random)
{
    for (int i = 0; i < count; i++) slot[i] = i < experts ? i : (int)(splitmix_next(random) % (uint64_t)experts);
    for (int i = count - 1; i > 0; i--) {
        int other = (int)(splitmix_next(random) % (uint64_t)(i + 1)), swapped = slot[i];
        slot[i] = slot[other];
        slot[other] = swapped;
    }
}

/* Copies equally near take turns: their numbers of tokens differ by one at most. */
static void test_the_nearest_serves_and_equals_take_turns(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 200; i++) {
        int experts = 1 + (int)(splitmix_next(&random) % 12), slots = 1 + (int)(splitmix_next(&random) % 3), slot[48];
        hm_topo_t *topo = test_topo_scattered(16, 1 + i % 5, (unsigned)i);
        hm_nearest_t *nearest;
        slots_draw(slot, 16 * slots, experts, &random);
        assert_int_equal(nearest_create(topo, slot, slots, experts, &nearest), 0);
        for (int s = 0; s < 16; s++) {
            int taken[48] = {0};
            nearest_source(nearest, s);
            for (int e = 0; e < experts; e++) {
                int want = levels_nearest(topo, slot, slots, s, e), least = 1000, most = 0;
                for (int k = 0; k < 100; k++) taken[nearest_take(nearest, e)]++;
                for (int at = 0; at < 16 * slots; at++) {
                    if (slot[at] != e) continue;
                    bool near = levels_shared(topo, s, at / slots) == want;
                    assert_true(near || taken[at] == 0);
                    if (near && taken[at] < least) least = taken[at];
                    if (near && taken[at] > most) most = taken[at];
                }
                assert_true(most - least <= 1 && most > 0);
            }
        }
        nearest_destroy(nearest);
        topo_destroy(topo);
    }
}

/* With one copy each it is count.h's counting. */
static void test_without_copies_rows_are_those_of_count(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2,2", 8);
    test_batch_t batch;
    hm_nearest_t *nearest;
    uint32_t raw[8], memory[14], seen[14], *distinct[HM_MAX_LEVELS + 1] = {NULL, memory, memory + 2, memory + 6};
    uint64_t slot_load[128] = {0};
    int slot[128], ones[128];
    test_batch_read(&batch, topo, 1, 0, 1024);
    for (int e = 0; e < 128; e++) ones[e] = 1;
    replicas_place(NULL, ones, 128, slot);
    assert_int_equal(nearest_create(topo, slot, 16, 128, &nearest), 0);
    for (int s = 0; s < 8; s++) {
        nearest_source(nearest, s);
        assert_int_equal(nearest_count(nearest, batch.ids + s * 1024 * 8, 1024, 8, raw, distinct, seen, slot_load), 0);
        assert_memory_equal(raw, batch.raw + s * 8, sizeof(raw));
        for (int l = 1; l <= 3; l++)
            assert_memory_equal(distinct[l], batch.distinct[l] + s * topo->groups[l],
                                (size_t)topo->groups[l] * sizeof(uint32_t));
    }
    for (int e = 0; e < 128; e++) {
        uint64_t load = 0;
        for (int i = 0; i < 8 * 1024 * 8; i++) load += batch.ids[i] == e;
        assert_int_equal(slot_load[e], load);
    }
    nearest_destroy(nearest);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

/* A copy of every expert on every node: no row leaves its node. One on every rank: none leaves its rank. */
static void test_a_copy_nearby_keeps_rows_at_home(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2,2", 4);
    test_batch_t batch;
    hm_nearest_t *nearest;
    uint32_t raw[4], memory[6], seen[6], *distinct[HM_MAX_LEVELS + 1] = {NULL, memory, memory + 2};
    const int node[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
    int rank[32];
    test_batch_create(&batch, topo, "uniform", 8, 2, 100, 1);
    for (int i = 0; i < 32; i++) rank[i] = i % 8;
    assert_int_equal(nearest_create(topo, node, 4, 8, &nearest), 0);
    nearest_source(nearest, 3);
    assert_int_equal(nearest_count(nearest, batch.ids, 100, 2, raw, distinct, seen, NULL), 0);
    assert_int_equal(distinct[1][0], 0);
    assert_int_equal(distinct[1][1], 100);
    assert_int_equal(raw[2] + raw[3], 200);
    nearest_destroy(nearest);
    assert_int_equal(nearest_create(topo, rank, 8, 8, &nearest), 0);
    nearest_source(nearest, 1);
    assert_int_equal(nearest_count(nearest, batch.ids, 100, 2, raw, distinct, seen, NULL), 0);
    assert_int_equal(raw[1], 200);
    assert_int_equal(distinct[2][1], 100);
    nearest_destroy(nearest);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_bad_slots_and_ids_are_refused(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("2", 2);
    const int absent[2] = {0, 0}, beyond[2] = {0, 2}, below[2] = {0, -1}, good[2] = {1, 0};
    const uint16_t id = 2;
    uint32_t raw[2], memory[2], seen[2], *distinct[HM_MAX_LEVELS + 1] = {NULL, memory};
    hm_nearest_t *nearest = NULL;
    assert_int_equal(nearest_create(topo, absent, 1, 2, &nearest), -EINVAL);
    assert_int_equal(nearest_create(topo, beyond, 1, 2, &nearest), -EINVAL);
    assert_int_equal(nearest_create(topo, below, 1, 2, &nearest), -EINVAL);
    assert_int_equal(nearest_create(topo, good, 1, 3, &nearest), -EINVAL);
    assert_null(nearest);
    assert_int_equal(nearest_create(topo, good, 1, 2, &nearest), 0);
    assert_int_equal(nearest_count(nearest, &id, 1, 1, raw, distinct, seen, NULL), -EINVAL);
    nearest_destroy(nearest);
    nearest_destroy(NULL);
    topo_destroy(topo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nearest_serves_and_equals_take_turns),
        cmocka_unit_test(test_without_copies_rows_are_those_of_count),
        cmocka_unit_test(test_a_copy_nearby_keeps_rows_at_home),
        cmocka_unit_test(test_bad_slots_and_ids_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
