/* hiermoe plan --overlap, and hiermoe profile with the lines it needs. */
#include "command_run.h"

#include "overlap/overlap_text.h"

/* The command's answer is the planner's. */
static void answer_check(const char *arguments, const hm_step_t *step)
{
    hm_step_how_t how = {.degree = {0, 0}};
    double *slice = malloc((size_t)gradient_places(step->layers) * sizeof(*slice)), ms;
    assert_non_null(slice);
    assert_int_equal(step_choose(step, false, &how, slice, &ms), 0);
    json_t *root = command_json(arguments);
    const json_t *overlap = json_object_get(root, "overlap"), *slices = json_object_get(overlap, "gradient_slices");
    assert_int_equal(command_whole(overlap, "degree_forward"), how.degree[0]);
    assert_int_equal(command_whole(overlap, "degree_backward"), how.degree[1]);
    assert_float_equal(command_number(root, "overlap", "step_ms"), ms, 1e-8 * ms);
    assert_int_equal(json_array_size(slices), gradient_places(step->layers));
    for (int i = 0; i < gradient_places(step->layers); i++)
        assert_float_equal(json_number_value(json_array_get(slices, (size_t)i)), slice[i], 1e-8 * slice[i]);
    json_decref(root);
    free(slice);
}

static void test_the_test_beds(void **state)
{
    (void)state;
    static const char *const names[] = {"fsmoe-a", "fsmoe-b"};
    for (int i = 0; i < 2; i++) {
        char arguments[64];
        hm_step_t step;
        overlap_step(overlap_builtin(names[i]), profile_builtin(names[i]), &step);
        snprintf(arguments, sizeof(arguments), "--overlap --profile %s", names[i]);
        answer_check(arguments, &step);
        json_t *root = command_json(arguments);
        double ms = command_number(root, "overlap", "step_ms");
        static const char *const slower[] = {"plain_ms", "lina_ms", "whole_ms", "one_link_ms"};
        for (size_t k = 0; k < 4; k++) assert_true(command_number(root, "overlap", slower[k]) > ms);
        json_decref(root);
    }
}

#define LINES "overlap_layers 3\noverlap_dispatch 8e6\noverlap_experts 0.1 2e-11 1e11\noverlap_dense 1 2\n"

/* What hiermoe profile prints of a test bed is a file that answers alike, and so is a profile with lines of one's own.
 */
static void test_files(void **state)
{
    (void)state;
    char text[16384];
    hm_step_t step;
    hm_overlap_text_t overlap;
    hm_parse_error_t error;
    assert_int_equal(command_run("profile fsmoe-a", text, sizeof(text)), 0);
    command_file_write("a.profile", text, strlen(text));
    overlap_step(overlap_builtin("fsmoe-a"), profile_builtin("fsmoe-a"), &step);
    answer_check("--overlap --profile a.profile", &step);
    assert_int_equal(command_run("profile a.profile", text + 8192, 8192), 0);
    assert_string_equal(text, text + 8192);
    assert_int_equal(command_run("profile a6000-4x8", text, sizeof(text)), 0);
    assert_null(strstr(text, "overlap_"));
    strcat(text, LINES);
    command_file_write("own.profile", text, strlen(text));
    assert_int_equal(overlap_parse(LINES, strlen(LINES), &overlap, &error), 0);
    overlap_step(&overlap, profile_builtin("a6000-4x8"), &step);
    answer_check("--overlap --profile own.profile", &step);
    assert_int_equal(command_run("profile own.profile", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "overlap_dispatch 8000000\n"));
    strcat(text, "overlap_colour 1\n");
    command_file_write("bad.profile", text, strlen(text));
}

static void test_the_table_says_what_json_says(void **state)
{
    (void)state;
    char text[8192];
    double ms, slower;
    int forward, backward;
    json_t *root = command_both("--overlap --profile fsmoe-b", text, sizeof(text));
    assert_int_equal(sscanf(text, "7 layers of fsmoe-b: %d chunks forward, %d backward: a step takes %lf ms", &forward,
                            &backward, &ms),
                     3);
    assert_int_equal(forward, command_whole(json_object_get(root, "overlap"), "degree_forward"));
    assert_int_equal(backward, command_whole(json_object_get(root, "overlap"), "degree_backward"));
    assert_float_equal(ms, command_number(root, "overlap", "step_ms"), 0.00051);
    const char *line = strstr(text, "\none chunk, reductions beside");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\none chunk, reductions beside %lf %lfx", &ms, &slower), 2);
    assert_float_equal(ms, command_number(root, "overlap", "plain_ms"), 0.00051);
    assert_float_equal(slower, ms / command_number(root, "overlap", "step_ms"), 0.00051);
    json_decref(root);
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const command_refusal_t cases[] = {
        {"plan --overlap", "--overlap: expected --profile (built-in: fsmoe-a, fsmoe-b)"},
        {"plan --overlap --profile a6000-4x8", "a6000-4x8: expected lines that begin with overlap_"},
        {"plan --overlap --profile nowhere", "nowhere: No such file"},
        {"plan --overlap --profile prior:net", "expected hiermoe plan and --topo with it"},
        {"plan --overlap --profile bad.profile",
         "bad.profile: line 25: \"overlap_colour\": expected overlap_ and layers"},
        {"profile bad.profile", "bad.profile: line 25: \"overlap_colour\": expected"},
        {"plan --overlap --profile fsmoe-a --layers 3", "--layers: no option of hiermoe plan --overlap"},
        {"plan --overlap --profile=", "--profile: expected a value"},
        {"plan --overlap --profile fsmoe-a --json /nowhere/x", "/nowhere/x: "},
    };
    char text[8192];
    command_refuses(cases, sizeof(cases) / sizeof(cases[0]));
    assert_int_equal(command_run("plan --overlap --help", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "overlap_reduction"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_test_beds),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_the_table_says_what_json_says),
        cmocka_unit_test(test_bad_input_is_named),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
