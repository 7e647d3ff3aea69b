/* Drawing by weight without replacement: the right distribution at any skew, and in bounded time. */
#include "planner_test.h"

#include <stdio.h>

#include "experts/weight_tree.h"

static uint16_t *draw(const char *routing, int experts, int top_k, size_t tokens)
{
    hm_routing_t how;
    hm_sampler_t *sampler;
    const char *why;
    uint16_t *ids = malloc(tokens * (size_t)top_k * sizeof(*ids));
    assert_non_null(ids);
    assert_int_equal(routing_parse(routing, &how, &why), 0);
    assert_int_equal(sampler_create(&how, experts, top_k, 1, &sampler, &why), 0);
    sampler_draw(sampler, tokens, ids);
    sampler_destroy(sampler);
    return ids;
}

/* place[e]: how popular e is, 1 the most, by how often it is chosen first. */
static void places_find(const uint16_t *ids, int experts, int top_k, size_t tokens, int *place)
{
    size_t first[8] = {0};
    for (size_t t = 0; t < tokens; t++) first[ids[t * (size_t)top_k]]++;
    for (int e = 0; e < experts; e++) {
        place[e] = 1;
        for (int other = 0; other < experts; other++) place[e] += first[other] > first[e];
    }
}

/* The `code`-th way to choose top_k out of 1..experts one after the other; 0 if it chooses one twice. */
static int choices_decode(int code, int experts, int top_k, int *chosen)
{
    for (int k = 0; k < top_k; k++, code /= experts) {
        chosen[k] = code % experts + 1;
        for (int j = 0; j < k; j++)
            if (chosen[j] == chosen[k]) return 0;
    }
    return 1;
}

static double choices_probability(double exponent, int experts, int top_k, const int *chosen)
{
    double probability = 1;
    for (int k = 0; k < top_k; k++) {
        double left = 0;
        for (int place = experts; place > 0; place--) {
            int taken = 0;
            for (int j = 0; j < k; j++) taken |= chosen[j] == place;
            if (!taken) left += pow(place, -exponent);
        }
        probability *= pow(chosen[k], -exponent) / left;
    }
    return probability;
}

/* Pearson's sum over all ordered choices, those expected fewer than five times taken together. */
static void check_choices(double exponent, int experts, int top_k)
{
    enum { TOKENS = 1000000, CODES = 7776 };
    static size_t count[CODES];
    char routing[32];
    int place[8], chosen[8], codes = 1, cells = 1;
    double sum = 0, rare_want = 0, rare_got = 0;
    snprintf(routing, sizeof(routing), "zipf:%g", exponent);
    uint16_t *ids = draw(routing, experts, top_k, TOKENS);
    places_find(ids, experts, top_k, TOKENS, place);
    memset(count, 0, sizeof(count));
    for (int k = 0; k < top_k; k++) codes *= experts;
    assert_true(codes <= CODES);
    for (size_t t = 0; t < TOKENS; t++) {
        int code = 0;
        for (int k = top_k - 1; k >= 0; k--) code = code * experts + place[ids[t * (size_t)top_k + (size_t)k]] - 1;
        count[code]++;
    }
    for (int code = 0; code < codes; code++) {
        double got = (double)count[code], want = 0;
        if (choices_decode(code, experts, top_k, chosen))
            want = TOKENS * choices_probability(exponent, experts, top_k, chosen);
        else
            assert_float_equal(got, 0, 0);
        if (want >= 5) sum += (got - want) * (got - want) / want, cells++;
        if (want < 5) rare_want += want, rare_got += got;
    }
    double surplus = rare_got - rare_want;
    if (!(sum < cells + 5 * sqrt(2.0 * cells))) fail_msg("%s: %.1f over %d choices", routing, sum, cells);
    if (!(fabs(surplus) < 5 * sqrt(rare_want) + 1)) fail_msg("%s: %.0f rare, not %.1f", routing, rare_got, rare_want);
    free(ids);
}

static void test_choices_are_those_of_draws_without_replacement(void **state)
{
    (void)state;
    check_choices(4, 6, 3);
    check_choices(1, 6, 3);
    check_choices(2, 5, 5);
    check_choices(3, 6, 4);
    check_choices(6, 4, 4);
    check_choices(8, 3, 3);
}

/* Figures were recorded with these draws. */
static void test_moderate_skew_draws_as_ever(void **state)
{
    (void)state;
    enum { TOKENS = 262144, TOP_K = 8 };
    uint64_t hash = 14695981039346656037u;
    uint16_t *ids = draw("zipf:1", 256, TOP_K, TOKENS);
    for (size_t i = 0; i < TOKENS * TOP_K; i++) hash = (hash ^ ids[i]) * 1099511628211u;
    assert_int_equal(hash, 0xac718bced27fd85f);
    free(ids);
}

static void test_a_tail_keeps_its_precision(void **state)
{
    (void)state;
    enum { LEAVES = 11 };
    hm_weight_tree_t tree;
    assert_int_equal(weight_tree_create(LEAVES, &tree), 0);
    for (int e = 0; e < LEAVES; e++) weight_tree_weights(&tree)[e] = pow(1e-30, e);
    weight_tree_sum(&tree);
    for (size_t out = 0; out + 2 < LEAVES; out++) {
        assert_int_equal(weight_tree_find(&tree, 0.5), out);
        assert_int_equal(weight_tree_find(&tree, 1 - 0x1p-53), out);
        weight_tree_take(&tree, out);
        double want = pow(1e-30, (double)out + 1);
        assert_true(fabs(tree.left[1] - want) < 1e-12 * want);
    }
    for (size_t out = LEAVES - 2; out-- > 0;) weight_tree_restore(&tree, out);
    assert_memory_equal(tree.left + 1, tree.whole + 1, (2 * LEAVES - 1) * sizeof(*tree.left));
    weight_tree_destroy(&tree);
}

static void test_leaves_are_found_by_their_share(void **state)
{
    (void)state;
    for (size_t leaves = 1; leaves < 20; leaves++) {
        int found[20] = {0};
        hm_weight_tree_t tree;
        assert_int_equal(weight_tree_create(leaves, &tree), 0);
        for (size_t e = 0; e < leaves; e++) weight_tree_weights(&tree)[e] = (double)e + 1;
        weight_tree_sum(&tree);
        if (leaves > 3) weight_tree_take(&tree, 2);
        int all = (int)(leaves * (leaves + 1) / 2) - (leaves > 3 ? 3 : 0);
        assert_float_equal(tree.left[1], all, 0);
        for (int i = 0; i < all; i++) found[weight_tree_find(&tree, (i + 0.5) / all)]++;
        for (size_t e = 0; e < leaves; e++) assert_int_equal(found[e], leaves > 3 && e == 2 ? 0 : e + 1);
        weight_tree_destroy(&tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices_are_those_of_draws_without_replacement),
        cmocka_unit_test(test_moderate_skew_draws_as_ever),
        cmocka_unit_test(test_a_tail_keeps_its_precision),
        cmocka_unit_test(test_leaves_are_found_by_their_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
