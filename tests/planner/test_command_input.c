/* hiermoe plan: the files it reads and the options it takes, and messages for what it cannot take. */
#include "command_run.h"

#include <stdio.h>

static void test_trace_is_read_and_counted(void **state)
{
    (void)state;
    /* 2 ranks, 2 layers, 2 tokens, top-2 of 4 experts. Layer 1: each token has both its experts on one rank. */
    static const char header[] = "HMTRACE1 ranks=2 layers=2 tokens=2 topk=2 experts=4\n";
    static const uint8_t ids[] = {0, 2, 1, 3, 0, 1, 2, 3, 0, 2, 1, 3, 0, 1, 0, 1};
    uint8_t file[sizeof(header) - 1 + 2 * sizeof(ids)];
    memcpy(file, header, sizeof(header) - 1);
    for (size_t i = 0; i < sizeof(ids); i++) {
        file[sizeof(header) - 1 + 2 * i] = ids[i];
        file[sizeof(header) + 2 * i] = 0;
    }
    command_file_write("t.trace", file, sizeof(file));
    json_t *root = command_json("--profile prior:nvlink --topo 2 --hidden 1024 --routing trace:t.trace");
    assert_float_equal(command_number(root, "duplication", "2"), 0, 0);
    json_decref(root);
    root = command_json("--profile prior:nvlink --topo 2 --hidden 1024 --routing trace:t.trace --layer 1");
    assert_float_equal(command_number(root, "duplication", "2"), 0.5, 0);
    json_decref(root);
    /* 4 MB of tokens that all go to rank 0. */
    static const char large[] = "HMTRACE1 ranks=2 layers=1 tokens=1048576 topk=1 experts=4\n";
    size_t bytes = sizeof(large) - 1 + ((size_t)1 << 22);
    char *whole_file = calloc(bytes, 1);
    assert_non_null(whole_file);
    memcpy(whole_file, large, sizeof(large) - 1);
    command_file_write("large.trace", whole_file, bytes);
    free(whole_file);
    root = command_json("--profile prior:nvlink --topo 2 --hidden 64 --routing trace:large.trace");
    assert_int_equal(command_whole(root, "tokens"), 1048576);
    json_decref(root);
    file[sizeof(header) - 1] = 2;
    command_file_write("twice.trace", file, sizeof(file));
    file[sizeof(header) - 1] = 9;
    command_file_write("bad_id.trace", file, sizeof(file));
    command_file_write("short.trace", file, sizeof(file) - 2);
    command_file_write("header.trace", "HMTRACE1 ranks=2 layers=x\n", 26);
    command_file_write("tail.trace", "HMTRACE1 ranks=2 layers=1 tokens=1 topk=1 experts=4 x\n\0\0\0\0", 58);
    command_file_write("other.trace", "PNG", 3);
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *arguments, *says;
    } cases[] = {
        {"", "usage: hiermoe COMMAND"},
        {"plam", "\"plam\": expected a command"},
        {"plan", "expected --hardware (h100-ib400) or --profile (built-in: a6000-4x8), or --topo"},
        {"plan --profile a6000-4x8", "expected --model or --hidden"},
        {"plan --profile a6000-4x8 --hidden 64", "expected --model, or --experts and --topk"},
        {"plan --profile nowhere --model deepseek-v3", "nowhere: No such file"},
        {"plan --profile bad.profile --model deepseek-v3", "bad.profile: line 3: \"colour\": expected name, device"},
        {"plan --profile a6000-4x8 --model gpt", "--model: \"gpt\": expected one of qwen3-30b-a3b"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --topo 4x8", "--topo: \"4x8\": "},
        {"plan --profile a6000-4x8 --model deepseek-v3 --topo 4,0", "--topo: \"4,0\": expected"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --topo 4,", "--topo: \"4,\": expected"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --topo 999999,999999", "at most 65536 ranks"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --topo 1", "expected at least 2 ranks"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --topo 1,1", "expected at least 2 ranks"},
        {"plan --profile one.profile --model deepseek-v3", "expected at least 2 ranks"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --topk 9k", "--topk: \"9k\": expected a whole number"},
        {"plan --profile a6000-4x8 --model mixtral-8x7b --topk 9", "--topk: 9: expected at most 8"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --routing zipf",
         "--routing: \"zipf\": expected uniform, zipf:S"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --routing group:5:2", "divides the experts"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --routing-groups 7",
         "7 routing groups: expected a number that divides the experts, 256"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --experts 100",
         "8 routing groups: expected a number that divides"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --objective sum",
         "--objective: \"sum\": expected max, smooth or lse"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --gamma 33",
         "--gamma: \"33\": expected a whole number from 1 to 32"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --gamma 3 --objective max",
         "expected --objective smooth or lse"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --compute-ms fast", "--compute-ms: \"fast\": expected a number"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --cost fast", "--cost: \"fast\": expected padded"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --horizon -1", "--horizon: \"-1\": expected a number"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --tokens", "--tokens: expected a value"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --token_s 5", "--token_s: no such option"},
        {"plan --profile a6000-4x8 -xyz", "hiermoe: -xyz: no such option"},
        {"plan --profile a6000-4x8 -x --topk 4", "hiermoe: -x: no such option"},
        {"plan --profile a6000-4x8 --help=3", "hiermoe: --help=3: no such option"},
        {"plan --profile a6000-4x8 --routing trace:", "\"trace:\": expected a file name after it"},
        {"plan --profile a6000-4x8 --json ''", "--json: expected a file name or -"},
        {"plan --profile '' --model deepseek-v3", "profile \"\": expected a file"},
        {"plan --profile a6000-4x8 --model deepseek-v3 here", "\"here\": expected options only"},
        {"plan --profile prior:net --model deepseek-v3", "prior:net: expected hiermoe plan and --topo"},
        {"plan --profile prior:net --topo 4,8 --model deepseek-v3", "for each of the topology's 2 levels"},
        {"plan --profile prior:net,smoke --topo 4,8 --model deepseek-v3", "expected nvlink, pci, net, tcp or shm"},
        {"plan --profile a6000-4x8 --topo 256,8 --model deepseek-v3 --cost links", "at most 1024 ranks"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --json /nowhere/x", "/nowhere/x: No such file"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --routing trace:none", "none: No such file"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --routing trace:other.trace", "line 1: expected a trace"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --routing trace:header.trace", "expected \" layers=\""},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --routing trace:short.trace",
         "30 bytes after line 1: expected 32"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --routing trace:bad_id.trace",
         "token 0, choice 0: expert 9: expected a number below"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --routing trace:twice.trace",
         "token 0, choice 1: expert 2: expected each once in a token"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --routing trace:tail.trace",
         "line 1: expected its end after \"HMTRACE1"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --tokens 3 --routing trace:t.trace", "has tokens 2: expected 3"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --experts 5 --routing trace:t.trace",
         "has experts 4: expected 5"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --topk 3 --routing trace:t.trace", "has topk 2: expected 3"},
        {"plan --profile a6000-4x8 --model deepseek-v3 --layer 0", "--layer: expected --routing trace:FILE with it"},
        {"plan --profile prior:tcp --topo 2 --hidden 8 --layer 2 --routing trace:t.trace", "--layer: 2: expected less"},
    };
    static const char bad[] = "hiermoe-profile 1\nname x\ncolour red\n";
    static const char one[] = "hiermoe-profile 1\nname x\ndevice cpu\nversions 1\ntransport tcp\ngroups 1\n"
                              "intra 0 0.5 5e-7 0.99 12\n";
    command_file_write("bad.profile", bad, sizeof(bad) - 1);
    command_file_write("one.profile", one, sizeof(one) - 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[8192];
        int status = command_run(cases[i].arguments, text, sizeof(text));
        if (status != 2 || strstr(text, cases[i].says) == NULL || strstr(text, "predicted ms") != NULL)
            fail_msg("hiermoe %s: status %d: %s", cases[i].arguments, status, text);
    }
}

/* What an option does not do, and what the table and JSON do not show, was not said. */
static void test_help_says_what_options_do_not_do(void **state)
{
    (void)state;
    char text[8192];
    assert_int_equal(command_run("plan --help", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "padded costs only"));
    assert_non_null(strstr(text, "default 0 without --model"));
    assert_non_null(strstr(text, "depth_best is Eq. 6"));
    assert_non_null(strstr(text, "A trace of other ranks than the topology's is dealt"));
}

/* Short for --topo, --topk or --tokens: taken for one of them, the answer would be to another question. */
static void test_abbreviations_of_several_options_are_refused(void **state)
{
    (void)state;
    static const char *const short_for_several[] = {"--to 4,8", "--exp 3", "--s 3"};
    char arguments[128], text[4096];
    for (size_t i = 0; i < sizeof(short_for_several) / sizeof(short_for_several[0]); i++) {
        snprintf(arguments, sizeof(arguments), "plan --profile a6000-4x8 --model deepseek-v3 %s", short_for_several[i]);
        assert_int_equal(command_run(arguments, text, sizeof(text)), 2);
        assert_non_null(strstr(text, "short for several"));
    }
}

/* Nothing that plan can count is refused because swaps cannot be scored for it. */
static void test_many_choices_get_a_plan_without_swaps(void **state)
{
    (void)state;
    enum { TOP = 100, RANKS = 8, TOKENS = 64 };
    static const char header[] = "HMTRACE1 ranks=8 layers=1 tokens=64 topk=100 experts=128\n";
    static uint8_t file[sizeof(header) - 1 + 2 * TOP * RANKS * TOKENS];
    memcpy(file, header, sizeof(header) - 1);
    for (size_t i = 0; i < (size_t)TOP * RANKS * TOKENS; i++) file[sizeof(header) - 1 + 2 * i] = (uint8_t)(i % TOP);
    command_file_write("top100.trace", file, sizeof(file));
    json_t *root = command_json("--profile prior:tcp,nvlink --topo 4,2 --hidden 4096 --routing trace:top100.trace");
    assert_int_equal(command_whole(root, "depth"), 2);
    assert_string_equal(json_string_value(json_object_get(root, "swaps_note")), "not scored above top-64");
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_is_read_and_counted),
        cmocka_unit_test(test_bad_input_is_named),
        cmocka_unit_test(test_help_says_what_options_do_not_do),
        cmocka_unit_test(test_many_choices_get_a_plan_without_swaps),
        cmocka_unit_test(test_abbreviations_of_several_options_are_refused),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
