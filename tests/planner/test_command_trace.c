/* hiermoe plan with a real trace: over its own ranks and over others. */
#include "command_run.h"

#include <stdio.h>

#define TRACE "--routing trace:" HM_TRACES "/moe_lm.hmtrace --hidden 1024 --profile a6000-4x8 "

/* Four times as many ranks, each as many tokens: all of the trace's tokens four times. */
static void test_a_trace_plans_more_ranks_than_it_has(void **state)
{
    (void)state;
    json_t *own = command_json(TRACE "--topo 4,2"), *more = command_json(TRACE);
    assert_int_equal(command_whole(own, "trace_ranks"), 8);
    assert_int_equal(command_whole(more, "trace_ranks"), 8);
    assert_int_equal(command_whole(more, "ranks"), 32);
    assert_int_equal(command_whole(more, "tokens"), 1024);
    assert_float_equal(command_number(more, "duplication", "4"), command_number(own, "duplication", "4"), 0);
    assert_float_equal(command_number(more, "duplication", "8"), command_number(own, "duplication", "8"), 0);
    assert_true(json_array_size(json_object_get(more, "swaps")) > 0);
    json_decref(own);
    json_decref(more);
    char text[8192];
    assert_int_equal(command_run("plan " TRACE, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "tokens dealt from a trace of 8 ranks, 1024 tokens each"));
    assert_int_equal(command_run("plan " TRACE "--topo 4,2", text, sizeof(text)), 0);
    assert_null(strstr(text, "dealt"));
}

static void test_dealt_ranks_get_as_many_tokens_as_said(void **state)
{
    (void)state;
    json_t *one = command_json(TRACE "--swaps 0"), *four = command_json(TRACE "--swaps 0 --tokens 4096");
    assert_int_equal(command_whole(four, "tokens"), 4096);
    assert_float_equal(command_number(four, "floor_ms", "none"), 4 * command_number(one, "floor_ms", "none"), 0.01);
    json_t *part = command_json(TRACE "--swaps 0 --tokens 4096 --sample 32768");
    assert_float_equal(command_number(part, "predicted_ms", "2"), command_number(four, "predicted_ms", "2"), 0.1);
    json_decref(one);
    json_decref(four);
    json_decref(part);
}

static void test_a_trace_plans_fewer_ranks_and_every_cost(void **state)
{
    (void)state;
    static const char *const options[] = {"--topo 2,2", "--topo 3 --layer 1", "--topo 5,3 --cost links",
                                          "--topo 2,2,2,2 --cost padded-sliced --tokens 100"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        char arguments[256];
        snprintf(arguments, sizeof(arguments), TRACE "%s", options[i]);
        json_t *root = command_json(arguments);
        assert_true(command_number(root, "predicted_ms", "1") > 0);
        json_decref(root);
    }
}

static void test_sixteen_thousand_ranks_from_a_trace_take_seconds(void **state)
{
    (void)state;
    json_t *root = command_json(TRACE "--topo 2048,8 --sample 4000000");
    assert_int_equal(command_whole(root, "ranks"), 16384);
    assert_true(command_number(root, "predicted_ms", "2") > 0);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_trace_plans_more_ranks_than_it_has),
        cmocka_unit_test(test_dealt_ranks_get_as_many_tokens_as_said),
        cmocka_unit_test(test_a_trace_plans_fewer_ranks_and_every_cost),
        cmocka_unit_test(test_sixteen_thousand_ranks_from_a_trace_take_seconds),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
