/* Description: topologies from keys and from specs, rail peers, routes that reach every rank by one hop. */
#include "../../planner/call/layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void spec_becomes_levels(void **context)
{
    (void)context;
    hm_topo_t *topo;
    const char *why = NULL;
    assert_int_equal(topo_parse("4,2,2", 16, &topo, &why), 0);
    assert_int_equal(topo->levels, 3);
    assert_int_equal(topo->groups[1], 4);
    assert_int_equal(topo->groups[2], 8);
    assert_int_equal(topo->groups[3], 16);
    assert_int_equal(topo->group[1][5], 1);
    assert_int_equal(topo->group[2][5], 2);
    assert_int_equal(topo_group_size(topo, 1, 3), 4);
    topo_destroy(topo);
}

static void levels_that_group_nothing_are_dropped(void **context)
{
    (void)context;
    hm_topo_t *topo;
    const char *why = NULL;
    assert_int_equal(topo_parse("1,4,1,2,1", 8, &topo, &why), 0);
    assert_int_equal(topo->levels, 2);
    assert_int_equal(topo->groups[1], 4);
    topo_destroy(topo);
    assert_int_equal(topo_parse("8", 8, &topo, &why), 0);
    assert_int_equal(topo->levels, 1);
    topo_destroy(topo);
}

/* One rank on each machine, two by two on the same socket number: those have nothing in common. */
static void ranks_of_different_machines_share_nothing_below(void **context)
{
    (void)context;
    static const uint64_t machine[] = {11, 12, 13, 14}, socket[] = {1, 1, 2, 2};
    hm_topo_t *topo;
    assert_int_equal(topo_create(4, 2, (const uint64_t *const[]){machine, socket}, &topo), 0);
    assert_int_equal(topo->levels, 1);
    assert_int_equal(topo->groups[1], 4);
    topo_destroy(topo);
}

static void bad_specs_say_what_was_expected(void **context)
{
    (void)context;
    static const char *const bad[] = {
        "", "4,", ",2", "4,x", "-4,2", "4 2", "0,8", "1,1,1,1,1,1,8", "99999999999999999999", "4,4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        hm_topo_t *topo = NULL;
        const char *why = NULL;
        assert_true(topo_parse(bad[i], 8, &topo, &why) < 0);
        assert_null(topo);
        assert_non_null(why);
    }
}

static void interleaved_ranks_line_up(void **context)
{
    (void)context;
    static const uint64_t node[] = {7, 3, 7, 3, 9, 7};
    hm_topo_t *topo;
    assert_int_equal(topo_create(6, 1, (const uint64_t *const[]){node}, &topo), 0);
    static const int order[] = {0, 2, 5, 1, 3, 4};
    for (int p = 0; p < 6; p++) {
        assert_int_equal(topo->order[p], order[p]);
        assert_int_equal(topo->pos[order[p]], p);
    }
    assert_int_equal(topo->groups[1], 3);
    /* Rank 5 is third of its node: third counted round in a node of two is the first, rank 1. */
    assert_int_equal(topo_rail_peer(topo, 1, 1, 5), 1);
    assert_int_equal(topo_rail_peer(topo, 1, 0, 3), 2);
    assert_int_equal(topo_rail_peer(topo, 1, 2, 3), 4);
    topo_destroy(topo);
}

/* Walks every path backwards: it must lead to the source, step by step, by levels that fall. */
static void paths_check(const hm_paths_t *paths)
{
    int n = paths->topo->ranks;
    for (int s = 0; s < n; s++)
        for (int r = 0; r < n; r++) {
            hm_path_t at = paths->path[s * n + r];
            assert_true(at.step <= paths->depth);
            while (at.prev >= 0 && at.step > 0) {
                hm_path_t before = paths->path[s * n + at.prev];
                assert_int_equal(before.step, at.step - 1);
                assert_true(before.level < at.level);
                at = before;
            }
            assert_int_equal(at.step, 0);
        }
}

/* Every outgoing message of a rank is an incoming one of its peer, with the same sources. */
static void routes_match(hm_route_t **route, int n)
{
    for (int r = 0; r < n; r++)
        for (int i = 0; i < route[r]->outs; i++) {
            const hm_message_t *out = &route[r]->out[i], *in = NULL;
            const hm_route_t *peer = route[out->peer];
            for (int j = 0; j < peer->ins; j++)
                if (peer->in[j].peer == r && peer->in[j].step == out->step) in = &peer->in[j];
            assert_non_null(in);
            assert_int_equal(in->parts, out->parts);
            assert_int_equal(in->first, out->first);
            assert_int_equal(in->count, out->count);
            for (int p = 0; p < out->parts; p++)
                assert_int_equal(route[r]->part[out->part + p].source, peer->part[in->part + p].source);
        }
}

/* All lanes of a depth; every map goes once, and as soon as the first row that needs it. */
static void lanes_check(const hm_topo_t *topo, int depth, int lanes)
{
    hm_paths_t *paths[HM_MAX_LANES];
    hm_route_t *route[24];
    int n = topo->ranks;
    for (int lane = 0; lane < lanes; lane++) {
        assert_int_equal(paths_create(topo, depth, lane, lanes, &paths[lane]), 0);
        paths_check(paths[lane]);
        for (int r = 0; r < n; r++) assert_int_equal(route_create(paths[lane], r, &route[r]), 0);
        routes_match(route, n);
        for (int r = 0; r < n; r++) route_destroy(route[r]);
    }
    for (int i = 0; i < n * n; i++) {
        int maps = 0, soonest = depth, carried = 0;
        for (int lane = 0; lane < lanes; lane++) {
            bool here = paths_map_here(paths[lane], i / n, i % n);
            int step = paths[lane]->path[i].step;
            maps += here;
            if (here) carried = step;
            if (step < soonest) soonest = step;
        }
        assert_int_equal(maps, 1);
        assert_true(carried <= soonest);
    }
    for (int lane = 0; lane < lanes; lane++) paths_destroy(paths[lane]);
}

static void routes_meet_on_odd_layouts(void **context)
{
    (void)context;
    srand(5);
    for (int try = 0; try < 200; try++) {
        uint64_t key[3][24];
        int n = 1 + rand() % 24;
        for (int l = 0; l < 3; l++)
            for (int r = 0; r < n; r++) key[l][r] = (uint64_t)(rand() % 4);
        hm_topo_t *topo;
        assert_int_equal(topo_create(n, 3, (const uint64_t *const[]){key[0], key[1], key[2]}, &topo), 0);
        for (int depth = 1; depth <= topo->levels; depth++) {
            lanes_check(topo, depth, 1);
            if (depth > 1 && topo_lanes(topo) > 1) lanes_check(topo, depth, topo_lanes(topo));
        }
        topo_destroy(topo);
    }
}

static void lanes_go_by_every_rank_of_a_node(void **context)
{
    (void)context;
    static const struct {
        const char *spec;
        int ranks, lanes;
    } cases[] = {{"2,2", 4, 2}, {"3,4", 12, 4}, {"2,2,3", 12, 6}, {"2,9", 18, 1}, {"8", 8, 1}, {"2,8", 16, 8}};
    hm_topo_t *many;
    const char *refused;
    assert_int_equal(topo_parse("65,4", 260, &many, &refused), 0);
    assert_int_equal(topo_lanes(many), 1); /* routes of all lanes would take long to make */
    topo_destroy(many);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hm_topo_t *topo;
        hm_paths_t *paths;
        const char *why;
        assert_int_equal(topo_parse(cases[i].spec, cases[i].ranks, &topo, &why), 0);
        int lanes = topo_lanes(topo);
        assert_int_equal(lanes, cases[i].lanes);
        for (int depth = 2; depth <= topo->levels; depth++) lanes_check(topo, depth, lanes);
        assert_int_equal(paths_create(topo, 1, 0, 2, &paths), -EINVAL);
        assert_int_equal(paths_create(topo, topo->levels, lanes, lanes, &paths), -EINVAL);
        /* Of the rows of rank 0 for the second node, lane 1 goes by that node's second rank. */
        if (lanes > 1) {
            int first = topo->order[topo->start[1][1]];
            assert_int_equal(paths_create(topo, 2, 1, lanes, &paths), 0);
            assert_int_equal(paths->path[first + 1].prev, 0);
            assert_int_equal(paths->path[first].prev, first + 1);
            paths_destroy(paths);
        }
        topo_destroy(topo);
    }
}

/* What a rank's messages and lists take in all lanes of a depth, and the places of its distinct rows for each of the
 * others. */
static size_t rank_bytes(hm_paths_t *const *paths, const hm_table_t *table, uint32_t distinct, int me, size_t width)
{
    hm_layout_t layout = {0, 0};
    size_t lists = (size_t)(paths[0]->topo->ranks - 1) * message_align(distinct * sizeof(uint32_t));
    for (int lane = 0; lane < paths[0]->lanes; lane++) {
        hm_route_t *route;
        assert_int_equal(route_create(paths[lane], me, &route), 0);
        layout_fill(route, table, width, &layout);
        for (int p = 0; p < route->parts; p++) lists += message_align(route->part[p].rows * sizeof(uint32_t));
        route_destroy(route);
    }
    return layout.out_bytes + layout.in_bytes + lists;
}

/* The bound that all ranks share is no less than what any rank takes, and little more than what one does. */
static void layout_need_covers_every_rank(void **context)
{
    (void)context;
    srand(11);
    static const char *const specs[] = {"2,2", "3,4", "2,8", "2,2,3", "4,2,2", "12"};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        static const int ranks[] = {4, 12, 16, 12, 16, 12};
        hm_topo_t *topo;
        const char *why;
        int n = ranks[i];
        uint32_t raw[16 * 16], counts[HM_MAX_LEVELS + 1][16 * 16], distinct[16];
        hm_table_t table = {.row_bytes = 4096, .raw = raw};
        size_t work[16];
        assert_int_equal(topo_parse(specs[i], n, &topo, &why), 0);
        for (int j = 0; j < n * n; j++) raw[j] = (uint32_t)(rand() % 3 ? rand() % 200 : 0);
        for (int s = 0; s < n; s++) distinct[s] = 100 * (uint32_t)n;
        for (int l = topo->levels; l > 0; l--) {
            memset(counts[l], 0, sizeof counts[l]);
            for (int s = 0; s < n; s++)
                for (int r = 0; r < n; r++)
                    counts[l][s * topo->groups[l] + topo->group[l][r]] += (raw[s * n + r] + 1) / 2;
            table.distinct[l] = counts[l];
        }
        for (int round = 0; round < 2 * topo->levels; round++) {
            int depth = 1 + round / 2, lanes = depth > 1 && round % 2 ? topo_lanes(topo) : 1;
            size_t width = 4096 / (size_t)lanes, most = 0;
            hm_paths_t *paths[HM_MAX_LANES];
            for (int c = 0; c < lanes; c++) assert_int_equal(paths_create(topo, depth, c, lanes, &paths[c]), 0);
            for (int r = 0; r < n; r++) {
                size_t bytes = rank_bytes(paths, &table, distinct[r], r, width);
                most = bytes > most ? bytes : most;
            }
            size_t need = layout_need(paths, &table, distinct, width, work);
            assert_true(need >= most);
            assert_true(need < most + most / 8);
            for (int c = 0; c < lanes; c++) paths_destroy(paths[c]);
        }
        topo_destroy(topo);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec_becomes_levels),
        cmocka_unit_test(levels_that_group_nothing_are_dropped),
        cmocka_unit_test(ranks_of_different_machines_share_nothing_below),
        cmocka_unit_test(bad_specs_say_what_was_expected),
        cmocka_unit_test(interleaved_ranks_line_up),
        cmocka_unit_test(routes_meet_on_odd_layouts),
        cmocka_unit_test(lanes_go_by_every_rank_of_a_node),
        cmocka_unit_test(layout_need_covers_every_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
