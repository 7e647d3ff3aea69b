/* hiermoe plan as users run it: the numbers in its table and its JSON. */
#include "command_run.h"

#include <stdio.h>

static void test_duplication_is_that_of_the_papers_table(void **state)
{
    (void)state;
    static const char *const groups[] = {"4", "8", "16", "32"};
    static const int top_k[] = {2, 4, 6, 8};
    static const double table[4][4] = {{12, 32, 46, 55}, {6, 17, 27, 34}, {3, 9, 14, 18}, {2, 4, 7, 9}};
    for (int k = 0; k < 4; k++) {
        char arguments[128];
        snprintf(arguments, sizeof(arguments), "--profile a6000-4x8 --hidden 2048 --experts 256 --topk %d", top_k[k]);
        json_t *root = command_json(arguments);
        for (int r = 0; r < 4; r++) {
            double dup = 100 * command_number(root, "duplication", groups[r]);
            if (fabs(dup - table[r][k]) > 1 + 1e-9)
                fail_msg("%s groups, K %d: %.1f%%, the paper has %.0f%%", groups[r], top_k[k], dup, table[r][k]);
        }
        json_decref(root);
    }
}

static void check_model(const char *model, const double want[5])
{
    static const char *const keys[] = {"none", "1", "2", "3", "4"};
    char arguments[128];
    snprintf(arguments, sizeof(arguments), "--profile a6000-4x8 --model %s --routing uniform", model);
    json_t *root = command_json(arguments);
    for (int d = 0; d <= 4; d++)
        assert_float_equal(command_number(root, "predicted_ms", keys[d]), want[d], 0.01 * want[d]);
    assert_int_equal(json_integer_value(json_object_get(root, "depth")), 3);
    assert_int_equal(json_array_size(json_object_get(root, "swaps")), 0);
    json_decref(root);
}

static void test_uniform_predictions_are_those_of_the_paper(void **state)
{
    (void)state;
    check_model("qwen3-30b-a3b", (const double[]){19.85, 18.32, 13.04, 12.40, 12.90});
    check_model("deepseek-v3-half", (const double[]){34.19, 31.12, 21.88, 20.90, 21.59});
}

static void test_skewed_routing_gets_swaps_that_help(void **state)
{
    (void)state;
    json_t *root = command_json("--profile a6000-4x8 --model qwen3-30b-a3b --routing zipf:0.8 --swaps 3");
    const json_t *swaps = json_object_get(root, "swaps"), *first = json_array_get(swaps, 0);
    assert_int_equal(json_array_size(swaps), 3);
    double before = json_number_value(json_object_get(first, "before_ms"));
    double after = json_number_value(json_object_get(first, "after_ms"));
    assert_float_equal(before, command_number(root, "predicted_ms", "3"), 1e-3 * before);
    assert_true(after < before);
    assert_true(json_number_value(json_object_get(first, "move_ms")) > 1);
    json_decref(root);
}

static double swap_ms(const json_t *swaps, size_t i, const char *key)
{
    const json_t *value = json_object_get(json_array_get(swaps, i), key);
    assert_true(json_is_real(value));
    return json_real_value(value);
}

/* A smooth maximum may fall where the true one, which calls wait for, does not. */
static void swaps_must_pay(const char *options, double horizon)
{
    char arguments[256];
    snprintf(arguments, sizeof(arguments), "--profile a6000-4x8 --model qwen3-30b-a3b --horizon %g %s", horizon,
             options);
    json_t *root = command_json(arguments);
    const json_t *swaps = json_object_get(root, "swaps");
    size_t count = json_array_size(swaps);
    double moved = 0;
    assert_true(count > 0);
    for (size_t i = 0; i < count && horizon > 0; i++) moved += swap_ms(swaps, i, "move_ms") / horizon;
    assert_true(swap_ms(swaps, count - 1, "after_ms") + moved < swap_ms(swaps, 0, "before_ms"));
    json_decref(root);
}

static void test_swaps_gain_more_than_their_moves_cost(void **state)
{
    (void)state;
    swaps_must_pay("--routing zipf:1", 1000);
    swaps_must_pay("--routing zipf:1 --swaps 16", 0);
    swaps_must_pay("--routing trace:" HM_TRACES "/moe_lm.hmtrace --topo 4,2", 1000);
    json_t *none = command_json("--profile a6000-4x8 --model qwen3-30b-a3b --cost links --tokens 8192 --horizon 10");
    assert_int_equal(json_array_size(json_object_get(none, "swaps")), 0);
    assert_non_null(json_object_get(none, "swaps_note"));
    json_decref(none);
}

static void test_every_cost_model_and_routing_runs(void **state)
{
    (void)state;
    static const char *const costs[] = {"padded", "padded-sliced", "links", "links-sliced"};
    static const char *const routings[] = {"uniform", "zipf:1", "group:8:4"};
    for (int c = 0; c < 4; c++)
        for (int r = 0; r < 3; r++) {
            char arguments[256];
            snprintf(arguments, sizeof(arguments),
                     "--profile prior:net,nvlink --topo 4,8 --model deepseek-v3 --tokens 512 --cost %s --routing %s",
                     costs[c], routings[r]);
            json_t *root = command_json(arguments);
            assert_true(command_number(root, "predicted_ms", "2") < command_number(root, "predicted_ms", "none"));
            assert_true(command_number(root, "floor_ms", "2") < command_number(root, "floor_ms", "1"));
            assert_int_equal(json_integer_value(json_object_get(root, "depth")), 2);
            json_decref(root);
        }
}

static void test_models_are_what_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        long hidden, experts, top_k;
    } models[] = {{"qwen3-30b-a3b", 2048, 128, 8},
                  {"deepseek-v3", 7168, 256, 8},
                  {"deepseek-v3-half", 3584, 256, 8},
                  {"mixtral-8x7b", 4096, 8, 2}};
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        char arguments[128];
        snprintf(arguments, sizeof(arguments), "--profile prior:net,nvlink --topo 2,2 --model %s --element-bytes 4",
                 models[i].name);
        json_t *root = command_json(arguments);
        assert_int_equal(command_whole(root, "hidden"), models[i].hidden);
        assert_int_equal(command_whole(root, "experts"), models[i].experts);
        assert_int_equal(command_whole(root, "topk"), models[i].top_k);
        assert_int_equal(command_whole(root, "row_bytes"), 4 * models[i].hidden);
        json_decref(root);
    }
}

/* What plan predicts for depth 2 of the paper's cluster with these options. */
static double predicted(const char *options)
{
    char arguments[256];
    snprintf(arguments, sizeof(arguments), "--profile a6000-4x8 --model qwen3-30b-a3b --swaps 0 %s", options);
    json_t *root = command_json(arguments);
    double ms = command_number(root, "predicted_ms", "2");
    json_decref(root);
    return ms;
}

static void test_slices_and_seed_change_what_they_are_for(void **state)
{
    (void)state;
    double padded = predicted("--cost padded");
    assert_float_equal(predicted("--cost padded-sliced --slices 1"), padded, 0);
    assert_true(predicted("--cost padded-sliced --slices 4") < 0.99 * padded);
    assert_float_equal(predicted("--cost padded-sliced"), predicted("--cost padded-sliced --slices 4"), 0);
    assert_float_equal(predicted("--cost links-sliced --slices 1"), predicted("--cost links"), 0);
    assert_true(predicted("--cost links-sliced --slices 8") != predicted("--cost links-sliced --slices 4"));
    double drawn = predicted("--routing zipf:1");
    assert_float_equal(predicted("--routing zipf:1 --seed 1"), drawn, 0);
    assert_true(fabs(predicted("--routing zipf:1 --seed 2") - drawn) > 1e-6);
}

/* A part of the tokens stands for all of them, in the counts and in what swaps are judged by. */
static void test_a_sample_is_scaled_up(void **state)
{
    (void)state;
    json_t *part = command_json("--profile a6000-4x8 --model qwen3-30b-a3b --routing zipf:0.8 --tokens 4096 --swaps 1 "
                                "--sample 32768");
    double all = predicted("--routing zipf:0.8 --tokens 4096"), ms = command_number(part, "predicted_ms", "3");
    assert_float_equal(command_number(part, "predicted_ms", "2"), all, 0.03 * all);
    const json_t *first = json_array_get(json_object_get(part, "swaps"), 0);
    assert_non_null(first);
    assert_int_equal(command_whole(part, "depth"), 3);
    assert_float_equal(json_number_value(json_object_get(first, "before_ms")), ms, 1e-3 * ms);
    json_decref(part);
}

/* A router that first chooses groups needs their experts to stay together. */
static void test_swaps_stay_within_the_routing_groups(void **state)
{
    (void)state;
    json_t *root =
        command_json("--profile prior:net,nvlink --topo 3,4 --hidden 7168 --experts 96 --topk 4 --tokens 1000 "
                     "--routing group:16:4 --horizon 0 --swaps 6");
    const json_t *swaps = json_object_get(root, "swaps");
    assert_true(json_array_size(swaps) > 0);
    for (size_t i = 0; i < json_array_size(swaps); i++) {
        const json_t *swap = json_array_get(swaps, i);
        assert_int_equal(command_whole(swap, "a") / 6, command_whole(swap, "b") / 6);
    }
    json_decref(root);
}

static void test_sixteen_thousand_ranks_take_seconds(void **state)
{
    (void)state;
    json_t *root = command_json("--profile a6000-4x8 --topo 2048,2,2,2 --hidden 7168 --experts 16384 --topk 8");
    assert_int_equal(json_integer_value(json_object_get(root, "ranks")), 16384);
    json_decref(root);
    root = command_json("--profile a6000-4x8 --topo 2048,8 --model deepseek-v3 --experts 16384 --routing zipf:0.3 "
                        "--sample 2000000");
    assert_true(command_number(root, "predicted_ms", "2") > 0);
    json_decref(root);
}

static void test_a_printed_profile_can_be_used(void **state)
{
    (void)state;
    char text[8192];
    assert_int_equal(command_run("profile a6000-4x8", text, sizeof(text)), 0);
    command_file_write("own.profile", text, strlen(text));
    json_t *root = command_json("--profile own.profile --model qwen3-30b-a3b");
    assert_float_equal(command_number(root, "predicted_ms", "3"), 12.40, 0.124);
    json_decref(root);
    assert_int_equal(command_run("profile", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "a6000-4x8"));
    assert_int_equal(command_run("plan --help", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "--routing"));
    assert_int_equal(
        command_run("plan --profile own.profile --model qwen3-30b-a3b --json out.json", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "<- taken"));
    assert_int_equal(command_run("--help", text, sizeof(text)), 0);
}

/* Writes a profile with its last line replaced, and the name of the device. */
static void profile_change(const char *name, char *text, const char *last, const char *device)
{
    char changed[16384], *place = strstr(text, "device "), *rest = strchr(place, '\n'), *end = strstr(text, "pack_ms");
    assert_non_null(end);
    int length = snprintf(changed, sizeof(changed), "%.*sdevice %s%.*s%s\n", (int)(place - text), text, device,
                          (int)(end - rest), rest, last);
    command_file_write(name, changed, (size_t)length);
}

/* The depth that plan takes where 32 ranks on 4 nodes pay so much between nodes and 1 ns a byte in the flat exchange.
 */
static long depth_with(const char *between, int top_k)
{
    char text[512], arguments[128];
    int length = snprintf(text, sizeof(text),
                          "hiermoe-profile 1\nname x\ndevice GPU\nversions 1\ntransport tcp\ngroups 4 32\n"
                          "intra 0 0 1e-6 - 0\nintra 1 0 1e-12 - 0\ninter 1 0 %s - 0\n",
                          between);
    command_file_write("between.profile", text, (size_t)length);
    snprintf(arguments, sizeof(arguments), "--profile between.profile --hidden 1024 --experts 256 --topk %d", top_k);
    json_t *root = command_json(arguments);
    long depth = command_whole(root, "depth");
    json_decref(root);
    return depth;
}

/* A gain of 6 % is taken where 12 % of the rows are copies, and not where none is. */
static void test_gains_are_taken_where_rows_repeat(void **state)
{
    (void)state;
    assert_int_equal(depth_with("1.068e-6", 2), 2);
    assert_int_equal(depth_with("0.94e-6", 1), 0);
    assert_int_equal(depth_with("0.88e-6", 1), 2);
}

/* The row of a depth in the table. */
static void text_row(const char *text, const char *depth, double row[4])
{
    char start[16];
    snprintf(start, sizeof(start), "\n%-7s ", depth);
    const char *line = strstr(text, start);
    assert_non_null(line);
    assert_int_equal(sscanf(line + strlen(start), "%lf %lf %lf %lfx", &row[0], &row[1], &row[2], &row[3]), 4);
}

/* A dear agreement leaves the paper's depth what it was, and the call alone. */
static void test_what_comes_on_top_counts_in_speedup_and_depth(void **state)
{
    (void)state;
    char text[8192];
    double none[4], deep[4];
    assert_int_equal(command_run("profile a6000-4x8", text, sizeof(text)), 0);
    size_t length = (size_t)(strstr(text, "agree_ms 0") - text);
    snprintf(text + length, sizeof(text) - length, "agree_ms 300\n");
    command_file_write("own.profile", text, strlen(text));
    json_t *root = command_json("--profile own.profile --model qwen3-30b-a3b --routing zipf:1");
    assert_int_equal(command_whole(root, "depth"), 0);
    assert_int_equal(command_whole(root, "depth_best"), 3);
    assert_string_equal(json_string_value(json_object_get(root, "swaps_note")), "the call is best left alone");
    json_decref(root);
    assert_int_equal(command_run("plan --profile own.profile --model qwen3-30b-a3b", text, sizeof(text)), 0);
    text_row(text, "none", none);
    text_row(text, "3", deep);
    assert_float_equal(deep[1], 300, 1e-3);
    assert_float_equal(deep[3], none[0] / (deep[0] + deep[1]), 0.006);
}

/* On GPUs the rows that a rank keeps are moved while wires are busy; else they come on top. */
static void test_own_rows_cost_extra_where_cores_move_them(void **state)
{
    (void)state;
    char text[8192];
    assert_int_equal(command_run("profile a6000-4x8", text, sizeof(text)), 0);
    profile_change("job.profile", text, "pack_ms_per_byte 1e-9", "some GPU");
    profile_change("own.profile", text, "pack_ms_per_byte 1e-9", "cpu");
    json_t *gpu = command_json("--profile job.profile --model qwen3-30b-a3b --cost links");
    json_t *cpu = command_json("--profile own.profile --model qwen3-30b-a3b --cost links");
    assert_true(command_number(cpu, "extra_ms", "2") > command_number(gpu, "extra_ms", "2"));
    assert_float_equal(command_number(cpu, "predicted_ms", "2"), command_number(gpu, "predicted_ms", "2"), 0);
    json_decref(gpu);
    json_decref(cpu);
}

/* 4 nodes of 2 were taken for one node of 8, and a file of the same wires was used as no job would use it. */
static void test_nodes_of_other_sizes_are_joined_as_the_profiles(void **state)
{
    (void)state;
    static const char options[] = "--profile a6000-4x8 --hidden 2048 --experts 128 --topk 8 --swaps 0 --topo ";
    const struct {
        const char *topo;
        int first, second;
        double none; /* 15.2, 26.6 MB, .. of 16.8 MB a rank leave the node over the link that has 4 nodes' beta */
    } cases[] = {{"4,2", 1, 4, 7.22e-1 + 5.70e-7 * 33554432},
                 {"16,2", 1, 4, 7.22e-1 + 5.70e-7 * 1.25 * 33554432},
                 {"2,64", 1, 2, 7.22e-1 + 5.70e-7 / 1.5 * 33554432},
                 {"1,8", 2, 0, 5.71e-1 + 1.27e-7 * 33554432}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char arguments[256];
        snprintf(arguments, sizeof(arguments), "%s%s", options, cases[i].topo);
        json_t *root = command_json(arguments);
        const json_t *levels = json_object_get(root, "profile_levels");
        assert_int_equal(json_integer_value(json_array_get(levels, 0)), cases[i].first);
        assert_int_equal(json_integer_value(json_array_get(levels, 1)), cases[i].second);
        assert_float_equal(command_number(root, "predicted_ms", "none"), cases[i].none, 1e-6);
        json_decref(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes_of_other_sizes_are_joined_as_the_profiles),
        cmocka_unit_test(test_duplication_is_that_of_the_papers_table),
        cmocka_unit_test(test_uniform_predictions_are_those_of_the_paper),
        cmocka_unit_test(test_skewed_routing_gets_swaps_that_help),
        cmocka_unit_test(test_swaps_gain_more_than_their_moves_cost),
        cmocka_unit_test(test_every_cost_model_and_routing_runs),
        cmocka_unit_test(test_sixteen_thousand_ranks_take_seconds),
        cmocka_unit_test(test_a_printed_profile_can_be_used),
        cmocka_unit_test(test_own_rows_cost_extra_where_cores_move_them),
        cmocka_unit_test(test_what_comes_on_top_counts_in_speedup_and_depth),
        cmocka_unit_test(test_gains_are_taken_where_rows_repeat),
        cmocka_unit_test(test_models_are_what_they_are),
        cmocka_unit_test(test_slices_and_seed_change_what_they_are_for),
        cmocka_unit_test(test_a_sample_is_scaled_up),
        cmocka_unit_test(test_swaps_stay_within_the_routing_groups),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
