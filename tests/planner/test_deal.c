/* Tokens of a trace dealt over ranks that it does not have. */
#include "planner_test.h"

#include "deal.h"

enum { LAYERS = 2, TOP_K = 2, EXPERTS = 60000 };

/* Every token of a layer is another one: its first id says which, counted over the ranks, its second the layer. */
static hm_trace_t trace_make(int ranks, size_t tokens)
{
    hm_trace_t trace = {ranks, LAYERS, TOP_K, EXPERTS, tokens, NULL};
    trace.ids = malloc((size_t)ranks * LAYERS * tokens * TOP_K * sizeof(*trace.ids));
    assert_non_null(trace.ids);
    uint16_t *id = trace.ids;
    for (int r = 0; r < ranks; r++)
        for (int l = 0; l < LAYERS; l++)
            for (size_t t = 0; t < tokens; t++) {
                *id++ = (uint16_t)((size_t)r * tokens + t);
                *id++ = (uint16_t)(EXPERTS - 1 - l);
            }
    return trace;
}

static void test_a_traces_own_ranks_get_their_own_tokens(void **state)
{
    (void)state;
    uint16_t ids[12 * TOP_K];
    hm_trace_t trace = trace_make(5, 12);
    for (int l = 0; l < LAYERS; l++)
        for (int r = 0; r < 5; r++) {
            deal_source(&trace, l, (size_t)r, 12, ids);
            assert_memory_equal(ids, trace_source(&trace, r, l), sizeof(ids));
        }
    trace_free(&trace);
}

/* Deals layer 1 over `ranks`; uses[t] how often token t was. */
static void deal_all(const hm_trace_t *trace, int ranks, size_t tokens, uint16_t *first, uint32_t *uses)
{
    size_t all = (size_t)trace->ranks * trace->tokens;
    uint16_t *ids = malloc(tokens * TOP_K * sizeof(*ids));
    assert_non_null(ids);
    memset(uses, 0, all * sizeof(*uses));
    for (int r = 0; r < ranks; r++) {
        deal_source(trace, 1, (size_t)r, tokens, ids);
        first[r] = ids[0];
        for (size_t t = 0; t < tokens; t++) {
            assert_true(ids[t * TOP_K] < all);
            assert_int_equal(ids[t * TOP_K + 1], EXPERTS - 2);
            uses[ids[t * TOP_K]]++;
        }
    }
    free(ids);
}

static void check_even(int trace_ranks, size_t trace_tokens, int ranks, size_t tokens)
{
    size_t all = (size_t)trace_ranks * trace_tokens;
    hm_trace_t trace = trace_make(trace_ranks, trace_tokens);
    uint16_t *first = malloc((size_t)ranks * sizeof(*first));
    uint32_t *uses = malloc(all * sizeof(*uses)), least = UINT32_MAX, most = 0;
    assert_true(first != NULL && uses != NULL);
    deal_all(&trace, ranks, tokens, first, uses);
    for (size_t t = 0; t < all; t++) {
        least = uses[t] < least ? uses[t] : least;
        most = uses[t] > most ? uses[t] : most;
    }
    if (most - least > 1)
        fail_msg("%d x %zu over %d x %zu: tokens used %u to %u times", trace_ranks, trace_tokens, ranks, tokens, least,
                 most);
    for (int r = 0; r < ranks && (size_t)ranks <= all; r++)
        for (int other = 0; other < r; other++) assert_int_not_equal(first[r], first[other]);
    free(uses);
    free(first);
    trace_free(&trace);
}

static void test_all_tokens_are_used_alike_by_ranks_that_differ(void **state)
{
    (void)state;
    check_even(8, 1024, 32, 1024);
    check_even(8, 1024, 8192, 1024);
    check_even(8, 1024, 64, 4096);
    check_even(8, 1024, 4, 1024); /* half of them once */
    check_even(8, 1024, 3, 8192);
    check_even(3, 100, 16, 75);
    check_even(8, 1024, 300, 1000);
}

static void test_few_tokens_repeat_within_a_rank(void **state)
{
    (void)state;
    uint16_t ids[8 * TOP_K];
    hm_trace_t trace = trace_make(1, 3);
    deal_source(&trace, 0, 0, 8, ids);
    for (size_t t = 0; t < 3; t++) assert_int_equal(ids[t * TOP_K], t);
    for (size_t t = 3; t < 8; t++) assert_true(ids[t * TOP_K] < 3);
    trace_free(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_traces_own_ranks_get_their_own_tokens),
        cmocka_unit_test(test_all_tokens_are_used_alike_by_ranks_that_differ),
        cmocka_unit_test(test_few_tokens_repeat_within_a_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
