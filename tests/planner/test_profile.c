#include "planner_test.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>

static const char good[] = "# a comment\n"
                           "\n"
                           "hiermoe-profile 1\n"
                           "name here\n"
                           "device NVIDIA H200  # its GPU\n"
                           "versions nccl 2.28.9 cuda 13.0\r\n"
                           "transport tcp\n"
                           "groups 4 8\n"
                           "intra 0 0.5 5e-7 0.99 12\n"
                           "intra 1 0.25 1e-8 - 0\n"
                           "inter 1 .125 4.5E-7 1 9\n"
                           "agree_ms 0.03\n";

static int parse(const char *text, hm_profile_t *profile, hm_parse_error_t *error)
{
    /* An exact-size copy lets a memory checker see a read past the end. */
    size_t length = strlen(text);
    char *copy = malloc(length + 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    char *exact = realloc(copy, length > 0 ? length : 1);
    int rc = profile_parse(exact, length, profile, error);
    free(exact);
    return rc;
}

static void test_good_text_is_read(void **state)
{
    (void)state;
    hm_profile_t profile;
    hm_parse_error_t error = {0};
    int rc = parse(good, &profile, &error);
    if (rc != 0) fail_msg("line %d: %s", error.line, error.text);
    assert_string_equal(profile.name, "here");
    assert_string_equal(profile.device, "NVIDIA H200");
    assert_string_equal(profile.versions, "nccl 2.28.9 cuda 13.0");
    assert_int_equal(profile.levels, 2);
    assert_int_equal(profile.groups[0], 1);
    assert_int_equal(profile.groups[1], 4);
    assert_int_equal(profile.groups[2], 8);
    assert_float_equal(profile.intra[0].beta_ms, 5e-7, 0);
    assert_true(isnan(profile.intra[1].r2));
    assert_float_equal(profile.inter[1].alpha_ms, 0.125, 0);
    assert_int_equal(profile.inter[1].samples, 9);
    assert_float_equal(profile.agree_ms, 0.03, 0);
    assert_float_equal(profile.pack_ms, 0, 0);
}

static void test_what_some_ranks_pay_survives_writing(void **state)
{
    (void)state;
    char text[2048];
    hm_profile_t profile, back;
    hm_parse_error_t error = {0};
    size_t length;
    snprintf(text, sizeof(text), "%sfew 1 3e-7\nalone 1 2e-7\n", good);
    assert_int_equal(parse(text, &profile, &error), 0);
    assert_int_equal(profile_write(&profile, text, sizeof(text), &length), 0);
    assert_int_equal(parse(text, &back, &error), 0);
    assert_float_equal(back.few_ms[1], 3e-7, 0);
    assert_float_equal(back.alone_ms[1], 2e-7, 0);
}

static void test_bends_may_follow_the_samples(void **state)
{
    (void)state;
    char text[2048];
    const char *at = strstr(good, "0.99 12");
    hm_profile_t profile, back;
    hm_parse_error_t error = {0};
    size_t length;
    snprintf(text, sizeof(text), "%.*s0.99 12 4.5e5 1e7 2e-7%s", (int)(at - good), good, at + strlen("0.99 12"));
    assert_int_equal(parse(text, &profile, &error), 0);
    assert_float_equal(profile.intra[0].free_bytes, 4.5e5, 0);
    assert_float_equal(profile.intra[1].free_bytes, 0, 0);
    assert_int_equal(profile_write(&profile, text, sizeof(text), &length), 0);
    assert_int_equal(parse(text, &back, &error), 0);
    assert_float_equal(back.intra[0].free_bytes, 4.5e5, 0);
    assert_float_equal(back.intra[0].turn_bytes, 1e7, 0);
    assert_float_equal(back.intra[0].turn_ms, 2e-7, 0);
    assert_int_equal(back.intra[0].samples, 12);
}

/* Bytes may get cheaper from a size on; a turn of -0 is none, and counts of samples are cut to what is read back. */
static void test_odd_links_survive_writing(void **state)
{
    (void)state;
    char text[2048];
    hm_profile_t profile, back;
    hm_parse_error_t error = {0};
    size_t length;
    assert_int_equal(parse(good, &profile, &error), 0);
    hm_link_t *link = &profile.intra[0];
    link->beta_ms = 2e-7;
    link->free_bytes = 0;
    link->turn_bytes = 1e7;
    link->turn_ms = -1.5e-7;
    link->samples = UINT32_MAX;
    assert_int_equal(profile_write(&profile, text, sizeof(text), &length), 0);
    assert_int_equal(parse(text, &back, &error), 0);
    assert_float_equal(back.intra[0].turn_ms, -1.5e-7, 0);
    assert_float_equal(back.intra[0].turn_bytes, 1e7, 0);
    assert_int_equal(back.intra[0].samples, INT32_MAX);
    const char *at = strstr(good, "0.99 12");
    snprintf(text, sizeof(text), "%.*s0.99 12 0 0 -0%s", (int)(at - good), good, at + strlen("0.99 12"));
    assert_int_equal(parse(text, &back, &error), 0);
    assert_false(signbit(back.intra[0].turn_ms));
}

/* Each change spoils the good text at one place; the message must name the line and say what was expected. */
static void test_bad_text_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        int line;
        const char *says;
    } cases[] = {
        {"hiermoe-profile 1", "hiermoe-profile 2", 3, "expected \"hiermoe-profile 1\""},
        {"name here", "nome here", 4, "\"nome\": expected name, device"},
        {"name here", "name", 4, "name: expected a text of 1 to 63"},
        {"name here", "name a\nname b", 5, "a second \"name\""},
        {"name here", "name caf\xc3\xa9", 4, "printable"},
        {"groups 4 8", "groups 4 4", 8, "\"4\": expected a number of groups, more than"},
        {"groups 4 8", "groups 4 8 16 32 64 128 256", 8, "at most 6"},
        {"groups 4 8", "groups 4 8x", 8, "\"8x\": expected a number of groups"},
        {"groups 4 8", "groups", 8, "the line ends where a number of groups"},
        {"groups 4 8", "groups 99999999999999999999", 8, "whole number from 1 to 1048576"},
        {"groups 4 8\n", "", 8, "\"intra\" before \"groups\""},
        {"intra 0 0.5 5e-7", "intra 0 0x1p3 5e-7", 9, "\"0x1p3\": expected alpha in ms"},
        {"intra 0 0.5 5e-7", "intra 0 nan 5e-7", 9, "\"nan\": expected alpha"},
        {"intra 0 0.5 5e-7", "intra 0 0,5 5e-7", 9, "\"0,5\": expected alpha"},
        {"intra 0 0.5 5e-7", "intra 0 -1 5e-7", 9, "\"-1\": expected alpha"},
        {"intra 0 0.5 5e-7", "intra 0 1e400 5e-7", 9, "\"1e400\": expected alpha"},
        {"intra 0 0.5 5e-7", "intra 0 0.5 1.5", 9, "\"1.5\": expected beta in ms per byte"},
        {"intra 0 0.5 5e-7 0.99 12", "intra 0 0.5 5e-7", 9, "the line ends where r2 or -"},
        {"0.99 12", "1.5 12", 9, "\"1.5\": expected r2"},
        {"0.99 12", "0.99 12 1e9 2e9 1e-8 13", 9, "\"13\" is too much"},
        {"0.99 12", "0.99 12 1e9 2e9", 9, "the line ends where ms per byte from the turn on"},
        {"0.99 12", "0.99 12 1e9 2e9 -6e-7", 9,
         "\"-6e-7\": expected ms per byte from the turn on, a number from -5e-07"},
        {"0.99 12", "0.99 12 -1", 9, "\"-1\": expected free bytes"},
        {"0.99 12", "0.99 12 1e9 0 -5e-7", 9, "expected no less than the free bytes"}, /* times below 0 */
        {"intra 1 0.25", "intra 2 0.25", 10, "\"2\": expected a level"},
        {"intra 1 0.25", "intra 0 0.25", 10, "a second \"intra 0\""},
        {"inter 1 .125", "inter 0 .125", 11, "whole number from 1 to 1"},
        {"inter 1 .125 4.5E-7 1 9\n", "", 11, "ends without \"inter 1\""},
        {"transport tcp\n", "", 11, "ends without \"transport\""},
        {"agree_ms 0.03", "agree_ms 0.03\nagree_ms 0.03", 13, "a second \"agree_ms\""},
        {"agree_ms 0.03", "alone 2 1e-7", 12, "whole number from 1 to 1"},
        {"agree_ms 0.03", "alone 1 1e-7 3", 12, "\"3\" is too much"},
        {"agree_ms 0.03", "alone 1 1.5", 12, "\"1.5\": expected beta in ms per byte"},
        {"agree_ms 0.03", "alone 1 1e-7\nalone 1 1e-7", 13, "a second \"alone 1\""},
        {"agree_ms 0.03", "alone 1 1e-7\nfew 1 1e-7\nfew 1 1e-7", 14, "a second \"few 1\""},
        {"agree_ms 0.03", "agree_ms", 12, "the line ends where agree_ms"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[2048];
        const char *at = strstr(good, cases[i].from);
        assert_non_null(at);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, cases[i].to, at + strlen(cases[i].from));
        hm_profile_t profile, before;
        hm_parse_error_t error = {0};
        memset(&profile, 0x5a, sizeof(profile));
        before = profile;
        assert_int_equal(parse(text, &profile, &error), -EINVAL);
        if (error.line != cases[i].line || strstr(error.text, cases[i].says) == NULL)
            fail_msg("case %zu (%s): line %d: %s", i, cases[i].to, error.line, error.text);
        assert_memory_equal(&profile, &before, sizeof(profile));
    }
}

static void test_empty_text_is_refused(void **state)
{
    (void)state;
    hm_profile_t profile;
    hm_parse_error_t error = {0};
    assert_int_equal(parse("", &profile, &error), -EINVAL);
    assert_int_equal(error.line, 1);
    assert_int_equal(parse("# only this\n\n", &profile, &error), -EINVAL);
}

/* The text is no string: a number at its very end was once compared past it. A memory checker sees that. */
static void test_number_at_the_very_end_of_the_text(void **state)
{
    (void)state;
    hm_profile_t profile;
    hm_parse_error_t error = {0};
    assert_int_equal(parse("hiermoe-profile 1\nagree_ms 2e-", &profile, &error), -EINVAL);
    assert_int_equal(error.line, 2);
    assert_non_null(strstr(error.text, "\"2e-\": expected agree_ms"));
}

static void test_every_builtin_survives_writing_and_reading(void **state)
{
    (void)state;
    const hm_profile_t *builtin;
    for (int i = 0; (builtin = profile_builtin_at(i)) != NULL; i++) {
        char text[4096];
        size_t length, shorter;
        hm_profile_t back;
        hm_parse_error_t error = {0};
        assert_int_equal(profile_write(builtin, text, sizeof(text), &length), 0);
        int rc = profile_parse(text, length, &back, &error);
        if (rc != 0) fail_msg("%s line %d: %s", builtin->name, error.line, error.text);
        assert_string_equal(back.name, builtin->name);
        assert_int_equal(back.levels, builtin->levels);
        assert_memory_equal(back.groups, builtin->groups, sizeof(back.groups));
        for (int l = 0; l < back.levels; l++) {
            assert_memory_equal(&back.intra[l], &builtin->intra[l], sizeof(double) * 3);
            if (l > 0) assert_memory_equal(&back.inter[l], &builtin->inter[l], sizeof(double) * 3);
        }
        assert_int_equal(profile_write(builtin, text, length, &shorter), -ENOSPC);
        assert_int_equal(shorter, length);
    }
    assert_non_null(profile_builtin("a6000-4x8"));
    assert_null(profile_builtin("a6000"));
}

/* A job in a locale with decimal commas must read the same numbers. Skipped where no such locale is installed. */
static void test_decimal_comma_locale_changes_nothing(void **state)
{
    (void)state;
    if (setlocale(LC_NUMERIC, "de_DE.UTF-8") == NULL && setlocale(LC_NUMERIC, "fr_FR.UTF-8") == NULL) skip();
    hm_profile_t profile;
    hm_parse_error_t error = {0};
    int rc = parse(good, &profile, &error);
    setlocale(LC_NUMERIC, "C");
    assert_int_equal(rc, 0);
    assert_float_equal(profile.intra[0].alpha_ms, 0.5, 0);
}

static void test_cluster_key_looks_at_everything_but_the_name(void **state)
{
    (void)state;
    hm_profile_t one = *profile_builtin("a6000-4x8"), two = one;
    snprintf(two.name, sizeof(two.name), "other");
    two.intra[0].alpha_ms = 9;
    assert_true(profile_same_cluster(&one, &two));
    snprintf(two.versions, sizeof(two.versions), "nccl 2.28");
    assert_false(profile_same_cluster(&one, &two));
    two = one;
    snprintf(two.device, sizeof(two.device), "NVIDIA H200");
    assert_false(profile_same_cluster(&one, &two));
    two = one;
    snprintf(two.transport, sizeof(two.transport), "tcp");
    assert_false(profile_same_cluster(&one, &two));
    two = one;
    two.groups[2] = 9;
    assert_false(profile_same_cluster(&one, &two));
}

static void test_prior_orders_wires_and_is_complete(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,8", 32);
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {0, HM_WIRE_NET, HM_WIRE_NVLINK};
    double speed[HM_MAX_LEVELS + 1] = {0, 25, 0};
    hm_profile_t profile, slower;
    profile_prior(topo, wire, NULL, &profile);
    profile_prior(topo, wire, speed, &slower);
    assert_int_equal(profile.levels, 2);
    assert_float_equal(profile.inter[1].beta_ms, 0.75 / 50e6, 1e-15); /* 3 of 4 buffer parts at 50 GB/s */
    assert_float_equal(slower.inter[1].beta_ms, 0.75 / 25e6, 1e-15);
    assert_float_equal(profile.intra[1].beta_ms, 0.875 / 260e6, 1e-15);
    assert_float_equal(profile.intra[0].beta_ms, profile.inter[1].beta_ms, 1e-15);
    assert_true(profile.intra[1].alpha_ms > 0 && profile.intra[1].alpha_ms < profile.intra[0].alpha_ms);
    assert_int_equal(profile.intra[0].samples, 0);
    assert_true(isnan(profile.intra[0].r2));
    assert_string_equal(profile.transport, "net"); /* what the outermost level runs over */
    assert_float_equal(profile.alone_ms[1], 0, 0);
    wire[1] = HM_WIRE_TCP;
    profile_prior(topo, wire, NULL, &profile);
    assert_string_equal(profile.transport, "tcp");
    assert_float_equal(profile.alone_ms[1], profile.inter[1].beta_ms / 8, 1e-18); /* 8 ranks share a node's port */
    topo_destroy(topo);
}

/* Every pair of ranks has its place in the table that all plan from. */
static void test_prior_of_many_ranks_counts_the_planning(void **state)
{
    (void)state;
    hm_topo_t *few = test_topo("4,2", 8), *many = test_topo("128,8", 1024);
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {0, HM_WIRE_NET, HM_WIRE_NVLINK};
    hm_profile_t small, large;
    profile_prior(few, wire, NULL, &small);
    profile_prior(many, wire, NULL, &large);
    assert_float_equal(large.agree_ms - small.agree_ms, 5e-6 * (1024.0 * 1024 - 8 * 8), 1e-9);
    topo_destroy(many);
    topo_destroy(few);
}

/* Measured on four nodes, used on three or two: the wire is shared as it was. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_text_is_read),
        cmocka_unit_test(test_what_some_ranks_pay_survives_writing),
        cmocka_unit_test(test_bends_may_follow_the_samples),
        cmocka_unit_test(test_odd_links_survive_writing),
        cmocka_unit_test(test_bad_text_is_refused_with_its_line),
        cmocka_unit_test(test_empty_text_is_refused),
        cmocka_unit_test(test_number_at_the_very_end_of_the_text),
        cmocka_unit_test(test_every_builtin_survives_writing_and_reading),
        cmocka_unit_test(test_decimal_comma_locale_changes_nothing),
        cmocka_unit_test(test_cluster_key_looks_at_everything_but_the_name),
        cmocka_unit_test(test_prior_orders_wires_and_is_complete),
        cmocka_unit_test(test_prior_of_many_ranks_counts_the_planning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
