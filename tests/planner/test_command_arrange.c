/* hiermoe plan --arrange. */
#include "command_run.h"

#include <stdio.h>
#include <string.h>

#define TRACE "--routing trace:" HM_TRACES "/moe_lm.hmtrace --hidden 1024 --profile a6000-4x8 --topo 4,2 "

static json_t *arrange_json(const char *options)
{
    char text[65536], arguments[512];
    json_error_t error;
    snprintf(arguments, sizeof(arguments), "plan --arrange --json - %s", options);
    if (command_run(arguments, text, sizeof(text)) != 0) fail_msg("%s", text);
    json_t *root = json_loads(text, 0, &error);
    if (root == NULL) fail_msg("%s: %s", error.text, text);
    return root;
}

static const json_t *arrangement(const json_t *root, size_t i)
{
    return json_array_get(json_object_get(json_object_get(root, "arrange"), "arrangements"), i);
}

static double held_ms(const json_t *root, size_t i)
{
    return json_number_value(json_object_get(arrangement(root, i), "held_ms"));
}

static void test_a_trace_is_arranged_in_blocks(void **state)
{
    (void)state;
    json_t *root = arrange_json(TRACE "--layer 1"), *arrange = json_object_get(root, "arrange");
    assert_string_equal(json_string_value(json_object_get(arrange, "taken")), "blocks and pairs");
    assert_int_equal(json_array_size(json_object_get(arrange, "arrangements")), 5);
    assert_int_equal(json_array_size(json_object_get(arrange, "rank")), 128);
    for (size_t k = 0; k < 5; k++) assert_true(held_ms(root, 2) <= held_ms(root, k));
    assert_true(json_number_value(json_object_get(arrange, "after_ms")) <
                0.9 * json_number_value(json_object_get(arrange, "before_ms")));
    json_decref(root);
}

/* Every rank keeps as many experts as it has. */
static void test_the_table_has_what_json_has(void **state)
{
    (void)state;
    char text[8192], want[128];
    json_t *root = arrange_json(TRACE);
    assert_int_equal(command_run("plan --arrange " TRACE, text, sizeof(text)), 0);
    for (size_t k = 0; k < 5; k++) {
        const json_t *one = arrangement(root, k);
        snprintf(want, sizeof(want), "%-30s %12.4f %14.4f", json_string_value(json_object_get(one, "name")),
                 json_number_value(json_object_get(one, "ms")), held_ms(root, k));
        if (strstr(text, want) == NULL) fail_msg("no line \"%s\" in %s", want, text);
    }
    int held[8] = {0};
    const json_t *rank = json_object_get(json_object_get(root, "arrange"), "rank");
    for (size_t e = 0; e < 128; e++) held[json_integer_value(json_array_get(rank, e))]++;
    for (int r = 0; r < 8; r++) assert_int_equal(held[r], 16);
    json_decref(root);
}

static void test_nothing_gained_is_said(void **state)
{
    (void)state;
    char text[8192];
    assert_int_equal(
        command_run("plan --arrange --profile a6000-4x8 --model qwen3-30b-a3b --routing group:8:4 --tokens 256", text,
                    sizeof(text)),
        0);
    assert_non_null(strstr(text, "nothing gains 1 % on both parts"));
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const command_refusal_t cases[] = {
        {"plan --arrange --topo 4,2 --model mixtral-8x7b", "--arrange: expected --profile or --hardware"},
        {"plan --arrange --profile a6000-4x8 --model qwen3-30b-a3b", "--arrange: expected drawn or recorded tokens"},
        {"plan --arrange --steps x --profile a6000-4x8 --model qwen3-30b-a3b", "--steps: \"x\""},
    };
    command_refuses(cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_trace_is_arranged_in_blocks),
        cmocka_unit_test(test_the_table_has_what_json_has),
        cmocka_unit_test(test_nothing_gained_is_said),
        cmocka_unit_test(test_bad_input_is_named),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
