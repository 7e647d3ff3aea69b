/* Profiles from makers' figures. */
#include "planner_test.h"
#include "wires/hardware.h"

#include <errno.h>
#include <string.h>

static void make(const char *name, const char *spec, int ranks, hm_topo_t **topo, hm_profile_t *profile)
{
    const char *why;
    hm_hardware_t hardware;
    assert_int_equal(topo_parse(spec, ranks, topo, &why), 0);
    assert_int_equal(hardware_parse(name, &hardware, &why), 0);
    hardware_profile(&hardware, *topo, profile);
}

/* ms of so many bytes leaving each rank of 16 nodes over a link between nodes of 46 GB/s: 400 Gb/s, 92 % of them. */
static void test_bytes_between_nodes_go_at_the_networks_speed(void **state)
{
    (void)state;
    hm_topo_t *topo;
    hm_profile_t profile;
    make("h100-ib400", "16,8", 128, &topo, &profile);
    assert_string_equal(profile.name, "h100-ib400");
    double leaving = 1e9 * 15 / 16;
    assert_float_equal(link_wire_ms(&profile.inter[1], 1e9), leaving / 46e6, 1e-6);
    assert_float_equal(link_wire_ms(&profile.intra[1], 1e9), 1e9 * 7 / 8 / 261e6, 1e-6);
    assert_true(profile_within_node(&profile) == false);
    topo_destroy(topo);
}

static void test_one_node_has_no_network(void **state)
{
    (void)state;
    hm_topo_t *topo;
    hm_profile_t profile;
    make("b200-roce400", "8", 8, &topo, &profile);
    assert_int_equal(profile.levels, 1);
    assert_float_equal(link_wire_ms(&profile.intra[0], 1e9), 1e9 * 7 / 8 / 522e6, 1e-6);
    assert_true(profile_within_node(&profile));
    topo_destroy(topo);
}

/* Twice the network's speed halves the wire's time; a slower card reads its rows longer. */
static void test_figures_scale(void **state)
{
    (void)state;
    hm_topo_t *topo, *other;
    hm_profile_t slow, fast;
    make("a100-efa50", "4,8", 32, &topo, &slow);
    make("h200-efa100", "4,8", 32, &other, &fast);
    assert_float_equal(slow.inter[1].beta_ms, 2 * fast.inter[1].beta_ms, 1e-15);
    assert_float_equal(slow.inter[1].alpha_ms, fast.inter[1].alpha_ms, 0);
    assert_float_equal(slow.identify_ms / fast.identify_ms, 4.8 / 2.04, 1e-9);
    topo_destroy(topo);
    topo_destroy(other);
}

static void test_bad_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"",         "h100",       "h100-",         "h100-ib",      "h100-ib0",
                                        "h100-ibx", "v100-ib400", "h100-myrinet4", "h100-ib400g",  "h100-ib-400",
                                        "-ib400",   "h100-ib1e3", "h100 -ib400",   "h100-ib4.0.0", "h100-ib999999"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *why = NULL;
        hm_hardware_t hardware = {.net_gbit_per_s = 7};
        assert_int_equal(hardware_parse(names[i], &hardware, &why), -EINVAL);
        assert_non_null(strstr(why, "such as h100-ib400"));
        assert_float_equal(hardware.net_gbit_per_s, 7, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_between_nodes_go_at_the_networks_speed),
        cmocka_unit_test(test_one_node_has_no_network),
        cmocka_unit_test(test_figures_scale),
        cmocka_unit_test(test_bad_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
