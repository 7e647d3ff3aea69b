#include "planner_test.h"

#include <errno.h>

/* A measured profile of 4 x 2 ranks: starts up for 1 ms, bends at 10 MB, gets cheaper at 40 MB. */
static hm_profile_t usual_profile(void)
{
    return (hm_profile_t){.name = "a start",
                          .device = "GPU",
                          .versions = "1",
                          .transport = "tcp",
                          .levels = 2,
                          .groups = {1, 4, 8},
                          .intra = {{2, 1.4e-7, 0.99, 7, 9e6, 4e7, -1e-8}, {0.06, 6e-9, 1, 7, 0, 0, 0}},
                          .inter = {{0}, {1, 1.6e-7, 0.99, 7, 6e6, 0, 0}},
                          .alone_ms = {0, 4e-8},
                          .few_ms = {0, 8e-8},
                          .agree_ms = 0.6,
                          .identify_ms = 7e-10,
                          .pack_ms = 2e-9};
}

/* A start in which everything takes `factor` times as long. */
static hm_profile_t scaled(double factor)
{
    hm_profile_t p = usual_profile();
    hm_link_t *links[] = {&p.intra[0], &p.intra[1], &p.inter[1]};
    for (size_t i = 0; i < 3; i++)
        links[i]->alpha_ms *= factor, links[i]->beta_ms *= factor, links[i]->turn_ms *= factor;
    p.alone_ms[1] *= factor, p.few_ms[1] *= factor;
    p.agree_ms *= factor, p.identify_ms *= factor, p.pack_ms *= factor;
    return p;
}

/* The same times at all sizes to 2 %, the same shares and numbers. */
static void assert_near(const hm_profile_t *made, const hm_profile_t *want)
{
    for (double bytes = 262144; bytes <= 268435456; bytes *= 1.3) {
        assert_float_equal(link_ms(&made->intra[0], bytes) / link_ms(&want->intra[0], bytes), 1, 0.02);
        assert_float_equal(link_ms(&made->intra[1], bytes) / link_ms(&want->intra[1], bytes), 1, 0.02);
        assert_float_equal(link_ms(&made->inter[1], bytes) / link_ms(&want->inter[1], bytes), 1, 0.02);
    }
    assert_float_equal(made->alone_ms[1] / made->inter[1].beta_ms, want->alone_ms[1] / want->inter[1].beta_ms, 1e-9);
    assert_float_equal(made->few_ms[1] / made->inter[1].beta_ms, want->few_ms[1] / want->inter[1].beta_ms, 1e-9);
    assert_float_equal(made->agree_ms, want->agree_ms, 1e-12);
    assert_float_equal(made->identify_ms, want->identify_ms, 1e-15);
    assert_float_equal(made->pack_ms, want->pack_ms, 1e-15);
}

static void test_odd_starts_do_not_count(void **state)
{
    (void)state;
    hm_profile_t want = usual_profile(), made;
    hm_profile_t starts[5] = {scaled(1.5), scaled(1), scaled(0.4), scaled(1), scaled(3)};
    assert_int_equal(profile_middle(starts + 1, 1, &made), 0);
    assert_near(&made, &want);
    assert_int_equal(profile_middle(starts, 3, &made), 0);
    assert_near(&made, &want);
    assert_int_equal(made.inter[1].samples, 21);
    assert_int_equal(profile_middle(starts, 5, &made), 0);
    assert_near(&made, &want);
    want = scaled(1.25);
    assert_int_equal(profile_middle(starts, 2, &made), 0);
    assert_near(&made, &want);
    assert_string_equal(made.device, "GPU");
    assert_string_equal(made.name, "a start");
}

/* Each size has its own median: a start that is slow at small sizes only is right at large ones. */
static void test_sizes_are_taken_one_by_one(void **state)
{
    (void)state;
    hm_profile_t want = usual_profile(), made;
    hm_profile_t starts[3] = {scaled(1), scaled(1), scaled(1)};
    starts[0].inter[1].alpha_ms += 2;
    starts[1].inter[1].beta_ms *= 3;
    assert_int_equal(profile_middle(starts, 3, &made), 0);
    for (double bytes = 262144; bytes <= 268435456; bytes *= 1.3) {
        double ms = link_ms(&made.inter[1], bytes);
        assert_true(ms >= 0.98 * link_ms(&want.inter[1], bytes));
        assert_true(ms <= 1.02 * link_ms(&starts[0].inter[1], bytes));
        assert_true(bytes < 1e8 || ms < 0.5 * link_ms(&starts[1].inter[1], bytes));
    }
}

static void test_what_was_not_measured_stays_so(void **state)
{
    (void)state;
    hm_topo_t *topo = test_topo("4,2", 8);
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {0, HM_WIRE_NET, HM_WIRE_NVLINK};
    int map[HM_MAX_LEVELS + 1];
    hm_profile_t starts[2], made;
    profile_prior(topo, wire, NULL, &starts[0]);
    starts[1] = starts[0];
    assert_int_equal(profile_middle(starts, 2, &made), 0);
    assert_int_equal(made.intra[0].samples, 0);
    assert_true(isnan(made.intra[0].r2));
    profile_map(&made, topo, map);
    assert_float_equal(profile_alone(&made, map, 1), 1, 0);
    assert_float_equal(profile_shared(&made, map, 1), 0, 0);
    topo_destroy(topo);
}

static void test_other_clusters_and_links_without_time_are_refused(void **state)
{
    (void)state;
    hm_profile_t starts[2] = {scaled(1), scaled(1)}, made = {.agree_ms = 77};
    assert_int_equal(profile_middle(starts, 0, &made), -EINVAL);
    starts[1].groups[1] = 2;
    assert_int_equal(profile_middle(starts, 2, &made), -EINVAL);
    starts[1] = starts[0];
    starts[0].intra[1] = starts[1].intra[1] = (hm_link_t){0};
    assert_int_equal(profile_middle(starts, 2, &made), -EINVAL);
    assert_float_equal(made.agree_ms, 77, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_starts_do_not_count),
        cmocka_unit_test(test_sizes_are_taken_one_by_one),
        cmocka_unit_test(test_what_was_not_measured_stays_so),
        cmocka_unit_test(test_other_clusters_and_links_without_time_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
