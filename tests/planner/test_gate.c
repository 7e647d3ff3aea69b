/* Group-limited top-k: which groups and experts a router of DeepSeek-V3's kind chooses. */
#include "experts/gate.h"
#include "planner_test.h"

#include <stdlib.h>
#include <string.h>

#define EXPERTS 48
#define GROUPS 6
#define CHOSEN 3
#define TOP_K 5

static uint32_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static int descending(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a < b) - (a > b);
}

/* Sorted by score, then by id: the id is kept in the low bits, the other way round. */
static void rank_experts(const uint32_t *score, uint64_t *order, int first, int count)
{
    for (int i = 0; i < count; i++) order[i] = (uint64_t)score[first + i] << 16 | (uint64_t)(65535 - first - i);
    qsort(order, (size_t)count, sizeof(*order), descending);
}

/* The same by sorting everything. */
static void choose_by_sorting(const uint32_t *score, uint16_t *ids)
{
    enum { SIZE = EXPERTS / GROUPS };
    uint32_t allowed[EXPERTS];
    uint64_t order[EXPERTS], group[GROUPS];
    for (int g = 0; g < GROUPS; g++) {
        rank_experts(score, order, g * SIZE, SIZE);
        group[g] = ((order[0] >> 16) + (order[1] >> 16)) << 16 | (uint64_t)(65535 - g);
    }
    qsort(group, GROUPS, sizeof(*group), descending);
    memset(allowed, 0, sizeof(allowed));
    for (int c = 0; c < CHOSEN; c++) {
        int g = 65535 - (int)(group[c] & 65535);
        for (int e = g * SIZE; e < (g + 1) * SIZE; e++) allowed[e] = score[e] + 1;
    }
    rank_experts(allowed, order, 0, EXPERTS);
    for (int k = 0; k < TOP_K; k++) ids[k] = (uint16_t)(65535 - (order[k] & 65535));
}

static void test_choices_are_those_of_a_full_sort(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int t = 0; t < 20000; t++) {
        uint32_t score[EXPERTS];
        uint16_t ids[TOP_K], want[TOP_K], taken[GROUPS];
        uint32_t most = t % 2 == 0 ? UINT32_MAX : 4; /* every other token has many equal scores */
        for (int e = 0; e < EXPERTS; e++) score[e] = draw(&seed) % most;
        gate_choose(score, EXPERTS, GROUPS, CHOSEN, TOP_K, taken, ids);
        choose_by_sorting(score, want);
        assert_memory_equal(ids, want, sizeof(ids));
    }
}

static void test_groups_of_one_expert_are_a_plain_top_k(void **state)
{
    (void)state;
    const uint32_t score[4] = {3, 9, 1, 7};
    uint16_t ids[2], taken[4];
    gate_choose(score, 4, 4, 2, 2, taken, ids);
    assert_int_equal(ids[0], 1);
    assert_int_equal(ids[1], 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices_are_those_of_a_full_sort),
        cmocka_unit_test(test_groups_of_one_expert_are_a_plain_top_k),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
