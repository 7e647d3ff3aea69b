/* A profile that serves another topology than it was measured on. */
#include "planner_test.h"

#include "wires/profile.h"

#include <stdio.h>
#include <string.h>

static void assert_map(const char *spec, int ranks, bool inside, int first, int second, int third)
{
    hm_topo_t *topo = test_topo(spec, ranks);
    int map[HM_MAX_LEVELS + 1], wanted[] = {first, second, third};
    profile_map(profile_builtin("a6000-4x8"), topo, inside, map);
    for (int l = 0; l < 3 && wanted[l] >= 0; l++) assert_int_equal(map[l], wanted[l]);
    topo_destroy(topo);
}

/* 4 nodes of 2 sockets of 2 pairs. "4,2" was once taken for a node, so that no plan saw its network. */
static void test_outermost_levels_meet_and_others_by_size(void **state)
{
    (void)state;
    assert_map("4,2,2,2", 32, false, 0, 1, 2);
    assert_map("64,2,2,2", 512, false, 0, 1, 2);
    assert_map("4,8", 32, false, 0, 1, -1);
    assert_map("2,64", 128, false, 0, 1, -1);
    assert_map("4,2", 8, false, 0, 3, -1);
    assert_map("8,4", 32, false, 0, 2, -1);
    assert_map("8", 8, false, 0, -1, -1);
    assert_map("2,2,2", 8, true, 1, 2, 3);
    assert_map("8", 8, true, 1, -1, -1);
    assert_map("16", 16, true, 1, -1, -1);
    assert_map("2", 2, true, 3, -1, -1);
}

static void assert_link_equal(const hm_link_t *one, const hm_link_t *other)
{
    assert_float_equal(one->alpha_ms, other->alpha_ms, 1e-12);
    assert_float_equal(one->beta_ms * 1e9, other->beta_ms * 1e9, 1e-9);
}

/* The same wires: what a profile of some nodes says of others is what a guess for those says. */
static void test_betas_follow_the_number_of_groups(void **state)
{
    (void)state;
    static const char *const specs[] = {"2,8", "4,8", "16,8"};
    static const int ranks[] = {16, 32, 128};
    const hm_wire_t wire[HM_MAX_LEVELS + 1] = {0, HM_WIRE_NET, HM_WIRE_NVLINK};
    for (int from = 0; from < 3; from++)
        for (int to = 0; to < 3; to++) {
            hm_topo_t *measured = test_topo(specs[from], ranks[from]), *topo = test_topo(specs[to], ranks[to]);
            hm_profile_t profile, wanted, room;
            profile_prior(measured, wire, NULL, &profile);
            profile_prior(topo, wire, NULL, &wanted);
            const hm_profile_t *here = profile_adapt(&profile, topo, false, &room);
            assert_ptr_equal(here, from == to ? &profile : &room);
            assert_link_equal(&here->intra[0], &wanted.intra[0]);
            assert_link_equal(&here->inter[1], &wanted.inter[1]);
            assert_link_equal(&here->intra[1], &wanted.intra[1]);
            topo_destroy(topo);
            topo_destroy(measured);
        }
}

/* Bytes and slopes on both sides of a bend move together: the same bytes on the wire take as long. */
static void test_bends_follow_the_number_of_groups(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("16,2", 32);
    hm_profile_t room, profile = {.levels = 2, .groups = {1, 2, 4}};
    profile.inter[1] =
        (hm_link_t){.alpha_ms = 1, .beta_ms = 1e-6, .free_bytes = 1e6, .turn_bytes = 3e6, .turn_ms = 5e-7};
    profile.intra[0] = profile.intra[1] = profile.inter[1];
    const hm_profile_t *here = profile_adapt(&profile, topo, false, &room);
    for (double wire = 0; wire < 4e6; wire += 2e5) {
        double wanted = link_ms(&profile.inter[1], wire * 2);
        assert_float_equal(link_ms(&here->inter[1], wire * 16 / 15), wanted, 1e-9);
        assert_float_equal(link_ms(&here->intra[0], wire * 16 / 15), wanted, 1e-9);
        assert_float_equal(link_ms(&here->intra[1], wire * 2), wanted, 1e-9);
    }
    topo_destroy(topo);
}

static void test_a_profile_inside_a_node_is_told_by_its_transport(void **state)
{
    (void)state;
    static const char *const within[] = {"nvlink", "pci", "shm"}, *const between[] = {"net", "tcp", "ib 200 Gb/s"};
    for (int i = 0; i < 3; i++) {
        hm_profile_t profile = {.levels = 1};
        snprintf(profile.transport, sizeof(profile.transport), "%s", within[i]);
        assert_true(profile_within_node(&profile));
        snprintf(profile.transport, sizeof(profile.transport), "%s", between[i]);
        assert_false(profile_within_node(&profile));
    }
}

static void test_other_groups_share_a_wire_as_far(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        int ranks;
    } others[] = {{"3,2", 6}, {"2,8", 16}, {"5,2", 10}, {"4,2", 8}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        hm_topo_t *topo = test_topo(others[i].spec, others[i].ranks);
        hm_profile_t room, profile = {.levels = 2, .groups = {1, 4, 8}, .few_ms = {0, 0.8}, .alone_ms = {0, 0.6}};
        profile.inter[1].beta_ms = 1;
        assert_float_equal(profile_shared(&profile, 1), 0.4, 1e-12);
        const hm_profile_t *here = profile_adapt(&profile, topo, false, &room);
        assert_memory_equal(here->groups, topo->groups, ((size_t)topo->levels + 1) * sizeof(int));
        assert_float_equal(profile_shared(here, 1), 0.4, 1e-12);
        assert_float_equal(profile_alone(here, 1), 0.6, 1e-12);
        topo_destroy(topo);
    }
}

/* What was measured the wrong way round, or of one group in three, is held within bounds. */
static void test_shares_of_wires_stay_shares(void **state)
{
    (void)state;
    hm_profile_t profile = {.levels = 2, .groups = {1, 3, 12}};
    profile.inter[1].beta_ms = 1e-6;
    assert_float_equal(profile_alone(&profile, 1), 1, 0);
    assert_float_equal(profile_shared(&profile, 1), 0, 0);
    profile.alone_ms[1] = 0.25e-6;
    profile.few_ms[1] = 0.9e-6; /* one of three is idle: all of its share is there to take */
    assert_float_equal(profile_alone(&profile, 1), 0.25, 1e-12);
    assert_float_equal(profile_shared(&profile, 1), 0.3, 1e-12);
    profile.alone_ms[1] = 1.5e-6;
    profile.few_ms[1] = 0.2e-6;
    assert_float_equal(profile_alone(&profile, 1), 1, 0);
    assert_float_equal(profile_shared(&profile, 1), 1, 0);
    profile.few_ms[1] = 1.1e-6;
    assert_float_equal(profile_shared(&profile, 1), 0, 0);
    assert_float_equal(profile_alone(&profile, 2), 1, 0); /* the innermost level has no such number */
}

/* Of 15 ranks in 4 groups, some group holds 4. */
static void test_uneven_groups_hold_what_the_largest_does(void **state)
{
    (void)state;
    hm_profile_t profile = {.levels = 3, .groups = {1, 2, 4, 15}};
    hm_topo_t *four = test_topo("4", 4), *five = test_topo("5", 5);
    int map[HM_MAX_LEVELS + 1];
    profile_map(&profile, four, true, map);
    assert_int_equal(map[0], 2);
    profile_map(&profile, five, true, map);
    assert_int_equal(map[0], 1);
    topo_destroy(four);
    topo_destroy(five);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares_of_wires_stay_shares),
        cmocka_unit_test(test_uneven_groups_hold_what_the_largest_does),
        cmocka_unit_test(test_outermost_levels_meet_and_others_by_size),
        cmocka_unit_test(test_betas_follow_the_number_of_groups),
        cmocka_unit_test(test_bends_follow_the_number_of_groups),
        cmocka_unit_test(test_a_profile_inside_a_node_is_told_by_its_transport),
        cmocka_unit_test(test_other_groups_share_a_wire_as_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
