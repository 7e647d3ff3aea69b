/* hiermoe plan with the traces of others: Megatron-core's router traces, NumPy arrays, comma-separated text. */
#include "command_run.h"

#include <stdio.h>
#include <string.h>

#define PLAN "--topo 2,1 --hidden 64 --experts 8 --routing trace:"

static const char *text_write(const char *name, const char *text)
{
    static char path[512];
    command_file_write(name, text, strlen(text));
    snprintf(path, sizeof(path), "%s/%s", command_folder(), name);
    return path;
}

/* What plan says of a file, experts 0-3 on rank 0 and 4-7 on rank 1. */
static json_t *plan_of(const char *path)
{
    char arguments[768];
    snprintf(arguments, sizeof(arguments), PLAN "%s", path);
    return command_json(arguments);
}

/* Tokens 0 and 1: both experts on one rank. Token 2: one on each. */
static void three_tokens_check(json_t *root, int layers)
{
    assert_float_equal(command_number(root, "duplication", "2"), 0.333, 1e-9);
    assert_int_equal(command_whole(root, "tokens"), 3);
    assert_int_equal(command_whole(root, "topk"), 2);
    assert_int_equal(json_array_size(json_object_get(root, "layers")), layers > 1 ? layers : 0);
    json_decref(root);
}

static void test_comma_separated_ids(void **state)
{
    (void)state;
    three_tokens_check(plan_of(text_write("a.csv", "0,1\n4, 5\r\n3,7\n")), 1);
    three_tokens_check(plan_of(text_write("b.csv", "first,second\n0,1\n4,5\n\n3,7")), 1);
}

static void test_jsonl_of_one_rank(void **state)
{
    (void)state;
    const char *lines = "{\"step\": 0, \"stage\": \"pre_dispatch\", \"block\": \"decoder\", \"layer\": 3, \"rank\": 0, "
                        "\"num_tokens\": 2, \"topk\": 2, \"top_indices\": [[0, 1], [4, 5]]}\n"
                        "{\"step\": 1, \"block\": \"decoder\", \"layer\": 3, \"rank\": 0, \"top_indices\": [[3, 7]]}\n";
    three_tokens_check(plan_of(text_write("one.jsonl", lines)), 1);
}

/* Two ranks, two layers and one of multi-token prediction; ranks' files need not come in order. */
static void test_a_folder_of_ranks_and_layers(void **state)
{
    (void)state;
    char command[600], arguments[768];
    snprintf(command, sizeof(command), "mkdir -p %s/router", command_folder());
    assert_int_equal(system(command), 0);
    for (int rank = 0; rank < 2; rank++) {
        char name[64], lines[2048];
        size_t length = 0;
        for (int layer = 0; layer < 3; layer++)
            length += (size_t)snprintf(lines + length, sizeof(lines) - length,
                                       "{\"block\": \"%s\", \"layer\": %d, \"rank\": %d, %s\"top_indices\": "
                                       "[[%d, %d], [%d, %d]]}\n",
                                       layer == 2 ? "mtp" : "decoder", layer == 2 ? 0 : layer, rank,
                                       layer == 2 ? "\"mtp_idx\": 0, " : "", layer, layer + 1, layer, layer + 5);
        snprintf(name, sizeof(name), "router/router_trace_rank%d.jsonl", rank);
        command_file_write(name, lines, length);
    }
    snprintf(arguments, sizeof(arguments), PLAN "%s/router", command_folder());
    json_t *root = command_json(arguments), *layers = json_object_get(root, "layers");
    assert_int_equal(command_whole(root, "trace_ranks"), 2);
    assert_int_equal(command_whole(root, "tokens"), 2);
    assert_int_equal(json_array_size(layers), 3);
    snprintf(command, sizeof(command), "rm -r %s/router", command_folder());
    assert_int_equal(system(command), 0);
    for (size_t l = 0; l < 3; l++)
        assert_float_equal(json_number_value(json_object_get(json_array_get(layers, l), "duplication")), 0.25, 1e-9);
    json_decref(root);
}

/* Ranks whose routers saw different numbers of tokens: as many of each as the smallest has. */
static void test_uneven_ranks_are_cut_and_said(void **state)
{
    (void)state;
    char text[4096], arguments[768];
    const char *lines = "{\"layer\": 1, \"rank\": 5, \"top_indices\": [[0, 1], [4, 5]]}\n"
                        "{\"layer\": 1, \"rank\": 2, \"top_indices\": [[0, 1], [4, 5], [3, 7]]}\n";
    snprintf(arguments, sizeof(arguments), "plan " PLAN "%s", text_write("uneven.jsonl", lines));
    assert_int_equal(command_run(arguments, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "ranks have 2 to 3 tokens of a layer: the first 2 are used"));
}

/* A NumPy header, padded as numpy.save does, and the array. */
static const char *npy_write(const char *name, const char *header, const void *data, size_t size)
{
    static char path[512];
    unsigned char file[1024] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0};
    memset(file + 10, ' ', 118);
    memcpy(file + 10, header, strlen(header));
    file[127] = '\n';
    memcpy(file + 128, data, size);
    command_file_write(name, file, 128 + size);
    snprintf(path, sizeof(path), "%s/%s", command_folder(), name);
    return path;
}

static void test_numpy_arrays(void **state)
{
    (void)state;
    static const int64_t wide[] = {0, 1, 4, 5, 3, 7};
    static const uint8_t narrow[] = {0, 1, 4, 5, 3, 7, 0, 1, 4, 5, 3, 7};
    three_tokens_check(plan_of(npy_write("wide.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 2), }",
                                         wide, sizeof(wide))),
                       1);
    three_tokens_check(plan_of(npy_write("layers.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 2), }",
                                         narrow, sizeof(narrow))),
                       2);
}

static void refused(const char *path, const char *says)
{
    char arguments[768];
    snprintf(arguments, sizeof(arguments), "plan " PLAN "%s", path);
    const command_refusal_t cases[] = {{arguments, says}};
    command_refuses(cases, 1);
}

static void test_bad_traces_are_named(void **state)
{
    (void)state;
    static const int64_t minus[] = {0, 1, 4, -5, 3, 7};
    refused(text_write("bad.csv", "0,1\n4,5,6\n"), "line 2: expected as many as before expert ids");
    refused(text_write("bad.csv", "0,1\n4,x\n"), "line 2: expected");
    refused(text_write("bad.csv", "0,1\n4,\n"), "line 2: expected");
    refused(text_write("bad.csv", "0,70000\n"), "line 1: expected 1 to 64 expert ids from 0 to 65534");
    refused(text_write("bad.csv", "\n"), "expected a line of expert ids for each token");
    refused(text_write("bad.csv", "0,1\n4,4\n"), "token 1: an expert twice");
    refused(text_write("bad.jsonl", "{\"layer\": 1, \"rank\": 0}\n"), "line 1: expected layer, rank and top_indices");
    refused(text_write("bad.jsonl", "{\"layer\": 1, \"rank\": 0, \"top_indices\": [[1, -1]]}\n"),
            "line 1: expected 2 expert");
    refused(text_write("bad.jsonl", "[]\n"), "line 1: expected a JSON object");
    refused(text_write("bad.jsonl", "\n"), "no token: expected lines with top_indices");
    refused(text_write("bad.jsonl", "{\"layer\": 1, \"rank\": 0, \"top_indices\": [[1, 2]]}\n"
                                    "{\"layer\": 2, \"rank\": 0, \"top_indices\": [[1, 2]]}\n"
                                    "{\"layer\": 2, \"rank\": 1, \"top_indices\": [[1, 2]]}\n"),
            "1 and 2 ranks have a layer");
    refused(text_write("bad.npy", "not an array"), "expected NumPy's format");
    refused(npy_write("bad.npy", "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }", minus, 48),
            "whole numbers");
    refused(npy_write("bad.npy", "{'descr': '<i8', 'fortran_order': True, 'shape': (3, 2), }", minus, 48), "C order");
    refused(npy_write("bad.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (6,), }", minus, 48),
            "tokens x top-k");
    refused(npy_write("bad.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 2), }", minus, 40),
            "expected 48");
    refused(npy_write("bad.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 2), }", minus, 48), "number 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comma_separated_ids),
        cmocka_unit_test(test_jsonl_of_one_rank),
        cmocka_unit_test(test_a_folder_of_ranks_and_layers),
        cmocka_unit_test(test_uneven_ranks_are_cut_and_said),
        cmocka_unit_test(test_numpy_arrays),
        cmocka_unit_test(test_bad_traces_are_named),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
