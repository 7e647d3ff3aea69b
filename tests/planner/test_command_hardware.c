/* hiermoe plan for a cluster that nobody has measured: hardware by name, the model's own router, the answer. */
#include "command_run.h"

#include <stdio.h>
#include <string.h>

#define V3 "--hardware h100-ib400 --topo 16,8 --model deepseek-v3 --swaps 0 "

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

/* The two best of 32 scores. */
static double two_best(const double *score)
{
    double best = 0, second = 0;
    for (int e = 0; e < 32; e++) {
        if (score[e] > best) {
            second = best;
            best = score[e];
        } else if (score[e] > second) {
            second = score[e];
        }
    }
    return best + second;
}

/* Moves one token as DeepSeek-V3's router sends it; the number of nodes that get a row, of 16 with 16 experts each. */
static int token_nodes(uint64_t *state)
{
    double score[256], group[8];
    unsigned nodes = 0;
    for (int e = 0; e < 256; e++) score[e] = uniform(state);
    for (int g = 0; g < 8; g++) group[g] = two_best(score + 32 * g);
    for (int dropped = 0; dropped < 4; dropped++) {
        int worst = 0;
        for (int g = 1; g < 8; g++)
            if (group[g] < group[worst]) worst = g;
        group[worst] = 9;
        for (int e = 32 * worst; e < 32 * (worst + 1); e++) score[e] = -1;
    }
    for (int k = 0; k < 8; k++) {
        int best = 0;
        for (int e = 1; e < 256; e++)
            if (score[e] > score[best]) best = e;
        score[best] = -1;
        nodes |= 1u << (best / 16);
    }
    return __builtin_popcount(nodes);
}

static void test_copies_are_those_of_tokens_that_a_simulation_moves(void **state)
{
    (void)state;
    enum { TOKENS = 40000 };
    uint64_t seed = 11;
    long rows = 0;
    for (int t = 0; t < TOKENS; t++) rows += token_nodes(&seed);
    double want = 1 - (double)rows / (8.0 * TOKENS);
    json_t *root = command_json(V3);
    assert_string_equal(json_string_value(json_object_get(root, "routing")), "gate:8:4");
    assert_float_equal(command_number(root, "duplication", "16"), want, 0.003);
    json_decref(root);
}

/* Without group limits fewer copies lie on one node; a router that was named is taken as named. */
static void test_a_named_routing_is_taken_instead_of_the_models(void **state)
{
    (void)state;
    json_t *gate = command_json(V3), *even = command_json(V3 "--routing uniform");
    assert_string_equal(json_string_value(json_object_get(even, "routing")), "uniform");
    assert_true(command_number(gate, "duplication", "16") > command_number(even, "duplication", "16") + 0.05);
    json_decref(gate);
    json_decref(even);
}

static void test_the_answer_is_a_sentence(void **state)
{
    (void)state;
    json_t *root = command_json(V3), *step = json_object_get(root, "step");
    char want[128];
    const char *answer = json_string_value(json_object_get(root, "answer"));
    long depth = command_whole(root, "depth");
    double plain = command_number(root, "predicted_ms", "none");
    double ours = command_number(root, "predicted_ms", "2") + command_number(root, "extra_ms", "2");
    assert_int_equal(depth, 2);
    snprintf(want, sizeof(want), "Yes: a dispatch that takes %.3f ms plain takes %.3f at depth 2, %.2f times", plain,
             ours, plain / ours);
    assert_memory_equal(answer, want, strlen(want));
    /* 37e9 parameters over 61 layers, 4096 tokens, 6 operations each; 989 Tflop/s, 40 % of them. */
    double compute = 6 * 37e9 / 61 * 4096 / (989e12 * 0.4) * 1e3;
    assert_float_equal(command_number(root, "step", "compute_ms"), compute, 1e-9 * compute);
    assert_float_equal(command_number(root, "step", "plain_ms"), compute + 4 * plain, 1e-6);
    assert_float_equal(command_number(root, "step", "exact_ms"), compute + 2 * plain + 2 * ours, 1e-6);
    assert_float_equal(json_number_value(json_object_get(step, "guided_ms")), compute + 4 * ours, 1e-6);
    json_decref(root);
}

/* Mixtral's two experts of eight on eight nodes: no two on one node. */
static void test_a_no_is_said(void **state)
{
    (void)state;
    char text[8192];
    assert_int_equal(command_run("plan --hardware h100-ib400 --topo 8,1 --model mixtral-8x7b", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "\nNo: nothing is more than"));
    assert_non_null(strstr(text, "the library would leave these calls alone"));
}

static void test_bandwidth_overrides_the_name(void **state)
{
    (void)state;
    json_t *named = command_json("--hardware h100-ib200 --topo 16,8 --model kimi-k2 --swaps 0");
    json_t *given = command_json("--hardware h100-ib400 --bandwidth 200 --topo 16,8 --model kimi-k2 --swaps 0");
    for (int d = 0; d < 3; d++) {
        const char *key = (const char *const[]){"none", "1", "2"}[d];
        assert_float_equal(command_number(named, "predicted_ms", key), command_number(given, "predicted_ms", key), 0);
    }
    json_decref(named);
    json_decref(given);
}

static void test_copies_alone_need_no_profile(void **state)
{
    (void)state;
    char text[8192];
    json_t *root = command_json("--topo 16,8 --model deepseek-v3");
    assert_true(command_number(root, "duplication", "16") > 0.2);
    assert_null(json_object_get(root, "predicted_ms"));
    assert_null(json_object_get(root, "answer"));
    json_decref(root);
    assert_int_equal(command_run("plan --topo 16,8 --model deepseek-v3", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "duplication"));
    assert_null(strstr(text, "predicted"));
}

static void test_the_librarys_cost_is_the_default_but_for_the_papers_profiles(void **state)
{
    (void)state;
    static const struct {
        const char *options, *cost;
    } cases[] = {{V3, "links-sliced"},
                 {"--profile prior:net,nvlink --topo 4,2 --model qwen3-30b-a3b", "links-sliced"},
                 {"--profile a6000-4x8 --model qwen3-30b-a3b", "padded"},
                 {"--profile a6000-4x8 --model qwen3-30b-a3b --cost links-sliced", "links-sliced"},
                 {"--hardware h100-ib400 --topo 256,8 --model gpt-oss-120b --tokens 16 --swaps 0", "padded-sliced"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *root = command_json(cases[i].options);
        assert_string_equal(json_string_value(json_object_get(root, "cost")), cases[i].cost);
        json_decref(root);
    }
}

static void test_every_listed_model_plans(void **state)
{
    (void)state;
    char text[8192], arguments[256], name[64];
    int models = 0;
    assert_int_equal(command_run("plan --model list", text, sizeof(text)), 0);
    for (const char *line = strchr(text, '\n') + 1; sscanf(line, "%63s", name) == 1; line = strchr(line, '\n') + 1) {
        snprintf(arguments, sizeof(arguments), "--hardware h200-ib400 --topo 2,4 --tokens 64 --swaps 0 --model %s",
                 name);
        json_t *root = command_json(arguments);
        assert_true(command_number(root, "duplication", "2") > 0.2);
        json_decref(root);
        models++;
    }
    assert_int_equal(models, 12);
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const command_refusal_t cases[] = {
        {"plan --hardware h100 --topo 4,8 --model mixtral-8x7b",
         "--hardware: \"h100\": expected a100, h100, h200 or b200"},
        {"plan --hardware h100-ib400 --model mixtral-8x7b", "--hardware: expected --topo with it"},
        {"plan --hardware h100-ib400 --profile a6000-4x8 --topo 4,8 --model mixtral-8x7b", "expected no --profile"},
        {"plan --profile a6000-4x8 --bandwidth 100 --model mixtral-8x7b", "--bandwidth: expected --hardware with it"},
        {"plan --hardware h100-ib400 --topo 4,8 --mfu 2 --model mixtral-8x7b", "--mfu: expected a share above 0"},
        {"plan --topo 4,8 --model mixtral", "--model: \"mixtral\": expected one of qwen3-30b-a3b, "},
        {"plan --topo 4,8 --model qwen3-30b-a3b --routing gate:8", "expected gate:N:G"},
    };
    command_refuses(cases, sizeof(cases) / sizeof(cases[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_are_those_of_tokens_that_a_simulation_moves),
        cmocka_unit_test(test_a_named_routing_is_taken_instead_of_the_models),
        cmocka_unit_test(test_the_answer_is_a_sentence),
        cmocka_unit_test(test_a_no_is_said),
        cmocka_unit_test(test_bandwidth_overrides_the_name),
        cmocka_unit_test(test_copies_alone_need_no_profile),
        cmocka_unit_test(test_the_librarys_cost_is_the_default_but_for_the_papers_profiles),
        cmocka_unit_test(test_every_listed_model_plans),
        cmocka_unit_test(test_bad_input_is_named),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
