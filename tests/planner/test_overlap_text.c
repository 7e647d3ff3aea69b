/* The further lines of a profile: read, written, and refused with a sentence. */
#include "planner_test.h"

#include "overlap/overlap_text.h"

#include <errno.h>

static const char good[] =
    "hiermoe-profile 1 # a profile's other lines are its own\n"
    "overlap_layers 12\noverlap_dispatch 4e6\r\n\toverlap_experts .5 1e-11 2e10 # three products\n"
    "overlap_reduction 0.1 2e-7 1e7\noverlap_dense 1 2";

static void test_lines_are_read(void **state)
{
    (void)state;
    hm_overlap_text_t overlap;
    hm_parse_error_t error;
    assert_int_equal(overlap_parse(good, sizeof(good) - 1, &overlap, &error), 0);
    assert_float_equal(overlap.layers, 12, 0);
    assert_float_equal(overlap.dispatch_bytes, 4e6, 0);
    assert_float_equal(overlap.experts.alpha_ms, 0.5, 0);
    assert_float_equal(overlap.experts.unit_ms, 1e-11, 0);
    assert_float_equal(overlap.experts.units, 2e10, 0);
    assert_float_equal(overlap.reduction.units, 1e7, 0);
    assert_float_equal(overlap.dense_ms[1], 2, 0);
    assert_float_equal(overlap.gather.units, 0, 0);
    assert_int_equal(overlap_parse("name x\n", 7, &overlap, &error), -ENOENT);
    assert_float_equal(overlap.layers, 12, 0);
}

static void test_what_is_written_is_read_alike(void **state)
{
    (void)state;
    static const char *const names[] = {"fsmoe-a", "fsmoe-b"};
    for (int i = 0; i < 2; i++) {
        const hm_overlap_text_t *overlap = overlap_builtin(names[i]);
        hm_overlap_text_t again;
        hm_parse_error_t error;
        char text[1024];
        size_t length;
        assert_non_null(overlap);
        assert_int_equal(overlap_write(overlap, text, sizeof(text), &length), 0);
        assert_int_equal(length, strlen(text));
        assert_int_equal(overlap_parse(text, length, &again, &error), 0);
        assert_memory_equal(overlap, &again, sizeof(again));
        assert_int_equal(overlap_write(overlap, text, length, &length), -ENOSPC);
    }
    assert_null(overlap_builtin("a6000-4x8"));
}

/* A profile with these lines is a profile: its own reader passes over them. */
static void test_a_profile_may_have_them(void **state)
{
    (void)state;
    char text[4096];
    size_t length, more;
    hm_profile_t profile;
    hm_overlap_text_t overlap;
    hm_parse_error_t error;
    assert_int_equal(profile_write(profile_builtin("fsmoe-b"), text, sizeof(text), &length), 0);
    assert_int_equal(overlap_write(overlap_builtin("fsmoe-b"), text + length, sizeof(text) - length, &more), 0);
    assert_int_equal(profile_parse(text, length + more, &profile, &error), 0);
    assert_int_equal(overlap_parse(text, length + more, &overlap, &error), 0);
    assert_string_equal(profile.name, "fsmoe-b");
    assert_float_equal(overlap.layers, 7, 0);
}

/* Dispatch goes between the outermost groups. */
static void test_dispatch_takes_the_profiles_link(void **state)
{
    (void)state;
    const hm_overlap_text_t text = {.layers = 1, .dispatch_bytes = 1e6};
    hm_step_t step;
    overlap_step(&text, profile_builtin("a6000-4x8"), &step);
    assert_float_equal(step.layer.part[HM_OVERLAP_DISPATCH].alpha_ms, 4.97e-1, 0);
    assert_float_equal(step.layer.part[HM_OVERLAP_COMBINE].ms, 1e6 * 5.29e-7, 1e-12);
    overlap_step(&text, profile_builtin("fsmoe-a"), &step);
    assert_float_equal(step.layer.part[HM_OVERLAP_DISPATCH].alpha_ms, 2.87e-1, 0);
}

static void test_bad_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *says;
    } cases[] = {
        {"overlap_speed 1", 1, "expected overlap_ and layers, dispatch, gather, experts, scatter, reduction or dense"},
        {"\n\noverlap_layers", 3, "the line ends where the number of MoE layers was expected"},
        {"overlap_layers 1.5", 1, "\"1.5\": expected the number of MoE layers, a whole number from 1 to 1024"},
        {"overlap_layers 2000", 1, "a whole number from 1 to 1024"},
        {"overlap_dispatch 0x10", 1, "\"0x10\": expected bytes, a number from 0"},
        {"overlap_gather 1 nan 2", 1, "\"nan\": expected ms per byte, a number from 0 to 1"},
        {"overlap_scatter 1 -1 2", 1, "\"-1\": expected ms per byte"},
        {"overlap_dense 1", 1, "the line ends where ms backward was expected"},
        {"overlap_dense 1 2 3", 1, "\"3\" is too much: expected nothing after overlap_dense"},
        {"overlap_dense 1 2\noverlap_dense 1 2", 2, "a second \"overlap_dense\""},
        {"overlap_layers 3\noverlap_dispatch 1", 2, "the text ends without \"overlap_experts\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hm_overlap_text_t overlap = {.layers = 77};
        hm_parse_error_t error;
        assert_int_equal(overlap_parse(cases[i].text, strlen(cases[i].text), &overlap, &error), -EINVAL);
        assert_int_equal(error.line, cases[i].line);
        if (strstr(error.text, cases[i].says) == NULL) fail_msg("%s: %s", cases[i].text, error.text);
        assert_float_equal(overlap.layers, 77, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_read),          cmocka_unit_test(test_what_is_written_is_read_alike),
        cmocka_unit_test(test_a_profile_may_have_them), cmocka_unit_test(test_dispatch_takes_the_profiles_link),
        cmocka_unit_test(test_bad_lines_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
