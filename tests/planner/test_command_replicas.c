/* hiermoe plan --replicas: copies of experts from a list of loads or a trace. */
#include "command_run.h"

#include "../splitmix.h"

#include "replicas/replicas.h"

#define TRACE "--replicas --routing trace:" HM_TRACES "/moe_lm.hmtrace "

static void array_is(const json_t *root, const char *key, const int *want, size_t count)
{
    const json_t *array = json_object_get(json_object_get(root, "replicas"), key);
    assert_int_equal(json_array_size(array), count);
    for (size_t i = 0; i < count; i++) assert_int_equal(json_integer_value(json_array_get(array, i)), want[i]);
}

static double carried(const json_t *layer, const char *way, const char *key)
{
    const json_t *value = json_object_get(json_object_get(layer, way), key);
    if (!json_is_number(value)) fail_msg("no number %s.%s", way, key);
    return json_number_value(value);
}

static void test_a_list_of_loads(void **state)
{
    (void)state;
    const int counts[4] = {5, 1, 1, 1}, slots[8] = {0, 0, 0, 0, 0, 1, 2, 3};
    json_t *root = command_json("--replicas --loads 5,1,1,1 --ranks 4 --slots 2");
    const json_t *replicas = json_object_get(root, "replicas");
    array_is(root, "counts", counts, 4);
    array_is(root, "slots", slots, 8);
    assert_float_equal(carried(replicas, "equal", "imbalance"), 2.5, 0);
    assert_float_equal(carried(replicas, "equal", "dropped"), 0.375, 0);
    assert_float_equal(carried(replicas, "exact", "imbalance"), 1, 0);
    assert_null(json_object_get(replicas, "forecast"));
    json_decref(root);
}

/* What the command prints is what the planner chooses. */
static void test_random_loads_are_the_planners(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 10; i++) {
        char arguments[512] = "--replicas --loads ", *at = arguments + strlen(arguments);
        int experts = 1 + (int)(splitmix_next(&random) % 12), ranks = 1 + i, slots = experts / ranks + 2, count[12];
        uint64_t loads[12];
        double work[12];
        for (int e = 0; e < experts; e++) {
            loads[e] = splitmix_next(&random) % 1000;
            at += sprintf(at, "%s%d", e > 0 ? "," : "", (int)loads[e]);
        }
        sprintf(at, " --ranks=%d --slots=%d", ranks, slots);
        assert_int_equal(replicas_count(loads, experts, ranks, slots, count, work), 0);
        json_t *root = command_json(arguments);
        array_is(root, "counts", count, (size_t)experts);
        json_decref(root);
    }
}

static void test_the_papers_optimizer(void **state)
{
    (void)state;
    char loads[256] = "--replicas --ranks 2048 --slots 2 --expert-bytes 3.375e9 --loads 1";
    for (int e = 1; e < 64; e++) strcat(loads, ",1");
    json_t *root = command_json(loads);
    const json_t *optimizer = json_object_get(json_object_get(root, "replicas"), "optimizer");
    double fixed = command_number(json_object_get(root, "replicas"), "optimizer", "static_ms");
    assert_float_equal(json_number_value(json_object_get(optimizer, "extra")), 0.0152, 0.00005);
    assert_float_equal(json_number_value(json_object_get(optimizer, "decoupled_ms")) / fixed, 1.0152, 0.00005);
    json_decref(root);
}

/* Over a trace's time: what was forecast is never better than what the loads themselves would have given, and leases
 * drop nothing. */
static void test_a_trace_over_its_time(void **state)
{
    (void)state;
    json_t *root = command_json(TRACE "--least-tokens 16 --threshold 1"),
           *one = command_json(TRACE "--layer 1 --window 256");
    const json_t *layers = json_object_get(json_object_get(root, "replicas"), "layers");
    assert_int_equal(command_whole(root, "ranks"), 8);
    assert_int_equal(command_whole(root, "slots_per_rank"), 17);
    assert_int_equal(json_array_size(layers), 2);
    for (size_t l = 0; l < 2; l++) {
        const json_t *layer = json_array_get(layers, l);
        assert_int_equal(command_whole(layer, "layer"), l);
        assert_int_equal(command_whole(layer, "iterations"), 7);
        assert_int_equal(json_array_size(json_object_get(layer, "slots")), 8 * 17);
        assert_true(carried(layer, "exact", "dropped") < carried(layer, "forecast", "dropped"));
        assert_true(carried(layer, "forecast", "dropped") < carried(layer, "equal", "dropped"));
        assert_float_equal(carried(layer, "leases", "dropped"), 0, 0);
        assert_true(json_array_size(json_object_get(layer, "lent")) > 0);
    }
    layers = json_object_get(json_object_get(one, "replicas"), "layers");
    assert_int_equal(json_array_size(layers), 1);
    assert_int_equal(command_whole(json_array_get(layers, 0), "layer"), 1);
    assert_int_equal(command_whole(json_array_get(layers, 0), "iterations"), 3);
    json_decref(root);
    json_decref(one);
}

/* With as many slots as experts there is one copy of each, at its place. More copies of hot experts take rows off the
 * busiest rank. */
static void test_traffic_goes_to_the_nearest_copy(void **state)
{
    (void)state;
#define PRICED "--routing trace:" HM_TRACES "/moe_lm.hmtrace --profile a6000-4x8 --topo 4,2 --hidden 1024 --layer 1 "
    json_t *plan = command_json(PRICED "--swaps 0"), *one = command_json("--replicas " PRICED "--slots 16");
    json_t *more = command_json("--replicas " PRICED "--slots 64 --window 512");
    const json_t *layer = json_array_get(json_object_get(json_object_get(one, "replicas"), "layers"), 0);
    assert_float_equal(carried(layer, "traffic_one", "plain_ms"), command_number(plan, "predicted_ms", "none"), 1e-6);
    assert_float_equal(carried(layer, "traffic_copies", "plain_ms"), carried(layer, "traffic_one", "plain_ms"), 0);
    assert_float_equal(carried(layer, "traffic_copies", "ms"), carried(layer, "traffic_one", "ms"), 0);
    layer = json_array_get(json_object_get(json_object_get(more, "replicas"), "layers"), 0);
    assert_true(carried(layer, "traffic_copies", "rows_most") < carried(layer, "traffic_one", "rows_most"));
    json_decref(plan);
    json_decref(one);
    json_decref(more);
}

static void test_the_table_says_what_json_says(void **state)
{
    (void)state;
    char text[8192];
    double shown[2];
    json_t *root = command_both(TRACE "--layer 0", text, sizeof(text));
    const json_t *layer = json_array_get(json_object_get(json_object_get(root, "replicas"), "layers"), 0);
    const char *line = strstr(text, "\ncopies by the loads before");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "\ncopies by the loads before %lfx %lf%%", &shown[0], &shown[1]), 2);
    assert_float_equal(shown[0], carried(layer, "forecast", "imbalance"), 0.00051);
    assert_float_equal(shown[1], 100 * carried(layer, "forecast", "dropped"), 0.051);
    json_decref(root);
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const command_refusal_t cases[] = {
        {"plan --replicas", "--replicas: expected --loads A,B,... or --routing trace:FILE"},
        {"plan --replicas --loads", "--loads: expected a value after it"},
        {"plan --replicas --loads 1,,2 --ranks 2", "--loads: \"1,,2\": expected whole numbers with commas between"},
        {"plan --replicas --loads 1,-2 --ranks 2", "\"1,-2\": expected whole numbers"},
        {"plan --replicas --loads 1,2, --ranks 2", "\"1,2,\": expected whole numbers"},
        {"plan --replicas --loads 9999999999999 --ranks 2", "expected no number above 1000000000000"},
        {"plan --replicas --loads 1,2", "--replicas: expected --ranks with --loads"},
        {"plan --replicas --loads 1,2,3 --ranks 2 --slots 1", "expected at least 3 slots together"},
        {"plan --replicas --loads 1,2,3 --ranks 0", "--ranks: \"0\": expected a whole number from 1 to 65536"},
        {"plan --replicas --loads 1,2,3 --ranks 2 --layer 0", "--layer: expected --routing trace:FILE with it"},
        {"plan --replicas --loads 1,2 --routing trace:x", "expected --loads or --routing, not both"},
        {"plan --replicas --routing uniform", "--routing: \"uniform\": expected trace:FILE"},
        {"plan --replicas --routing trace:nowhere", "nowhere: No such file"},
        {"plan " TRACE "--layer 2", "--layer: 2: expected less than 2"},
        {"plan " TRACE "--window 600", "--window: 600: expected at most 512"},
        {"plan " TRACE "--capacity x", "--capacity: \"x\": expected a number from 0 to 1e18"},
        {"plan " TRACE "--ranks 4 --profile a6000-4x8 --hidden 64", "--ranks: 4: expected 32"},
        {"plan " TRACE "--profile a6000-4x8", "expected --model or --hidden"},
        {"plan --replicas --loads 1 --ranks 1 --profile a6000-4x8", "--profile: expected --routing trace:FILE with it"},
        {"plan " TRACE "--expert-bytes 1 --network-gb 0", "--network-gb: expected more than 0"},
        {"plan " TRACE "--colour red", "--colour: no option of hiermoe plan --replicas"},
        {"plan " TRACE "--replicas=yes", "--replicas: expected no value"},
        {"plan --replicas --replicas --loads 1", "--replicas and --replicas: expected one question"},
    };
    char text[8192];
    command_refuses(cases, sizeof(cases) / sizeof(cases[0]));
    assert_int_equal(command_run("plan --replicas --help", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "--least-tokens N"));
    assert_int_equal(command_run("plan --help", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "--replicas"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list_of_loads),
        cmocka_unit_test(test_random_loads_are_the_planners),
        cmocka_unit_test(test_the_papers_optimizer),
        cmocka_unit_test(test_a_trace_over_its_time),
        cmocka_unit_test(test_traffic_goes_to_the_nearest_copy),
        cmocka_unit_test(test_the_table_says_what_json_says),
        cmocka_unit_test(test_bad_input_is_named),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
