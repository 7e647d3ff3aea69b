#define _GNU_SOURCE
#include "front_double.h"

#include "base/bytes.h"
#include "base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char said[8192];

static int clear(void **state)
{
    (void)state;
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) unsetenv(variable);
#include "base/settings.def"
    unsetenv("HIERMOE_MOED");
    unsetenv("HIERMOE_SOMETHING_ELSE_ALTOGETHER");
    settings_forget();
    return 0;
}

/* Reads the settings anew; the complaints about them are the lines of `said`. */
static const hm_settings_t *load(void)
{
    char line[1024];
    settings_forget();
    said[0] = '\0';
    for (int at = 0; settings_complaint(at, line, sizeof line); at++) {
        strcat(said, line);
        strcat(said, "\n");
    }
    return settings_get();
}

static void defaults(void **state)
{
    (void)state;
    const hm_settings_t *settings = load();
    assert_string_equal(said, "");
    assert_int_equal(settings->mode, HM_MODE_EXACT);
    assert_int_equal(settings->depth, HM_DEPTH_AUTO);
    assert_null(settings->topo);
    assert_int_equal(settings->row_bytes, HM_ROW_BYTES_AUTO);
    assert_int_equal(settings->min_bytes, 64 << 10);
    assert_int_equal(settings->max_scratch, 2ul << 30);
    assert_int_equal(settings->timeout, 600);
    assert_string_equal(settings->trust, "known");
    assert_int_equal(settings->test_fingerprint_bits, 64);
    assert_int_equal(settings->test_fail_alloc, HM_ALLOC_NEVER_FAILS);
    assert_true(settings->warn_unused);
}

static void accepted_values(void **state)
{
    (void)state;
    setenv("HIERMOE_MODE", "Observe", 1);
    setenv("HIERMOE_DEPTH", "6", 1);
    setenv("HIERMOE_TOPO", "4,2,2", 1);
    setenv("HIERMOE_ROW_BYTES", "14336", 1);
    setenv("HIERMOE_MIN_BYTES", "0", 1);
    setenv("HIERMOE_MAX_SCRATCH", "512m", 1);
    setenv("HIERMOE_WARN_UNUSED", "off", 1);
    setenv("HIERMOE_TEST_FAIL_ALLOC", "3", 1);
    setenv("HIERMOE_MOED", "off", 1);
    const hm_settings_t *settings = load();
    assert_string_equal(said, "");
    assert_int_equal(settings->mode, HM_MODE_OBSERVE);
    assert_int_equal(settings->depth, 6);
    assert_string_equal(settings->topo, "4,2,2");
    assert_int_equal(settings->row_bytes, 14336);
    assert_int_equal(settings->min_bytes, 0);
    assert_int_equal(settings->max_scratch, 512 << 20);
    assert_int_equal(settings->test_fail_alloc, 3);
}

static void what_reads_like_off_is_off(void **state)
{
    static const char *const off[] = {"off", "OFF", "0", "no", "n", "None", "false", "never", "disable", "disabled"};
    static const char *const on[] = {"exact", "1", "on", "yes", "true", "enable", "Enabled"};
    (void)state;
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        setenv("HIERMOE_MODE", off[i], 1);
        setenv("HIERMOE_WINDOWS", off[i], 1);
        assert_int_equal(load()->mode, HM_MODE_OFF);
        assert_false(settings_get()->windows);
        assert_string_equal(said, "");
    }
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
        setenv("HIERMOE_MODE", on[i], 1);
        setenv("HIERMOE_WINDOWS", i == 0 ? "1" : on[i], 1);
        assert_int_equal(load()->mode, HM_MODE_EXACT);
        assert_true(settings_get()->windows);
        assert_string_equal(said, "");
    }
}

/* Whoever mistypes the mode must not get more than was asked for, on any rank. */
static void mode_not_understood_is_off(void **state)
{
    static const char *const bad[] = {"exakt", "exact|observe", "2", "of", "off ", "-", "observe,exact"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("HIERMOE_MODE", bad[i], 1);
        assert_int_equal(load()->mode, HM_MODE_OFF);
        assert_non_null(strstr(said, "is not understood, off is used instead; accepted: exact|observe|off"));
        assert_ptr_equal(strstr(said, "\n"), said + strlen(said) - 1); /* one line */
    }
}

/* NCCL takes "abc" for 0 and "12x" for 12; nothing of the kind here. */
static void refused_values(void **state)
{
    static const struct {
        const char *name, *value;
    } bad[] = {
        {"HIERMOE_DEPTH", "7"},
        {"HIERMOE_DEPTH", "-1"},
        {"HIERMOE_DEPTH", "1.0"},
        {"HIERMOE_DEPTH", "0..6"},
        {"HIERMOE_DEPTH", " 1"},
        {"HIERMOE_ROW_BYTES", "12x"},
        {"HIERMOE_ROW_BYTES", "12KB"},
        {"HIERMOE_ROW_BYTES", "+12"},
        {"HIERMOE_MIN_BYTES", "auto"},
        {"HIERMOE_MAX_SCRATCH", "-1"},
        {"HIERMOE_MAX_SCRATCH", "K"},
        {"HIERMOE_TIMEOUT", "0"},
        {"HIERMOE_TIMEOUT", "forever"},
        {"HIERMOE_MAX_SCRATCH", "99999999999999999999"},
        {"HIERMOE_MAX_SCRATCH", "18446744073709551615K"},
        {"HIERMOE_WARN_UNUSED", "maybe"},
        {"HIERMOE_DEBUG", "2"},
        {"HIERMOE_TEST_FINGERPRINT_BITS", "65"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char expected[256];
        clear(state);
        uint64_t before = settings_hash();
        setenv(bad[i].name, bad[i].value, 1);
        load();
        snprintf(expected, sizeof expected, "%s=%s is not understood", bad[i].name, bad[i].value);
        assert_non_null(strstr(said, expected));
        assert_non_null(strstr(said, "accepted: "));
        assert_ptr_equal(strstr(said, "\n"), said + strlen(said) - 1); /* one line */
        assert_int_equal(settings_hash(), before);
    }
}

/* One grammar for every size: digits, and a unit in either case. */
static void sizes(void **state)
{
    static const struct {
        const char *text;
        size_t size;
    } good[] = {
        {"0", 0},
        {"65536", 65536},
        {"64K", 65536},
        {"64k", 65536},
        {"3m", 3 << 20},
        {"2G", 2ul << 30},
        {"2g", 2ul << 30},
        {"007k", 7168},
        {"18446744073709551615", SIZE_MAX},
        {"17179869183g", SIZE_MAX - (1ul << 30) + 1},
    };
    static const char *const bad[] = {
        "k", "-1", "+1", " 1", "1 ", "1kb", "1.5", "1e3", "0x10", "1K2", "1T", "18446744073709551616", "17179869184G"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const char *end = NULL;
        size_t size = 1;
        assert_true(bytes_size_parse(good[i].text, &end, &size));
        assert_int_equal(*end, '\0');
        assert_int_equal(size, good[i].size);
        setenv("HIERMOE_MIN_BYTES", good[i].text, 1);
        assert_int_equal(load()->min_bytes, good[i].size);
        assert_string_equal(said, "");
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("HIERMOE_MIN_BYTES", bad[i], 1);
        assert_int_equal(load()->min_bytes, 64 << 10);
        assert_non_null(
            strstr(said, "is not understood, 64K is used instead; accepted: bytes such as 65536, 64k or 2G"));
    }
}

static void lists_are_words_in_any_order(void **state)
{
    (void)state;
    setenv("HIERMOE_GUIDED", "dispatch_backward,Dispatch", 1);
    assert_int_equal(load()->guided, HM_GUIDED_DISPATCH_BACKWARD | HM_GUIDED_DISPATCH);
    setenv("HIERMOE_GUIDED", "none", 1);
    assert_int_equal(load()->guided, 0);
    assert_string_equal(said, "");
    static const char *const wrong[] = {"dispatch,",      ",dispatch",
                                        "dispatch,,swap", "dispatch combine",
                                        "dispatches",     "a word that is longer than any that is accepted here"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("HIERMOE_GUIDED", wrong[i], 1);
        assert_int_equal(load()->guided, 0);
        assert_non_null(strstr(said, "HIERMOE_GUIDED="));
    }
}

static void empty_value_is_no_value(void **state)
{
    (void)state;
    setenv("HIERMOE_MODE", "", 1);
    setenv("HIERMOE_TOPO", "", 1);
    assert_int_equal(load()->mode, HM_MODE_EXACT);
    assert_string_equal(said, "");
}

static void mistyped_name_is_said_with_the_nearest(void **state)
{
    (void)state;
    setenv("HIERMOE_MOED", "off", 1);
    setenv("HIERMOE_SOMETHING_ELSE_ALTOGETHER", "1", 1);
    load();
    assert_non_null(strstr(said, "HIERMOE_MOED is not a setting, did you mean HIERMOE_MODE;"));
    assert_non_null(strstr(said, "HIERMOE_SOMETHING_ELSE_ALTOGETHER is not a setting;"));
}

static void distance_of_names(void **state)
{
    (void)state;
    assert_int_equal(settings_name_distance("kitten", "sitting", 3), 3);
    assert_int_equal(settings_name_distance("", "abc", 3), 3);
    assert_int_equal(settings_name_distance("abcdefgh", "", 3), 4);
}

/* One line each, whatever the order of the environment; a line is cut where there is no room. */
static void complaints_are_numbered(void **state)
{
    char line[1024], cut[20];
    (void)state;
    setenv("HIERMOE_DEPTH", "nine", 1);
    setenv("HIERMOE_MODE", "exakt", 1);
    setenv("HIERMOE_MOED", "off", 1);
    settings_forget();
    assert_true(settings_complaint(0, line, sizeof line));
    assert_non_null(strstr(line, "HIERMOE_MODE=exakt"));
    assert_true(settings_complaint(0, cut, sizeof cut));
    assert_string_equal(cut, "HIERMOE_MODE=exakt ");
    assert_true(settings_complaint(1, line, sizeof line));
    assert_non_null(strstr(line, "HIERMOE_DEPTH=nine"));
    assert_true(settings_complaint(2, line, sizeof line));
    assert_non_null(strstr(line, "HIERMOE_MOED"));
    assert_false(settings_complaint(3, line, sizeof line));
    setenv("HIERMOE_WARN_UNUSED", "0", 1);
    settings_forget();
    assert_false(settings_complaint(2, line, sizeof line));
}

static void hash_is_of_values(void **state)
{
    (void)state;
    uint64_t plain = (load(), settings_hash());
    setenv("HIERMOE_MIN_BYTES", "65536", 1); /* 64K */
    setenv("HIERMOE_TIMEOUT", "5", 1);       /* each rank its own */
    load();
    assert_int_equal(settings_hash(), plain);
    static const char *const names[] = {
        "HIERMOE_MODE",        "HIERMOE_DEPTH",  "HIERMOE_TOPO",   "HIERMOE_ROW_BYTES",       "HIERMOE_MIN_BYTES",
        "HIERMOE_MAX_SCRATCH", "HIERMOE_TRUST",  "HIERMOE_SLICES", "HIERMOE_SPREAD",          "HIERMOE_WINDOWS",
        "HIERMOE_GATHER",      "HIERMOE_GUIDED", "HIERMOE_VERIFY", "HIERMOE_MAX_HANDLE_BYTES"};
    static const char *const values[] = {"off", "2", "2,2", "64",   "1M",       "1G",  "shape",
                                         "3",   "0", "0",   "nccl", "dispatch", "all", "1M"};
    size_t equal = 0;
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) equal += same;
#include "base/settings.def"
    assert_int_equal(equal, sizeof names / sizeof names[0]); /* a new one belongs into this list */
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        clear(state);
        setenv(names[i], values[i], 1);
        load();
        assert_int_not_equal(settings_hash(), plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults, clear),
        cmocka_unit_test_setup(accepted_values, clear),
        cmocka_unit_test_setup(what_reads_like_off_is_off, clear),
        cmocka_unit_test_setup(mode_not_understood_is_off, clear),
        cmocka_unit_test_setup(refused_values, clear),
        cmocka_unit_test_setup(sizes, clear),
        cmocka_unit_test_setup(lists_are_words_in_any_order, clear),
        cmocka_unit_test_setup(empty_value_is_no_value, clear),
        cmocka_unit_test_setup(mistyped_name_is_said_with_the_nearest, clear),
        cmocka_unit_test_setup(hash_is_of_values, clear),
        cmocka_unit_test_setup(complaints_are_numbered, clear),
        cmocka_unit_test(distance_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
