#include "planner_test.h"

#include <errno.h>

/* A measured profile of 4 x 2 x 2 ranks: starts up for 1 ms, bends at 10 MB, gets cheaper at 40 MB. */
static hm_profile_t usual_profile(void)
{
    return (hm_profile_t){
        .name = "a start",
        .device = "GPU",
        .versions = "1",
        .transport = "tcp",
        .levels = 3,
        .groups = {1, 4, 8, 16},
        .intra = {{2, 1.4e-7, 0.99, 7, 9e6, 4e7, -1e-8}, {0.06, 6e-9, 1, 7, 0, 0, 0}, {0.03, 3e-9, 1, 7, 0, 4e8, 1e-9}},
        .inter = {{0}, {1, 1.6e-7, 0.99, 7, 6e6, 0, 0}, {0.05, 5e-9, 0.9, 7, 0, 0, 0}},
        .alone_ms = {0, 4e-8, 4e-9},
        .few_ms = {0, 8e-8, 0},
        .agree_ms = 0.6,
        .identify_ms = 7e-10,
        .pack_ms = 2e-9};
}

/* A start in which everything takes `factor` times as long. */
static hm_profile_t scaled(double factor)
{
    hm_profile_t p = usual_profile();
    hm_link_t *links[] = {&p.intra[0], &p.intra[1], &p.intra[2], &p.inter[1], &p.inter[2]};
    for (size_t i = 0; i < 5; i++) {
        links[i]->alpha_ms *= factor;
        links[i]->beta_ms *= factor;
        links[i]->turn_ms *= factor;
    }
    for (int l = 1; l <= 2; l++) p.alone_ms[l] *= factor, p.few_ms[l] *= factor;
    p.agree_ms *= factor, p.identify_ms *= factor, p.pack_ms *= factor;
    p.name[0] = factor > 1 ? 's' : factor < 1 ? 'f' : 'a';
    return p;
}

static void assert_link(const hm_link_t *made, const hm_link_t *want)
{
    assert_memory_equal(made, want, sizeof(*made));
}

static void assert_all(const hm_profile_t *made, const hm_profile_t *want)
{
    for (int l = 0; l < 3; l++) {
        assert_link(&made->intra[l], &want->intra[l]);
        if (l > 0) assert_link(&made->inter[l], &want->inter[l]);
        assert_float_equal(made->alone_ms[l], want->alone_ms[l], 0);
        assert_float_equal(made->few_ms[l], want->few_ms[l], 0);
    }
    assert_float_equal(made->agree_ms, want->agree_ms, 0);
    assert_float_equal(made->identify_ms, want->identify_ms, 0);
    assert_float_equal(made->pack_ms, want->pack_ms, 0);
}

static void test_odd_starts_do_not_count(void **state)
{
    (void)state;
    hm_profile_t want = usual_profile(), made;
    hm_profile_t starts[5] = {scaled(1.5), scaled(1), scaled(0.4), scaled(1), scaled(3)};
    assert_int_equal(profile_middle(starts + 1, 1, &made), 0);
    assert_all(&made, &want);
    assert_int_equal(profile_middle(starts, 3, &made), 0);
    assert_all(&made, &want);
    assert_string_equal(made.name, "s start");
    assert_int_equal(profile_middle(starts, 5, &made), 0);
    assert_all(&made, &want);
}

/* Neither of two is the usual one for its links; its numbers lie between. */
static void test_of_two_links_are_the_first_s_and_numbers_between(void **state)
{
    (void)state;
    hm_profile_t starts[2] = {scaled(1.5), scaled(1)}, made;
    assert_int_equal(profile_middle(starts, 2, &made), 0);
    assert_link(&made.intra[0], &starts[0].intra[0]);
    assert_float_equal(made.agree_ms, 1.25 * 0.6, 1e-12);
    assert_float_equal(made.identify_ms, 1.25 * 7e-10, 1e-21);
    assert_float_equal(made.pack_ms, 1.25 * 2e-9, 1e-21);
}

/* One start may be usual in one link and odd in another; what a few ranks pay comes with the link. */
static void test_links_are_judged_one_by_one(void **state)
{
    (void)state;
    hm_profile_t made, starts[3] = {scaled(1), scaled(1.1), scaled(0.9)};
    starts[0].inter[2].alpha_ms = 5; /* at small sizes only */
    starts[1].intra[1].beta_ms *= 7; /* at large ones only */
    starts[0].intra[2] = scaled(1.2).intra[2];
    assert_int_equal(profile_middle(starts, 3, &made), 0);
    assert_link(&made.intra[0], &starts[0].intra[0]);
    assert_link(&made.intra[1], &starts[0].intra[1]);
    assert_link(&made.intra[2], &starts[1].intra[2]);
    assert_link(&made.inter[1], &starts[0].inter[1]);
    assert_link(&made.inter[2], &starts[1].inter[2]);
    assert_float_equal(made.alone_ms[1], starts[0].alone_ms[1], 0);
    assert_float_equal(made.few_ms[1], starts[0].few_ms[1], 0);
    assert_float_equal(made.alone_ms[2], starts[1].alone_ms[2], 0);
}

/* Links of tests and priors may take no time at all, or none below a size. */
static void test_links_without_time_are_taken_as_they_are(void **state)
{
    (void)state;
    hm_profile_t made, starts[3] = {scaled(1), scaled(1), scaled(1)};
    for (int s = 0; s < 3; s++) {
        starts[s].intra[1] = (hm_link_t){0, 0, NAN, 0, 0, 0, 0};
        starts[s].intra[0] = (hm_link_t){0, s == 0 ? 9e-6 : 1e-6, NAN, 0, 1e6, 0, 0};
    }
    assert_int_equal(profile_middle(starts, 3, &made), 0);
    assert_link(&made.intra[1], &starts[0].intra[1]);
    assert_link(&made.intra[0], &starts[1].intra[0]);
}

static void test_other_clusters_are_refused(void **state)
{
    (void)state;
    hm_profile_t starts[3] = {scaled(1), scaled(1), scaled(1)}, made = {.agree_ms = 77};
    assert_int_equal(profile_middle(starts, 0, &made), -EINVAL);
    starts[2].groups[1] = 2;
    assert_int_equal(profile_middle(starts, 3, &made), -EINVAL);
    assert_float_equal(made.agree_ms, 77, 0);
    assert_int_equal(profile_middle(starts, 2, &made), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_starts_do_not_count),
        cmocka_unit_test(test_of_two_links_are_the_first_s_and_numbers_between),
        cmocka_unit_test(test_links_are_judged_one_by_one),
        cmocka_unit_test(test_links_without_time_are_taken_as_they_are),
        cmocka_unit_test(test_other_clusters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
