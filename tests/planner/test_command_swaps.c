/* hiermoe plan's swaps: what is chosen, and what it is said to gain, against the planner and brute force. */
#include "command_run.h"
#include "swap_reference.h"

#include <stdio.h>

#define TRACE "--profile a6000-4x8 --hidden 1024 --routing trace:" HM_TRACES "/moe_lm.hmtrace "

/* The pair that the planner would choose of the batch as it is. */
static hm_swap_choice_t choice_of(const hm_topo_t *topo, const test_batch_t *batch, int depth,
                                  const hm_swap_options_t *how)
{
    hm_swap_choice_t choice;
    hm_swap_t *swap;
    hm_swap_stats_t *stats = test_stats_of(topo, batch);
    assert_int_equal(
        swap_create(topo, profile_builtin("a6000-4x8"), &batch->placement, batch->table.row_bytes, depth, how, &swap),
        0);
    swap_choose(swap, stats, &choice);
    swap_destroy(swap);
    swap_stats_destroy(stats);
    return choice;
}

static double swap_ms(const json_t *swap, const char *key)
{
    const json_t *value = json_object_get(swap, key);
    assert_true(json_is_real(value));
    return json_real_value(value);
}

/* All of layer 1's tokens again after every swap: the pair is the objective's, its times are those of true maxima. */
static void check_swaps(const char *options, hm_swap_options_t how)
{
    char arguments[512];
    hm_topo_t *topo = test_topo("4,2", 8);
    const hm_profile_t *profile = profile_builtin("a6000-4x8");
    hm_swap_options_t times = how;
    test_batch_t batch;
    test_batch_read(&batch, topo, 1, 0, 1024);
    batch.table.row_bytes = 2048;
    times.objective = HM_SWAP_MAX;
    snprintf(arguments, sizeof(arguments), TRACE "--topo 4,2 --layer 1 --horizon 0 --swaps 6 %s", options);
    json_t *root = command_json(arguments);
    const json_t *swaps = json_object_get(root, "swaps");
    int depth = (int)command_whole(root, "depth");
    assert_int_equal(depth, 2);
    assert_true(json_array_size(swaps) > 1);
    for (size_t i = 0; i < json_array_size(swaps); i++) {
        const json_t *swap = json_array_get(swaps, i);
        int a = (int)command_whole(swap, "a"), b = (int)command_whole(swap, "b");
        hm_swap_choice_t want = choice_of(topo, &batch, depth, &how);
        if (a != want.a || b != want.b) fail_msg("%s: swap %zu: %d %d, not %d %d", options, i, a, b, want.a, want.b);
        double before = reference_score(topo, profile, &batch, depth, &times, 0, 0);
        assert_float_equal(swap_ms(swap, "before_ms"), before, 1e-7 * before);
        reference_swap(&batch, a, b);
        double after = reference_score(topo, profile, &batch, depth, &times, 0, 0);
        assert_float_equal(swap_ms(swap, "after_ms"), after, 1e-7 * after);
    }
    json_decref(root);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_swaps_of_a_trace_are_the_objectives_and_gain_what_they_say(void **state)
{
    (void)state;
    hm_swap_options_t how = HM_SWAP_DEFAULTS;
    check_swaps("--objective smooth", how);
    how.gamma = 3;
    check_swaps("--objective smooth --gamma 3", how);
    how.routing_groups = 2;
    check_swaps("--objective smooth --gamma 3 --routing-groups 2", how);
    how = (hm_swap_options_t){.objective = HM_SWAP_LOG_SUM_EXP, .gamma = 20, .scale = 1};
    check_swaps("--objective lse --gamma 20", how);
    how.objective = HM_SWAP_MAX;
    check_swaps("--objective max", how);
    how.compute_ms = 0.03e-3;
    check_swaps("--objective max --compute-ms 0.03", how);
}

/* What evens out compute need not shorten the all-to-all: it was cut off as no gain. */
static void test_swaps_may_gain_compute_alone(void **state)
{
    (void)state;
    json_t *root = command_json(TRACE "--compute-ms 100 --horizon 0");
    const json_t *swaps = json_object_get(root, "swaps"), *first = json_array_get(swaps, 0);
    const json_t *last = json_array_get(swaps, json_array_size(swaps) - 1);
    assert_true(json_array_size(swaps) > 0);
    double before = swap_ms(first, "before_ms"), ms = command_number(root, "predicted_ms", "3");
    assert_true(before > 100 * ms);
    assert_true(swap_ms(last, "after_ms") < before);
    json_decref(root);
}

static void test_the_better_objective_is_taken_and_named(void **state)
{
    (void)state;
    static const char *const names[] = {"max", "smooth", "lse"};
    double last[3];
    char arguments[512];
    for (int o = 0; o < 3; o++) {
        snprintf(arguments, sizeof(arguments), TRACE "--horizon 0 --objective %s", names[o]);
        json_t *root = command_json(arguments);
        const json_t *swaps = json_object_get(root, "swaps");
        assert_string_equal(json_string_value(json_object_get(root, "swaps_objective")), names[o]);
        last[o] = swap_ms(json_array_get(swaps, json_array_size(swaps) - 1), "after_ms");
        json_decref(root);
    }
    json_t *root = command_json(TRACE "--horizon 0");
    const json_t *swaps = json_object_get(root, "swaps");
    assert_float_equal(swap_ms(json_array_get(swaps, json_array_size(swaps) - 1), "after_ms"), fmin(last[0], last[1]),
                       0);
    assert_string_equal(json_string_value(json_object_get(root, "swaps_objective")),
                        last[0] <= last[1] ? "max" : "smooth");
    json_decref(root);
}

/* How many of the swaps with these options join experts of different runs. */
static size_t crossings(const char *options, int run)
{
    char arguments[512];
    size_t count = 0;
    snprintf(arguments, sizeof(arguments), "--profile a6000-4x8 --topo 4,4 --horizon 0 --swaps 8 %s", options);
    json_t *root = command_json(arguments);
    const json_t *swaps = json_object_get(root, "swaps");
    assert_true(json_array_size(swaps) > 2);
    for (size_t i = 0; i < json_array_size(swaps); i++) {
        const json_t *swap = json_array_get(swaps, i);
        count += command_whole(swap, "a") / run != command_whole(swap, "b") / run;
    }
    json_decref(root);
    return count;
}

static hm_sampler_t *sampler_of(const char *routing, int experts, int top_k)
{
    hm_routing_t how;
    hm_sampler_t *sampler;
    const char *why;
    assert_int_equal(routing_parse(routing, &how, &why), 0);
    assert_int_equal(sampler_create(&how, experts, top_k, 9, &sampler, &why), 0);
    return sampler;
}

/* As DeepSeek-V3 routes, skewed: a token chooses 4 of 8 runs, and 2 of the 32 experts of each. */
static void trace_write(const char *name)
{
    enum { RANKS = 16, TOKENS = 400, RUNS = 4, EACH = 2 };
    static uint8_t file[128 + 2 * RANKS * TOKENS * RUNS * EACH];
    hm_sampler_t *runs = sampler_of("zipf:1", 8, RUNS), *experts = sampler_of("zipf:0.7", 32, EACH);
    size_t at = (size_t)sprintf((char *)file, "HMTRACE1 ranks=%d layers=1 tokens=%d topk=%d experts=256\n", RANKS,
                                TOKENS, RUNS * EACH);
    for (int t = 0; t < RANKS * TOKENS; t++) {
        uint16_t run[RUNS], expert[EACH];
        sampler_draw(runs, 1, run);
        for (int r = 0; r < RUNS; r++) {
            sampler_draw(experts, 1, expert);
            for (int e = 0; e < EACH; e++, at += 2) file[at] = (uint8_t)(32 * run[r] + expert[e]);
        }
    }
    command_file_write(name, file, at);
    sampler_destroy(experts);
    sampler_destroy(runs);
}

/* A trace does not say that its router chose runs of experts first; swaps of the whole layer broke such runs up. */
static void test_swaps_of_a_deepseek_trace_stay_within_its_routing_groups(void **state)
{
    (void)state;
    trace_write("deepseek.trace");
    assert_true(crossings("--hidden 7168 --routing trace:deepseek.trace", 32) > 0);
    assert_true(crossings("--model deepseek-v3 --routing-groups 1 --routing trace:deepseek.trace", 32) > 0);
    assert_int_equal(crossings("--hidden 7168 --routing trace:deepseek.trace --routing-groups 8", 32), 0);
    assert_int_equal(crossings("--model deepseek-v3 --routing trace:deepseek.trace", 32), 0);
    assert_int_equal(crossings("--model deepseek-v3-half --routing zipf:0.5", 32), 0);
}

static void test_as_much_moves_as_an_expert_with_its_optimizer_has(void **state)
{
    (void)state;
    /* 3 * 2048 * 768 parameters of 2 bytes of weight, 4 of master weight and 8 of Adam's moments. */
    json_t *model = command_json("--profile a6000-4x8 --model qwen3-30b-a3b --routing zipf:1");
    json_t *bytes = command_json("--profile a6000-4x8 --model qwen3-30b-a3b --routing zipf:1 --expert-bytes 66060288");
    json_t *none = command_json("--profile a6000-4x8 --model qwen3-30b-a3b --routing zipf:1 --expert-bytes 0");
    assert_true(json_array_size(json_object_get(model, "swaps")) > 0);
    assert_true(json_equal(json_object_get(model, "swaps"), json_object_get(bytes, "swaps")));
    assert_false(json_equal(json_object_get(model, "swaps"), json_object_get(none, "swaps")));
    json_decref(model);
    json_decref(bytes);
    json_decref(none);
}

/* The table's own cost prices the swaps: what is exchanged first starts from the time that the table shows. */
static void test_swaps_are_priced_by_the_tables_cost(void **state)
{
    (void)state;
    json_t *root =
        command_json("--hardware h100-ib400 --topo 4,4 --model qwen3-30b-a3b --tokens 512 --routing zipf:0.6");
    const json_t *swaps = json_object_get(root, "swaps");
    char depth[16];
    snprintf(depth, sizeof(depth), "%ld", command_whole(root, "depth"));
    assert_string_equal(json_string_value(json_object_get(root, "swaps_cost")), "links-sliced");
    assert_true(json_array_size(swaps) > 1);
    const json_t *first = json_array_get(swaps, 0), *second = json_array_get(swaps, 1);
    double after = json_number_value(json_object_get(first, "after_ms"));
    assert_float_equal(json_number_value(json_object_get(first, "before_ms")),
                       command_number(root, "predicted_ms", depth), 1e-9);
    assert_float_equal(json_number_value(json_object_get(second, "before_ms")), after, 1e-12);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swaps_of_a_trace_are_the_objectives_and_gain_what_they_say),
        cmocka_unit_test(test_swaps_may_gain_compute_alone),
        cmocka_unit_test(test_the_better_objective_is_taken_and_named),
        cmocka_unit_test(test_swaps_of_a_deepseek_trace_stay_within_its_routing_groups),
        cmocka_unit_test(test_as_much_moves_as_an_expert_with_its_optimizer_has),
        cmocka_unit_test(test_swaps_are_priced_by_the_tables_cost),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
