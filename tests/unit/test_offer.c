/* Description: every rank plans with the same profile, whatever files and settings the ranks have: rank 0's, or its
 * absence. */
#include "offer_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static random_t source;
static char folder[] = "/tmp/hiermoe_offer_XXXXXX";
static char good[64], other[64], broken[64], missing[64], fifo[64], huge[64];

static void file_write(const char *path, const char *name, const char *transport, const char *agree)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "hiermoe-profile 1\nname %s\ndevice cpu\nversions any\ntransport %s\ngroups 4 8\nintra 0 0 1e-4 - 0\n"
            "intra 1 0 1e-7 - 0\ninter 1 0 1e-4 - 0\nagree_ms %s\n",
            name, transport, agree);
    fclose(file);
}

static int group_setup(void **context)
{
    (void)context;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(good, sizeof good, "%s/good", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    snprintf(broken, sizeof broken, "%s/broken", folder);
    snprintf(missing, sizeof missing, "%s/missing", folder);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    snprintf(huge, sizeof huge, "%s/huge", folder);
    file_write(good, "good", "none", "0.5");
    file_write(other, "other", "shm", "0.25");
    file_write(broken, "broken", "none", "soon");
    source.state = random_seed();
    return 0;
}

static int group_teardown(void **context)
{
    (void)context;
    unlink(good);
    unlink(other);
    unlink(broken);
    unlink(fifo);
    unlink(huge);
    return rmdir(folder);
}

static int setup(void **context)
{
    (void)context;
    doubles_reset();
    doubles_settings.topo = "4,2";
    doubles_settings.min_bytes = 0;
    return 0;
}

static void without_a_setting_all_have_the_prior(void **context)
{
    (void)context;
    hm_profile_t profile = profile_of_all(&source, -1, NULL, 3);
    assert_string_equal(profile.name, "prior");
    assert_int_equal(profile.levels, 2);
    assert_true(profile.agree_ms > 0 && profile.identify_ms > 0 && profile.pack_ms > 0);
    assert_int_equal(doubles_said, 0);
}

static void one_file_serves_all_and_other_wires_are_said_once(void **context)
{
    (void)context;
    doubles_settings.profile = good;
    hm_profile_t profile = profile_of_all(&source, -1, NULL, 3);
    assert_string_equal(profile.name, "good");
    assert_float_equal(profile.agree_ms, 0.5, 0);
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "made on another cluster"));
    profile_of_all(&source, -1, NULL, 1);
    assert_int_equal(doubles_said, 1);
}

/* The ranks here share a node: they are joined as what lies inside the nodes of a profile that spans some, or as the
 * outermost groups of one that lies inside a node itself. */
static void one_node_is_joined_as_the_inside_of_the_profiles(void **context)
{
    (void)context;
    doubles_settings.topo = "8";
    doubles_settings.profile = good;
    assert_float_equal(profile_of_all(&source, -1, NULL, 1).intra[0].beta_ms, 1e-7 * (7 / 8.0) / (1 / 2.0), 1e-15);
    doubles_settings.profile = other;
    assert_float_equal(profile_of_all(&source, -1, NULL, 1).intra[0].beta_ms, 1e-4 * (7 / 8.0) / (3 / 4.0), 1e-12);
}

static void file_missing_on_a_later_rank_changes_nothing(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    own.profile = missing;
    doubles_settings.profile = good;
    assert_string_equal(profile_of_all(&source, 5, &own, 3).name, "good");
    assert_int_equal(doubles_said, 0);
}

static void other_and_broken_files_on_later_ranks_change_nothing(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    doubles_settings.profile = good;
    own.profile = other;
    assert_float_equal(profile_of_all(&source, 1, &own, 2).agree_ms, 0.5, 0);
    own.profile = broken;
    assert_float_equal(profile_of_all(&source, 1, &own, 2).agree_ms, 0.5, 0);
    assert_int_equal(doubles_said, 0);
}

static void file_missing_on_rank_0_gives_all_the_prior(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    own.profile = missing;
    doubles_settings.profile = good;
    assert_string_equal(profile_of_all(&source, 0, &own, 3).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, missing));
    assert_non_null(strstr(doubles_text, "No such file"));
    assert_non_null(strstr(doubles_text, "expected prior, auto"));
}

static void broken_file_on_rank_0_is_said_once_with_its_line(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    own.profile = broken;
    doubles_settings.profile = good;
    assert_string_equal(profile_of_all(&source, 0, &own, 3).name, "prior");
    assert_string_equal(profile_of_all(&source, 0, &own, 1).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "line 10: \"soon\": expected agree_ms"));
}

static void built_in_name_serves_all(void **context)
{
    (void)context;
    doubles_settings.profile = "a6000-4x8";
    assert_string_equal(profile_of_all(&source, -1, NULL, 2).name, "a6000-4x8");
    assert_int_equal(doubles_said, 0);
}

/* Cut off where reading stops it would still be a profile, of whatever lies before. */
static void file_beyond_all_measure_is_refused(void **context)
{
    (void)context;
    FILE *file = fopen(huge, "w");
    assert_non_null(file);
    fprintf(file, "hiermoe-profile 1\nname huge\ndevice cpu\nversions any\ntransport none\ngroups 8\n"
                  "intra 0 0 1e-4 - 0\n");
    for (int i = 0; i < 70000; i++) fputc('#', file);
    fclose(file);
    doubles_settings.profile = huge;
    assert_string_equal(profile_of_all(&source, -1, NULL, 1).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "File too large"));
}

static void folder_in_place_of_a_file_is_said(void **context)
{
    (void)context;
    doubles_settings.profile = folder;
    assert_string_equal(profile_of_all(&source, -1, NULL, 1).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "Is a directory"));
}

/* Nobody writes to it: a rank that waited would make all others wait. */
static void fifo_in_place_of_a_file_is_said(void **context)
{
    (void)context;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    doubles_settings.profile = fifo;
    assert_string_equal(profile_of_all(&source, -1, NULL, 1).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "it is no regular file"));
    unlink(fifo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_setting_all_have_the_prior, setup),
        cmocka_unit_test_setup(one_file_serves_all_and_other_wires_are_said_once, setup),
        cmocka_unit_test_setup(one_node_is_joined_as_the_inside_of_the_profiles, setup),
        cmocka_unit_test_setup(file_missing_on_a_later_rank_changes_nothing, setup),
        cmocka_unit_test_setup(other_and_broken_files_on_later_ranks_change_nothing, setup),
        cmocka_unit_test_setup(file_missing_on_rank_0_gives_all_the_prior, setup),
        cmocka_unit_test_setup(broken_file_on_rank_0_is_said_once_with_its_line, setup),
        cmocka_unit_test_setup(built_in_name_serves_all, setup),
        cmocka_unit_test_setup(file_beyond_all_measure_is_refused, setup),
        cmocka_unit_test_setup(folder_in_place_of_a_file_is_said, setup),
        cmocka_unit_test_setup(fifo_in_place_of_a_file_is_said, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
