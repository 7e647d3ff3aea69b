/* hiermoe plan's report: the table says what JSON says, and both what was counted. */
#include "command_run.h"

#include "call/cost.h"

#include <stdio.h>

#define TRACE "--profile a6000-4x8 --hidden 1024 --routing trace:" HM_TRACES "/moe_lm.hmtrace "

/* The line of the table that begins with a word, behind it. */
static const char *line_find(const char *text, const char *word)
{
    char start[32];
    snprintf(start, sizeof(start), "\n%-7s ", word);
    const char *line = strstr(text, start);
    if (line == NULL) fail_msg("no line \"%s\" in: %s", word, text);
    return line + strlen(start);
}

static void depths_equal(const char *text, const json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(root, "predicted_ms"), key, value)
    {
        double shown[4], ms = json_number_value(value), none = command_number(root, "predicted_ms", "none");
        double extra = command_number(root, "extra_ms", key);
        const char *line = line_find(strstr(text, "\ndepth"), key);
        assert_int_equal(sscanf(line, "%lf %lf %lf %lfx", &shown[0], &shown[1], &shown[2], &shown[3]), 4);
        assert_float_equal(shown[0], ms, 0.00051);
        assert_float_equal(shown[1], extra, 0.00051);
        assert_float_equal(shown[2], command_number(root, "floor_ms", key), 0.00051);
        assert_float_equal(shown[3], none / (ms + extra), 0.0051);
        int taken =
            strcmp(key, "none") == 0 ? command_whole(root, "depth") == 0 : command_whole(root, "depth") == atoi(key);
        assert_int_equal(strncmp(strchr(line, 'x'), "x  <- taken\n", 12) == 0, taken);
    }
}

static void duplications_equal(const char *text, const json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(root, "duplication"), key, value)
    {
        double shown;
        char after;
        assert_int_equal(sscanf(line_find(strstr(text, "\ngroups"), key), "%lf%c", &shown, &after), 2);
        assert_int_equal(after, '%');
        assert_float_equal(shown, 100 * json_number_value(value), 0.051);
    }
}

static void swaps_equal(const char *text, const json_t *root)
{
    const json_t *swaps = json_object_get(root, "swaps");
    const char *line = strstr(text, "\nswap experts");
    assert_int_equal(line != NULL, json_array_size(swaps) > 0);
    for (size_t i = 0; i < json_array_size(swaps); i++) {
        const json_t *swap = json_array_get(swaps, i);
        long a, b;
        double before, after, move;
        line = strchr(line + 1, '\n');
        assert_int_equal(sscanf(line, "%ld %ld %lf %lf %lf", &a, &b, &before, &after, &move), 5);
        assert_int_equal(a, command_whole(swap, "a"));
        assert_int_equal(b, command_whole(swap, "b"));
        assert_float_equal(before, json_number_value(json_object_get(swap, "before_ms")), 0.000051);
        assert_float_equal(after, json_number_value(json_object_get(swap, "after_ms")), 0.000051);
        assert_float_equal(move, json_number_value(json_object_get(swap, "move_ms")), 0.00051);
    }
    if (line != NULL)
        assert_true(strncmp(strchr(line + 1, '\n'), "\n\nnote", 6) == 0 ||
                    strncmp(strchr(line + 1, '\n'), "\n\nYes: ", 7) == 0);
    const char *cost = json_string_value(json_object_get(root, "swaps_cost"));
    if (json_array_size(swaps) > 0) assert_true(cost != NULL && strstr(strstr(text, "\nswap experts"), cost) != NULL);
}

static void notes_equal(const char *text, const json_t *root)
{
    const json_t *notes = json_object_get(root, "notes");
    char line[256];
    size_t count = 0;
    assert_true(json_is_array(notes));
    for (size_t i = 0; i < json_array_size(notes); i++) {
        snprintf(line, sizeof(line), "\nnote: %s\n", json_string_value(json_array_get(notes, i)));
        assert_non_null(strstr(text, line));
    }
    for (const char *at = text; (at = strstr(at, "\nnote: ")) != NULL; at++) count++;
    assert_int_equal(count, json_array_size(notes));
}

static void test_the_table_says_what_json_says(void **state)
{
    (void)state;
    static const char *const options[] = {
        TRACE "--swaps 7", TRACE "--topo 4,2 --layer 1 --cost links", "--profile own.profile --model deepseek-v3",
        "--profile prior:net,nvlink --topo 4,8 --model qwen3-30b-a3b --routing zipf:0.9 --cost links-sliced",
        ("--profile a6000-4x8 --model qwen3-30b-a3b --routing zipf:1 --cost padded-sliced --experts 100 --tokens 16384 "
         "--sample 400000")};
    char text[8192];
    assert_int_equal(command_run("profile a6000-4x8", text, sizeof(text)), 0);
    size_t length = (size_t)(strstr(text, "agree_ms 0") - text);
    snprintf(text + length, sizeof(text) - length, "agree_ms 1.5\n");
    command_file_write("own.profile", text, strlen(text));
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        json_t *root = command_both(options[i], text, sizeof(text));
        duplications_equal(text, root);
        depths_equal(text, root);
        swaps_equal(text, root);
        notes_equal(text, root);
        json_decref(root);
    }
}

/* The notes of these options as JSON has them, joined. */
static void notes_of(const char *options, char *joined, size_t size)
{
    char arguments[512];
    size_t length = 0;
    snprintf(arguments, sizeof(arguments), "--profile a6000-4x8 --hidden 1024 %s", options);
    json_t *root = command_json(arguments);
    const json_t *notes = json_object_get(root, "notes");
    joined[0] = '\0';
    for (size_t i = 0; i < json_array_size(notes); i++)
        length += (size_t)snprintf(joined + length, size - length, "%s%s", i > 0 ? "; " : "",
                                   json_string_value(json_array_get(notes, i)));
    json_decref(root);
}

static void test_notes_say_what_the_numbers_leave_out(void **state)
{
    (void)state;
    static const struct {
        const char *options, *notes;
    } cases[] = {
        {"--experts 64 --topk 4", ""},
        {"--experts 40 --topk 4", "8 of 32 ranks hold an expert more than the others"},
        {"--experts 20 --topk 4", "12 of 32 ranks hold no expert"},
        {"--experts 64 --topk 4 --routing zipf:1 --tokens 8192", ""},
        {"--experts 64 --topk 4 --routing zipf:1 --tokens 8193", "swaps scored on 262144 of 262176 tokens, scaled up"},
        {"--experts 64 --topk 4 --routing zipf:1 --tokens 8193 --swaps 0", ""},
        {"--experts 64 --topk 4 --routing zipf:1 --tokens 100 --sample 320",
         "counted on 320 of 3200 tokens, scaled up; swaps scored on 320 of 3200 tokens, scaled up"},
    };
    char notes[512];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        notes_of(cases[i].options, notes, sizeof(notes));
        assert_string_equal(notes, cases[i].notes);
    }
}

/* Links that cost nothing made 0 / 0 a speedup. */
static void test_nothing_is_not_sped_up(void **state)
{
    (void)state;
    static const char zero[] = "hiermoe-profile 1\nname x\ndevice cpu\nversions 1\ntransport tcp\ngroups 2\n"
                               "intra 0 0 0 - 0\n";
    char text[8192];
    command_file_write("zero.profile", zero, sizeof(zero) - 1);
    assert_int_equal(command_run("plan --profile zero.profile --hidden 4 --experts 4 --topk 1", text, sizeof(text)), 0);
    assert_null(strstr(text, "nan"));
    assert_non_null(strstr(line_find(text, "1"), "  -\n"));
}

/* Rows that leave an average rank's node: copies, one for each GPU, one for each node. */
static void rows_out(const hm_topo_t *topo, const test_batch_t *batch, double out[3])
{
    out[0] = out[1] = out[2] = 0;
    for (int s = 0; s < topo->ranks; s++) {
        for (int r = 0; r < topo->ranks; r++) {
            if (topo->group[1][r] == topo->group[1][s]) continue;
            out[0] += batch->raw[s * topo->ranks + r] / (double)topo->ranks;
            out[1] += batch->distinct[topo->levels][s * topo->ranks + topo->pos[r]] / (double)topo->ranks;
        }
        for (int g = 0; g < topo->groups[1]; g++)
            if (g != topo->group[1][s]) out[2] += batch->distinct[1][s * topo->groups[1] + g] / (double)topo->ranks;
    }
}

static void test_floors_are_what_leaves_an_average_rank(void **state)
{
    (void)state;
    static const char *const keys[] = {"none", "1", "2", "3"};
    hm_topo_t *topo = test_topo("2,2,2", 8);
    test_batch_t batch;
    double out[3];
    test_batch_read(&batch, topo, 0, 0, 1024);
    rows_out(topo, &batch, out);
    json_t *root = command_json(TRACE "--topo 2,2,2");
    for (int d = 0; d <= 3; d++) {
        double want = cost_floor(topo, profile_builtin("a6000-4x8"), 2048, out[d < 2 ? d : 2]);
        assert_float_equal(command_number(root, "floor_ms", keys[d]), want, 1e-7 * want);
        assert_true(want < command_number(root, "predicted_ms", keys[d]));
    }
    json_decref(root);
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

/* An expectation, all tokens drawn and a part of them. */
static void test_floors_of_drawn_tokens_are_those_expected(void **state)
{
    (void)state;
    static const char *const keys[] = {"none", "1", "2", "3", "4"};
    static const char *const options[] = {"--routing zipf:0", "--routing zipf:0 --sample 16000", "--cost links"};
    json_t *want = command_json("--profile a6000-4x8 --model qwen3-30b-a3b --swaps 0");
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        char arguments[256];
        snprintf(arguments, sizeof(arguments), "--profile a6000-4x8 --model qwen3-30b-a3b --swaps 0 %s", options[i]);
        json_t *drawn = command_json(arguments);
        for (int d = 0; d <= 4; d++) {
            double ms = command_number(want, "floor_ms", keys[d]);
            assert_float_equal(command_number(drawn, "floor_ms", keys[d]), ms, 0.01 * ms);
        }
        json_decref(drawn);
    }
    json_decref(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_says_what_json_says),
        cmocka_unit_test(test_notes_say_what_the_numbers_leave_out),
        cmocka_unit_test(test_nothing_is_not_sped_up),
        cmocka_unit_test(test_floors_are_what_leaves_an_average_rank),
        cmocka_unit_test(test_floors_of_drawn_tokens_are_those_expected),
    };
    return cmocka_run_group_tests(tests, command_folder_make, command_folder_remove);
}
