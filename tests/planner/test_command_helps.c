/* hiermoe plan --what-helps: one table for a job. */
#include "command_run.h"

#include "overlap/overlap_text.h"

#define JOB "--profile a6000-4x8 --routing trace:" HM_TRACES "/moe_lm.hmtrace --topo 4,2 --hidden 1024 "
enum { DEDUP, SUMS, SWAP, REPLICAS, OVERLAP, MEASURES };

/* One number of a measure. */
static double measured(const json_t *root, int measure, const char *key)
{
    static const char *const names[MEASURES] = {"dedup", "sums", "swap", "replicas", "overlap"};
    const json_t *array = json_object_get(json_object_get(root, "helps"), "measures");
    const json_t *row = json_array_get(array, (size_t)measure), *value = json_object_get(row, key);
    assert_int_equal(json_array_size(array), MEASURES);
    assert_string_equal(json_string_value(json_object_get(row, "measure")), names[measure]);
    assert_true(strlen(json_string_value(json_object_get(row, "needs"))) > 10);
    if (!json_is_number(value)) fail_msg("no number %s of %s", key, names[measure]);
    return json_number_value(value);
}

static int taken(const json_t *root, int measure)
{
    const json_t *array = json_object_get(json_object_get(root, "helps"), "measures");
    return json_is_true(json_object_get(json_array_get(array, (size_t)measure), "taken"));
}

/* Four all-to-alls, compute and what lies between, by hand from hiermoe plan's own numbers. */
static void test_the_step_is_made_of_the_plan(void **state)
{
    (void)state;
    json_t *plan = command_json(JOB),
           *root = command_json("--what-helps " JOB "--layers 3 --compute-ms 2 --dense-ms 1,2");
    char key[16];
    snprintf(key, sizeof(key), "%ld", command_whole(plan, "depth"));
    double none = command_number(plan, "predicted_ms", "none");
    double deep = command_number(plan, "predicted_ms", key) + command_number(plan, "extra_ms", key);
    /* The busiest rank of the first layer computes 9719 rows, backward twice. */
    double rest = 3 + 3 * 2e-3 * 9719;
    double plain = command_number(root, "helps", "plain_ms");
    assert_float_equal(plain, 3 * (4 * none + rest), 1e-6 * plain);
    assert_float_equal(measured(root, DEDUP, "alone_ms"), 3 * (2 * none + 2 * deep + rest), 1e-6 * plain);
    assert_float_equal(measured(root, SUMS, "alone_ms"), 3 * (4 * deep + rest), 1e-6 * plain);
    assert_float_equal(measured(root, DEDUP, "together_ms"), measured(root, DEDUP, "alone_ms"), 0);
    json_decref(plan);
    json_decref(root);
}

/* What is taken makes the step shorter, what is not leaves it as it is. */
static void test_only_what_gains_is_taken(void **state)
{
    (void)state;
    static const char *const jobs[] = {
        ("--what-helps " JOB "--layers 24 --compute-ms 0.5 --dense-ms 1,2 --reduce-ms 3"),
        "--what-helps --profile a6000-4x8 --model qwen3-30b-a3b --compute-ms 0.5 --layers 48 --dense-ms 2,4 "
        "--reduce-ms 3",
        "--what-helps --profile a6000-4x8 --model qwen3-30b-a3b --routing zipf:1 --compute-ms 1 --slots 8 --tokens 256",
        "--what-helps --profile fsmoe-a --model mixtral-8x7b",
    };
    int gains[MEASURES] = {0}, losses[MEASURES] = {0};
    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++) {
        json_t *root = command_json(jobs[j]);
        double before = command_number(root, "helps", "plain_ms");
        for (int m = 0; m < MEASURES; m++) {
            double after = measured(root, m, "together_ms");
            assert_true(taken(root, m) ? after < before : after == before);
            gains[m] += taken(root, m);
            losses[m] += !taken(root, m);
            before = after;
        }
        json_decref(root);
    }
    for (int m = 0; m < MEASURES; m++) assert_true(gains[m] > 0);
    /* Uniform routing has no use for swaps, and copies of some experts only unbalance it. */
    assert_true(losses[SWAP] > 0 && losses[REPLICAS] > 0);
}

/* Experts that trade places: as if the first of the plan's own swaps had been made. */
static void test_swaps_are_the_plans(void **state)
{
    (void)state;
    json_t *root = command_json("--what-helps " JOB "--layer 1 --swaps 4"),
           *none = command_json("--what-helps " JOB "--layer 1 --swaps 0");
    assert_true(command_whole(root, "swaps") > 0);
    assert_true(measured(root, SWAP, "together_ms") < measured(root, SUMS, "together_ms"));
    assert_int_equal(command_whole(none, "swaps"), 0);
    assert_float_equal(measured(none, SWAP, "alone_ms"), command_number(none, "helps", "plain_ms"), 0);
    json_decref(root);
    json_decref(none);
}

/* What is not given stands in the profile's further lines. */
static void test_a_profile_may_say_the_rest(void **state)
{
    (void)state;
    const hm_overlap_text_t *bed = overlap_builtin("fsmoe-b");
    double reduce = bed->reduction.alpha_ms + bed->reduction.units * bed->reduction.unit_ms;
    char given[256];
    snprintf(given, sizeof(given),
             "--what-helps --profile fsmoe-b --model mixtral-8x7b --layers 7 --dense-ms %g,%g --reduce-ms %.17g",
             bed->dense_ms[0], bed->dense_ms[1], reduce);
    json_t *root = command_json("--what-helps --profile fsmoe-b --model mixtral-8x7b"), *said = command_json(given);
    assert_int_equal(command_whole(root, "layers"), 7);
    assert_float_equal(command_number(root, "helps", "plain_ms"), command_number(said, "helps", "plain_ms"), 1e-6);
    json_decref(root);
    json_decref(said);
}

static void test_the_table_says_what_json_says(void **state)
{
    (void)state;
    char text[8192];
    double ms, speedup;
    json_t *root = command_both("--what-helps " JOB "--layers 2", text, sizeof(text));
    double plain = command_number(root, "helps", "plain_ms"), alone = measured(root, DEDUP, "alone_ms");
    const char *line = strstr(text, "\nplain ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\nplain %lf", &ms), 1);
    assert_float_equal(ms, plain, 0.00051);
    line = strstr(text, "\nde-duplication ");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\nde-duplication %lf %lfx", &ms, &speedup), 2);
    assert_float_equal(ms, alone, 0.00051);
    assert_float_equal(speedup, plain / alone, 0.0051);
    assert_non_null(strstr(text, "libhiermoe.so preloaded"));
    json_decref(root);
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const command_refusal_t cases[] = {
        {"plan --what-helps", "plan: expected --hardware (h100-ib400) or --profile"},
        {"plan --what-helps --topo 4,2 --model mixtral-8x7b", "--what-helps: expected --profile or --hardware"},
        {"plan --what-helps " JOB "--layers 0", "--layers: \"0\": expected a whole number from 1 to 1024"},
        {"plan --what-helps " JOB "--dense-ms 1", "--dense-ms: \"1\": expected two numbers"},
        {"plan --what-helps " JOB "--reduce-ms -1", "--reduce-ms: \"-1\": expected a number"},
        {"plan --what-helps " JOB "--slots 15", "--slots: 15: expected at least 16 on 8 ranks, for 128 experts"},
        {"plan --what-helps --profile a6000-4x8 --hidden 8 --topk 2 --experts 5000",
         "5000 experts: expected at most 4096"},
        {"plan --what-helps " JOB "--colour red", "--colour: no such option"},
        {"plan --what-helps " JOB "--overlap", "--what-helps and --overlap: expected one question"},
    };
    char text[8192];
    command_refuses(cases, sizeof(cases) / sizeof(cases[0]));
    assert_int_equal(command_run("plan --what-helps --help", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "--reduce-ms X"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_step_is_made_of_the_plan),  cmocka_unit_test(test_only_what_gains_is_taken),
        cmocka_unit_test(test_swaps_are_the_plans),           cmocka_unit_test(test_a_profile_may_say_the_rest),
        cmocka_unit_test(test_the_table_says_what_json_says), cmocka_unit_test(test_bad_input_is_named),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
