/* hiermoe plan --offload: a layer's experts over CPU, link and GPU, from a list of loads or a trace. */
#include "command_run.h"

#include "shares_cases.h"

#define TRACE \
    "--offload --routing trace:" HM_TRACES "/moe_lm.hmtrace --cpu-ms 0.16,0.02 --gpu-ms 0.015,0.0002 --stream-ms " \
    "0.38 "

static double number_of(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    if (!json_is_number(value)) fail_msg("no number %s", key);
    return json_number_value(value);
}

/* The experts of one list of the command's, each marked. */
static void list_mark(const json_t *root, const char *key, hm_share_t side, int experts, hm_share_t *share, bool *seen)
{
    const json_t *array = json_object_get(json_object_get(root, "offload"), key);
    assert_true(json_is_array(array));
    for (size_t i = 0; i < json_array_size(array); i++) {
        json_int_t e = json_integer_value(json_array_get(array, i));
        assert_true(e >= 0 && e < experts && !seen[e]);
        seen[e] = true;
        share[e] = side;
    }
}

static void test_a_list_of_loads(void **state)
{
    (void)state;
    json_t *root =
        command_json("--offload --loads 9,4,1,1 --resident 1 --cpu-ms 0.5,0.2 --gpu-ms 0.05,0.01 --stream-ms 0.8");
    hm_share_t share[4];
    bool seen[4] = {false};
    list_mark(root, "resident", HM_SHARE_RESIDENT, 4, share, seen);
    list_mark(root, "stream", HM_SHARE_STREAM, 4, share, seen);
    list_mark(root, "cpu", HM_SHARE_CPU, 4, share, seen);
    const hm_share_t want[4] = {HM_SHARE_RESIDENT, HM_SHARE_STREAM, HM_SHARE_CPU, HM_SHARE_CPU};
    assert_memory_equal(share, want, sizeof(want));
    assert_float_equal(command_number(root, "offload", "makespan_ms"), 1.4, 1e-9);
    json_decref(root);
}

/* Each expert is in one list, and the printed time is that of the lists. */
static void test_lists_make_the_printed_time(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 15; i++) {
        shares_case_t drawn;
        char arguments[1024], *at = arguments;
        hm_share_t share[10];
        bool seen[10] = {false};
        hm_shares_t *shares;
        int experts = 1 + (int)(splitmix_next(&random) % 10), resident = 0;
        case_draw(&drawn, experts, &random);
        const hm_shares_cost_t *cost = &drawn.cost;
        at +=
            sprintf(at, "--offload --resident %d --cpu-ms %.17g,%.17g --gpu-ms %.17g,%.17g --stream-ms=%.17g --loads ",
                    drawn.resident, cost->cpu_alpha_ms, cost->cpu_beta_ms, cost->gpu_alpha_ms, cost->gpu_beta_ms,
                    cost->stream_ms);
        for (int e = 0; e < experts; e++) at += sprintf(at, "%s%d", e > 0 ? "," : "", (int)drawn.loads[e]);
        json_t *root = command_json(arguments);
        list_mark(root, "resident", HM_SHARE_RESIDENT, experts, share, seen);
        list_mark(root, "stream", HM_SHARE_STREAM, experts, share, seen);
        list_mark(root, "cpu", HM_SHARE_CPU, experts, share, seen);
        for (int e = 0; e < experts; e++) {
            assert_true(seen[e]);
            resident += share[e] == HM_SHARE_RESIDENT;
        }
        assert_true(resident <= drawn.resident);
        assert_int_equal(shares_create(experts, &shares), 0);
        double ms = shares_time(shares, cost, drawn.loads, share).makespan_ms;
        assert_float_equal(command_number(root, "offload", "makespan_ms"), ms, 1e-8 * ms);
        assert_true(ms <= command_number(root, "offload", "fiddler_ms") * (1 + 1e-8));
        shares_destroy(shares);
        json_decref(root);
    }
}

static void test_a_trace_in_batches(void **state)
{
    (void)state;
    json_t *root = command_json(TRACE "--resident 32"), *one = command_json(TRACE "--resident 32 --layer 1 --tokens 8");
    const json_t *batches = json_object_get(json_object_get(root, "offload"), "batches");
    const json_t *layers = json_object_get(json_object_get(root, "offload"), "layers");
    static const int sizes[] = {1, 8, 64, 512};
    assert_int_equal(json_array_size(batches), 4);
    for (size_t b = 0; b < 4; b++) {
        const json_t *batch = json_array_get(batches, b);
        assert_int_equal(command_whole(batch, "tokens"), sizes[b]);
        double ours = number_of(batch, "makespan_ms");
        assert_true(ours > 0 && ours < number_of(batch, "fiddler_ms"));
        assert_true(number_of(batch, "speedup") >= 1.25);
        assert_float_equal(number_of(batch, "tokens_per_s"), 1e3 * sizes[b] / ours, 1e-3);
    }
    assert_int_equal(json_array_size(layers), 2);
    for (size_t l = 0; l < 2; l++)
        assert_int_equal(json_array_size(json_object_get(json_array_get(layers, l), "resident")), 32);
    batches = json_object_get(json_object_get(one, "offload"), "batches");
    assert_int_equal(json_array_size(batches), 1);
    assert_int_equal(
        command_whole(json_array_get(json_object_get(json_object_get(one, "offload"), "layers"), 0), "layer"), 1);
    json_decref(root);
    json_decref(one);
}

static void test_the_table_says_what_json_says(void **state)
{
    (void)state;
    char text[8192];
    double shown[4];
    json_t *root = command_both(TRACE "--tokens 64", text, sizeof(text));
    const json_t *batch = json_array_get(json_object_get(json_object_get(root, "offload"), "batches"), 0);
    const char *line = strstr(text, "\n64 ");
    assert_non_null(line);
    assert_int_equal(sscanf(line + 3, "%lf %lf %lfx %lf", &shown[0], &shown[1], &shown[2], &shown[3]), 4);
    assert_float_equal(shown[0], number_of(batch, "makespan_ms"), 0.00051);
    assert_float_equal(shown[1], number_of(batch, "fiddler_ms"), 0.00051);
    assert_float_equal(shown[2], number_of(batch, "speedup"), 0.0051);
    assert_float_equal(shown[3], number_of(batch, "tokens_per_s"), 0.051);
    json_decref(root);
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const command_refusal_t cases[] = {
        {"plan --offload", "--offload: expected --loads A,B,... or --routing trace:FILE"},
        {"plan --offload --loads 1,2", "--offload: expected --cpu-ms A,B"},
        {"plan --offload --loads 1 --cpu-ms 1,1", "--offload: expected --gpu-ms A,B"},
        {"plan --offload --loads 1 --cpu-ms 1,1 --gpu-ms 1,1", "--offload: expected --stream-ms X"},
        {"plan --offload --loads 1 --cpu-ms 1", "--cpu-ms: \"1\": expected two numbers from 0 to 1e18"},
        {"plan --offload --loads 1 --cpu-ms 1,2,3", "\"1,2,3\": expected two numbers"},
        {"plan --offload --loads 1 --gpu-ms 1,-2", "\"1,-2\": expected two numbers"},
        {"plan --offload --loads 1 --gpu-ms 1,nan", "\"1,nan\": expected two numbers"},
        {"plan --offload --loads 1 --stream-ms 1e19", "\"1e19\": expected a number from 0 to 1e18"},
        {"plan --offload --loads x", "--loads: \"x\": expected whole numbers"},
        {"plan --offload --resident -1", "--resident: \"-1\": expected a whole number from 0"},
        {"plan --offload --loads 1 --cpu-ms 1,1 --gpu-ms 1,1 --stream-ms 1 --tokens 4", "--tokens: expected --routing"},
        {"plan " TRACE "--tokens 1,,2", "--tokens: \"1,,2\": expected whole numbers"},
        {"plan " TRACE "--tokens 600", "--tokens: 600: expected 1 to 512"},
        {"plan " TRACE "--tokens 0", "--tokens: 0: expected 1 to 512"},
        {"plan " TRACE "--layer 2", "--layer: 2: expected less than 2"},
        {"plan " TRACE "--ranks 2", "--ranks: no option of hiermoe plan --offload"},
        {"plan " TRACE "--replicas", "--offload and --replicas: expected one question"},
        {"plan " TRACE "--json /nowhere/x", "/nowhere/x: "},
    };
    char text[8192];
    command_refuses(cases, sizeof(cases) / sizeof(cases[0]));
    assert_int_equal(command_run("plan --offload --help", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "--stream-ms X"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list_of_loads),    cmocka_unit_test(test_lists_make_the_printed_time),
        cmocka_unit_test(test_a_trace_in_batches), cmocka_unit_test(test_the_table_says_what_json_says),
        cmocka_unit_test(test_bad_input_is_named),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
