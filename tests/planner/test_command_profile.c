/* hiermoe profile and settings as users run them. */
#include "command_run.h"

#include <jansson.h>

#include <stdio.h>

static void test_settings_are_those_of_the_library(void **state)
{
    (void)state;
    static const char *const names[] = {
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) variable,
#include "../../shim/base/settings.def"
    };
    char text[16384];
    json_error_t error;
    assert_int_equal(command_run("settings --json", text, sizeof(text)), 0);
    json_t *list = json_loads(text, 0, &error);
    assert_non_null(list);
    assert_int_equal(json_array_size(list), sizeof(names) / sizeof(names[0]));
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *setting = json_array_get(list, i);
        assert_string_equal(json_string_value(json_object_get(setting, "name")), names[i]);
        assert_true(json_string_length(json_object_get(setting, "help")) > 0);
        assert_true(json_is_boolean(json_object_get(setting, "same_on_all_ranks")));
    }
    assert_int_equal(command_run("settings", text, sizeof(text)), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char start[128]; /* other settings' lines name some, too */
        snprintf(start, sizeof(start), "\n%s ", names[i]);
        char *line = strstr(text, start), *end = line != NULL ? strchr(line + 1, '\n') : NULL;
        assert_non_null(end);
        *end = '\0';
        bool same = json_boolean_value(json_object_get(json_array_get(list, i), "same_on_all_ranks"));
        assert_true(strstr(line, same ? "  equal  " : "  any    ") != NULL);
        *end = '\n';
    }
    json_decref(list);
}

/* What the library's tables hold, in the letters of its JSON. */
static void test_every_counter_and_reason_is_listed(void **state)
{
    (void)state;
    char text[16384];
    static const char *const lines[] = {
#define HM_STAT(field, key, unit, help) "\n  " key " ",
#define HM_STAT_DIFFERENCE(key, field, less, help) "\n  " key " ",
#include "../../shim/base/stats.def"
        "\n  depth ", "\n  left ", "\n  no_gain ", "\n  no_back_end ", "  the group holds other NCCL calls too\n",
    };
    assert_int_equal(command_run("counters", text, sizeof(text)), 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strstr(text, lines[i]) == NULL) fail_msg("no \"%s\" in: %s", lines[i], text);
    assert_null(strstr(text, "\n  none "));
}

static void test_bad_input_is_named(void **state)
{
    (void)state;
    static const command_refusal_t cases[] = {
        {"profile bad.profile", "bad.profile: line 3: \"colour\""},
        {"profile nope", "profile \"nope\": expected a file, a built-in name"},
        {"profile ''", "profile \"\": expected a file, a built-in name"},
        {"profile prior:net", "prior:net: expected hiermoe plan and --topo"},
        {"profile -x", "usage: hiermoe profile"},
        {"profile a6000-4x8 nowhere", "nowhere: No such file"},
        {"profile a6000-4x8 other.profile", "other.profile: expected the levels, groups, device, versions and"},
        {"settings all", "usage: hiermoe settings"},
        {"counters all", "usage: hiermoe counters"},
    };
    command_refuses(cases, sizeof(cases) / sizeof(cases[0]));
}

/* A slow start and a fast one do not move what most starts take. */
static void test_several_profiles_become_the_usual_one(void **state)
{
    (void)state;
    char text[8192], line[64], *tail;
    for (int start = 0; start < 3; start++) {
        static const double agree[] = {0.5, 9, 0.25};
        assert_int_equal(command_run("profile one_level.profile", text, sizeof(text)), 0);
        assert_non_null(tail = strstr(text, "agree_ms"));
        snprintf(tail, sizeof(text) - (size_t)(tail - text), "agree_ms %g\n", agree[start]);
        snprintf(line, sizeof(line), "start%d.profile", start);
        command_file_write(line, text, strlen(text));
    }
    assert_int_equal(command_run("profile start0.profile start1.profile start2.profile", text, sizeof(text)), 0);
    assert_non_null(strstr(text, "agree_ms 0.5\n"));
    command_file_write("usual.profile", text, strlen(text));
    assert_int_equal(command_run("profile usual.profile", text, sizeof(text)), 0);
}

/* Output was lost on a full disk, and the exit status was 0. */
static void test_lost_output_is_an_error(void **state)
{
    (void)state;
    static const char *const commands[] = {"--help",
                                           "plan --profile a6000-4x8 --model deepseek-v3",
                                           "plan --help",
                                           "profile",
                                           "profile a6000-4x8",
                                           "settings",
                                           "settings --json",
                                           "counters",
                                           "fit --help",
                                           "plan --profile a6000-4x8 --model deepseek-v3 --json -"};
    char arguments[256], text[8192];
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        snprintf(arguments, sizeof(arguments), "%s >/dev/full 2>errors; status=$?; cat errors; exit $status",
                 commands[i]);
        int status = command_run(arguments, text, sizeof(text));
        if (status != 2 || strstr(text, "No space left on device") == NULL)
            fail_msg("hiermoe %s: status %d: %s", commands[i], status, text);
    }
}

static int files_make(void **state)
{
    static const char bad[] = "hiermoe-profile 1\nname x\ncolour red\n";
    static const char level[] = "hiermoe-profile 1\nname x\ndevice cpu\nversions 1\ntransport tcp\ngroups 4\n"
                                "intra 0 0.5 5e-7 0.99 12\n";
    if (command_folder_make(state) != 0) return -1;
    command_file_write("bad.profile", bad, sizeof(bad) - 1);
    command_file_write("other.profile", level, sizeof(level) - 1);
    command_file_write("one_level.profile", level, sizeof(level) - 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_counter_and_reason_is_listed),
        cmocka_unit_test(test_bad_input_is_named),
        cmocka_unit_test(test_several_profiles_become_the_usual_one),
        cmocka_unit_test(test_settings_are_those_of_the_library),
        cmocka_unit_test(test_lost_output_is_an_error),
    };
    return cmocka_run_group_tests(tests, files_make, command_folder_remove);
}
