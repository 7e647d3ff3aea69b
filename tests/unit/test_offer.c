/* Description: every rank plans with the same profile, whatever files, settings and memory the ranks have: rank 0's, or
 * its absence. */
#include "world.h"

#include "../../planner/wires/profile.h"
#include "../../shim/meet/measure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RANKS 8

static random_t source;
static char folder[] = "/tmp/hiermoe_offer_XXXXXX";
static char good[64], other[64], broken[64], missing[64], missing_folder[80], fitted[64], huge[64];

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
    snprintf(missing_folder, sizeof missing_folder, "%s/fitted", missing);
    snprintf(fitted, sizeof fitted, "%s/fitted", folder);
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
    unlink(fitted);
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

/* Every digit of every number counts; the text has them all. */
static void assert_profile_equal(const hm_profile_t *a, const hm_profile_t *b)
{
    char left[8192], right[8192];
    size_t length;
    assert_int_equal(profile_write(a, left, sizeof left, &length), 0);
    assert_int_equal(profile_write(b, right, sizeof right, &length), 0);
    assert_string_equal(left, right);
}

/* A few calls on a new communicator where rank `which` has a profile setting of its own; returns the profile that all
 * ranks have, after it was seen that they do. */
static hm_profile_t profile_of_all(int which, const hm_settings_t *own, int calls)
{
    world_t world;
    world_open(&world, RANKS);
    if (which >= 0) world.settings[which] = own;
    for (int i = 0; i < calls; i++) world_exchange(&source, &world, RANKS, 512);
    const hm_state_t *first = world.comm[0].state;
    hm_profile_t profile = first->parts.know.profile;
    assert_true(first->parts.know.profile_known);
    for (int r = 1; r < RANKS; r++) {
        assert_true(world.comm[r].state->met);
        assert_profile_equal(&world.comm[r].state->parts.know.profile, &profile);
        assert_int_equal(world.comm[r].stats.replaced, world.comm[0].stats.replaced);
    }
    world_close(&world, RANKS);
    return profile;
}

static void without_a_setting_all_have_the_prior(void **context)
{
    (void)context;
    hm_profile_t profile = profile_of_all(-1, NULL, 3);
    assert_string_equal(profile.name, "prior");
    assert_int_equal(profile.levels, 2);
    assert_true(profile.agree_ms > 0 && profile.identify_ms > 0 && profile.pack_ms > 0);
    assert_int_equal(doubles_said, 0);
}

static void one_file_serves_all_and_other_wires_are_said_once(void **context)
{
    (void)context;
    doubles_settings.profile = good;
    hm_profile_t profile = profile_of_all(-1, NULL, 3);
    assert_string_equal(profile.name, "good");
    assert_float_equal(profile.agree_ms, 0.5, 0);
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "made on another cluster"));
    profile_of_all(-1, NULL, 1);
    assert_int_equal(doubles_said, 1);
}

/* The ranks here share a node: they are joined as what lies inside the nodes of a profile that spans some, or as the
 * outermost groups of one that lies inside a node itself. */
static void one_node_is_joined_as_the_inside_of_the_profiles(void **context)
{
    (void)context;
    doubles_settings.topo = "8";
    doubles_settings.profile = good;
    assert_float_equal(profile_of_all(-1, NULL, 1).intra[0].beta_ms, 1e-7 * (7 / 8.0) / (1 / 2.0), 1e-15);
    doubles_settings.profile = other;
    assert_float_equal(profile_of_all(-1, NULL, 1).intra[0].beta_ms, 1e-4 * (7 / 8.0) / (3 / 4.0), 1e-12);
}

static void file_missing_on_a_later_rank_changes_nothing(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    own.profile = missing;
    doubles_settings.profile = good;
    assert_string_equal(profile_of_all(5, &own, 3).name, "good");
    assert_int_equal(doubles_said, 0);
}

static void other_and_broken_files_on_later_ranks_change_nothing(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    doubles_settings.profile = good;
    own.profile = other;
    assert_float_equal(profile_of_all(1, &own, 2).agree_ms, 0.5, 0);
    own.profile = broken;
    assert_float_equal(profile_of_all(1, &own, 2).agree_ms, 0.5, 0);
    assert_int_equal(doubles_said, 0);
}

static void file_missing_on_rank_0_gives_all_the_prior(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    own.profile = missing;
    doubles_settings.profile = good;
    assert_string_equal(profile_of_all(0, &own, 3).name, "prior");
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
    assert_string_equal(profile_of_all(0, &own, 3).name, "prior");
    assert_string_equal(profile_of_all(0, &own, 1).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "line 10: \"soon\": expected agree_ms"));
}

static void built_in_name_serves_all(void **context)
{
    (void)context;
    doubles_settings.profile = "a6000-4x8";
    assert_string_equal(profile_of_all(-1, NULL, 2).name, "a6000-4x8");
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
    assert_string_equal(profile_of_all(-1, NULL, 1).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "File too large"));
}

static void folder_in_place_of_a_file_is_said(void **context)
{
    (void)context;
    doubles_settings.profile = folder;
    assert_string_equal(profile_of_all(-1, NULL, 1).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "Is a directory"));
}

/* Nobody writes to it: a rank that waited would make all others wait. */
static void fifo_in_place_of_a_file_is_said(void **context)
{
    (void)context;
    assert_int_equal(mkfifo(fitted, 0600), 0);
    doubles_settings.profile = fitted;
    assert_string_equal(profile_of_all(-1, NULL, 1).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "it is no regular file"));
    unlink(fitted);
}

static void sizes_not_understood_are_said(void **context)
{
    (void)context;
    doubles_settings.profile = "auto";
    doubles_settings.fit_sizes = "64K";
    doubles_settings.max_scratch = 32 << 10; /* so that nothing is measured, which is said second */
    assert_string_equal(profile_of_all(-1, NULL, 1).name, "prior");
    assert_int_equal(doubles_said, 2);
}

/* Two ranks, so that larger communicators are measured anew. */
static void profile_that_cannot_be_written_is_said_and_used(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.topo = NULL;
    doubles_settings.fit_file = missing_folder;
    doubles_settings.fit_sizes = "4K,16K";
    world_open(&world, 2);
    world_exchange(&source, &world, 2, 512);
    for (int r = 0; r < 2; r++) assert_string_equal(world.comm[r].state->parts.know.profile.name, "measured");
    world_close(&world, 2);
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "HIERMOE_FIT_FILE="));
    assert_non_null(strstr(doubles_text, "No such file"));
}

static void only_rank_0_can_ask_for_a_measurement(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    own.profile = "auto";
    assert_string_equal(profile_of_all(3, &own, 2).name, "prior");
}

static void no_memory_to_measure_on_one_rank_gives_all_the_prior(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    doubles_settings.profile = own.profile = "auto";
    doubles_settings.fit_sizes = own.fit_sizes = "4K,16K";
    own.test_fail_alloc = 2; /* the table's memory is there, that of the measurement is not */
    assert_string_equal(profile_of_all(2, &own, 2).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "nothing was measured"));
}

static void too_little_scratch_to_measure_gives_all_the_prior(void **context)
{
    (void)context;
    doubles_settings.profile = "auto";
    doubles_settings.fit_sizes = "4K,16K";
    doubles_settings.max_scratch = 32 << 10; /* less than four times the second size */
    assert_string_equal(profile_of_all(-1, NULL, 2).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "HIERMOE_MAX_SCRATCH"));
}

static hm_profile_t profile_fitted(void)
{
    hm_parse_error_t error;
    hm_profile_t read;
    char text[8192];
    FILE *file = fopen(fitted, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    assert_int_equal(profile_parse(text, length, &read, &error), 0);
    return read;
}

/* The ranks measure together, write what they found, and later communicators of the process take it over. */
static void a_measurement_fills_every_flavour(void **context)
{
    (void)context;
    hm_profile_t read;
    doubles_settings.topo = "2,2,2";
    doubles_settings.fit_file = fitted;
    doubles_settings.fit_sizes = "4K,64K,256K";
    hm_profile_t profile = profile_of_all(-1, NULL, 3);
    assert_string_equal(profile.name, "measured");
    assert_int_equal(profile.levels, 3);
    for (int l = 0; l < 3; l++) {
        assert_in_range(profile.intra[l].samples, 2, 3);
        assert_true(profile.intra[l].alpha_ms + profile.intra[l].beta_ms > 0);
        if (l > 0) assert_in_range(profile.inter[l].samples, 2, 3);
    }
    assert_true(profile.agree_ms > 0 && profile.identify_ms >= 0 && profile.pack_ms >= 0);
    read = profile_fitted();
    assert_float_equal(read.inter[1].beta_ms, profile.inter[1].beta_ms, 0);
    assert_true(profile_same_cluster(&read, &profile));
    doubles_settings.fit_file = NULL;
    doubles_settings.profile = "auto";
    hm_profile_t again = profile_of_all(-1, NULL, 1);
    assert_profile_equal(&again, &profile);
}

static void a_larger_communicator_is_measured_anew(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.topo = NULL;
    doubles_settings.profile = "auto";
    doubles_settings.fit_file = fitted;
    doubles_settings.fit_sizes = "4K,16K";
    world_open(&world, RANKS + 1); /* more ranks than were measured before */
    world_exchange(&source, &world, RANKS + 1, 512);
    assert_string_equal(world.comm[RANKS].state->parts.know.profile.name, "measured");
    assert_int_equal(world.comm[RANKS].state->parts.know.profile.levels, 1);
    assert_int_equal(profile_fitted().groups[1], RANKS + 1);
    world_close(&world, RANKS + 1);
}

/* Attention's all-to-all (sequence parallelism) inside a node, before that of experts: larger communicators without
 * levels were measured above. */
static void communicator_across_nodes_is_measured_though_one_inside_came_first(void **context)
{
    (void)context;
    doubles_settings.profile = "auto";
    doubles_settings.fit_file = fitted;
    doubles_settings.fit_sizes = "4K,16K";
    hm_profile_t across = profile_of_all(-1, NULL, 1);
    assert_string_equal(across.name, "measured");
    assert_int_equal(across.levels, 2);
    assert_int_equal(across.groups[1], 4);
    assert_int_equal(profile_fitted().groups[1], RANKS + 1); /* the file keeps that of more ranks */
}

/* The communicator's nodes are other parts of the machines than those measured; matched by size, what joins machines
 * would be taken for what joins the GPUs of one. */
static void wires_between_nodes_are_found_for_other_parts_of_nodes(void **context)
{
    (void)context;
    doubles_settings.profile = "auto";
    hm_profile_t before = profile_of_all(-1, NULL, 1);
    doubles_settings.topo = "2,4";
    hm_profile_t after = profile_of_all(-1, NULL, 1);
    assert_int_equal(before.groups[1], 4);
    assert_int_equal(after.groups[1], 2);
    /* Per byte on the wire: of 4 parts of a buffer 3 leave, of 2 one. */
    assert_string_equal(after.name, "measured");
    assert_float_equal(after.inter[1].beta_ms * 2 / (before.inter[1].beta_ms * 4 / 3), 1, 1e-9);
    assert_float_equal(after.intra[0].beta_ms * 2 / (before.intra[0].beta_ms * 4 / 3), 1, 1e-9);
    assert_float_equal(after.inter[1].alpha_ms, before.inter[1].alpha_ms, 1e-12);
    assert_float_equal(after.pack_ms, before.pack_ms, 1e-12);
}

static void sizes_are_read_or_refused(void **context)
{
    (void)context;
    hm_measure_sizes_t sizes;
    assert_int_equal(measure_sizes_parse("1024,64k,2M,1g", &sizes), 0);
    assert_int_equal(sizes.count, 4);
    assert_int_equal(sizes.bytes[3], 1 << 30);
    static const char *const bad[] = {"",
                                      "64K",
                                      "64K,",
                                      "64K,64K",
                                      "64K,4K",
                                      "1,2",
                                      "1M,x",
                                      "1M,2MB",
                                      "-1M,2M",
                                      "1K,2K,3K,4K,5K,6K,7K,8K,9K",
                                      "1K,99999999999999999999G",
                                      "1K 2K"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (measure_sizes_parse(bad[i], &sizes) == 0) fail_msg("\"%s\" was taken", bad[i]);
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
        cmocka_unit_test_setup(sizes_not_understood_are_said, setup),
        cmocka_unit_test_setup(profile_that_cannot_be_written_is_said_and_used, setup),
        cmocka_unit_test_setup(only_rank_0_can_ask_for_a_measurement, setup),
        cmocka_unit_test_setup(no_memory_to_measure_on_one_rank_gives_all_the_prior, setup),
        cmocka_unit_test_setup(too_little_scratch_to_measure_gives_all_the_prior, setup),
        cmocka_unit_test_setup(a_measurement_fills_every_flavour, setup),
        cmocka_unit_test_setup(a_larger_communicator_is_measured_anew, setup),
        cmocka_unit_test_setup(communicator_across_nodes_is_measured_though_one_inside_came_first, setup),
        cmocka_unit_test_setup(wires_between_nodes_are_found_for_other_parts_of_nodes, setup),
        cmocka_unit_test(sizes_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
