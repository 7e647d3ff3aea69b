/* Description: a measurement that rank 0 asks for gives every rank the same profile, and later communicators take it
 * over where it holds for them; without memory or sizes for one, all ranks have the prior. */
#include "offer_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static random_t source;
static char folder[] = "/tmp/hiermoe_offer_measured_XXXXXX";
static char missing_folder[80], fitted[64];

static int group_setup(void **context)
{
    (void)context;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(missing_folder, sizeof missing_folder, "%s/missing/fitted", folder);
    snprintf(fitted, sizeof fitted, "%s/fitted", folder);
    source.state = random_seed();
    return 0;
}

static int group_teardown(void **context)
{
    (void)context;
    unlink(fitted);
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

static void sizes_not_understood_are_said(void **context)
{
    (void)context;
    doubles_settings.profile = "auto";
    doubles_settings.fit_sizes = "64K";
    doubles_settings.max_scratch = 32 << 10; /* so that nothing is measured, which is said second */
    assert_string_equal(profile_of_all(&source, -1, NULL, 1).name, "prior");
    assert_int_equal(doubles_said, 2);
}

static void only_rank_0_can_ask_for_a_measurement(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    own.profile = "auto";
    assert_string_equal(profile_of_all(&source, 3, &own, 2).name, "prior");
}

static void no_memory_to_measure_on_one_rank_gives_all_the_prior(void **context)
{
    (void)context;
    hm_settings_t own = doubles_settings;
    doubles_settings.profile = own.profile = "auto";
    doubles_settings.fit_sizes = own.fit_sizes = "4K,16K";
    own.test_fail_alloc = 2; /* the table's memory is there, that of the measurement is not */
    assert_string_equal(profile_of_all(&source, 2, &own, 2).name, "prior");
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "nothing was measured"));
}

static void too_little_scratch_to_measure_gives_all_the_prior(void **context)
{
    (void)context;
    doubles_settings.profile = "auto";
    doubles_settings.fit_sizes = "4K,16K";
    doubles_settings.max_scratch = 32 << 10; /* less than four times the second size */
    assert_string_equal(profile_of_all(&source, -1, NULL, 2).name, "prior");
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
    hm_profile_t profile = profile_of_all(&source, -1, NULL, 3);
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
    hm_profile_t again = profile_of_all(&source, -1, NULL, 1);
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
    hm_profile_t across = profile_of_all(&source, -1, NULL, 1);
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
    hm_profile_t before = profile_of_all(&source, -1, NULL, 1);
    doubles_settings.topo = "2,4";
    hm_profile_t after = profile_of_all(&source, -1, NULL, 1);
    assert_int_equal(before.groups[1], 4);
    assert_int_equal(after.groups[1], 2);
    /* Per byte on the wire: of 4 parts of a buffer 3 leave, of 2 one. */
    assert_string_equal(after.name, "measured");
    assert_float_equal(after.inter[1].beta_ms * 2 / (before.inter[1].beta_ms * 4 / 3), 1, 1e-9);
    assert_float_equal(after.intra[0].beta_ms * 2 / (before.intra[0].beta_ms * 4 / 3), 1, 1e-9);
    assert_float_equal(after.inter[1].alpha_ms, before.inter[1].alpha_ms, 1e-12);
    assert_float_equal(after.pack_ms, before.pack_ms, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sizes_not_understood_are_said, setup),
        cmocka_unit_test_setup(profile_that_cannot_be_written_is_said_and_used, setup),
        cmocka_unit_test_setup(only_rank_0_can_ask_for_a_measurement, setup),
        cmocka_unit_test_setup(no_memory_to_measure_on_one_rank_gives_all_the_prior, setup),
        cmocka_unit_test_setup(too_little_scratch_to_measure_gives_all_the_prior, setup),
        cmocka_unit_test_setup(a_measurement_fills_every_flavour, setup),
        cmocka_unit_test_setup(a_larger_communicator_is_measured_anew, setup),
        cmocka_unit_test_setup(communicator_across_nodes_is_measured_though_one_inside_came_first, setup),
        cmocka_unit_test_setup(wires_between_nodes_are_found_for_other_parts_of_nodes, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
