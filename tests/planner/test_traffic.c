/* What the cost model counts of a call, against the messages that the executor sends: to the byte, for every step,
 * level and rank. HM_TEST_SEED=N draws other cases. */
#include "planner_test.h"

#include "call/layout.h"
#include "call/traffic.h"

#define CASES 60

/* A dispatch, or a call along its way: without heads, back from the last step on. */
typedef enum way { WAY_OUT, WAY_AGAIN, WAY_BACK, WAYS } way_t;

/* Adds what a rank sends in one lane, slice by slice as exec.c does. */
static void messages_add(const hm_paths_t *paths, const hm_table_t *table, int me, size_t width, way_t way,
                         double *want)
{
    size_t n = (size_t)paths->topo->ranks;
    hm_route_t *route;
    hm_layout_t layout = {0, 0};
    assert_int_equal(route_create(paths, me, &route), 0);
    layout_fill(route, table, width, &layout);
    for (int i = 0; i < route->outs; i++) {
        const hm_message_t *message = &route->out[i];
        int step = way == WAY_BACK ? paths->depth - message->step : message->step - 1;
        double *kind = want + (size_t)(step * paths->depth + message->level - 1) * 2 * n;
        for (int slice = 0; (size_t)(slice * paths->lanes) * width < table->row_bytes; slice++) {
            hm_piece_t piece = message_piece(table->row_bytes, width, slice * paths->lanes + paths->lane);
            double bytes = (double)message_span(message, slice, piece.width).bytes;
            if (way != WAY_OUT) bytes = (double)message->rows * (double)piece.width;
            kind[way == WAY_BACK ? message->peer : me] += bytes;
            kind[n + (size_t)(way == WAY_BACK ? me : message->peer)] += bytes;
        }
    }
    route_destroy(route);
}

static void check_depth(const hm_topo_t *topo, const hm_table_t *table, int depth, int lanes, int slices, way_t way)
{
    size_t n = (size_t)topo->ranks, words = 2 * (size_t)depth * (size_t)depth * n,
           scratch = traffic_scratch(topo, depth);
    size_t width = message_width(table->row_bytes, (size_t)(lanes * slices));
    double *got = malloc((words + scratch + 1) * sizeof(*got)), *want = calloc(words, sizeof(*want)), all = 0;
    assert_true(got != NULL && want != NULL);
    got[words + scratch] = 1234.5;
    for (int lane = 0; lane < lanes; lane++) {
        hm_paths_t *paths;
        assert_int_equal(paths_create(topo, depth, lane, lanes, &paths), 0);
        for (int r = 0; r < topo->ranks; r++) messages_add(paths, table, r, width, way, want);
        paths_destroy(paths);
    }
    if (way == WAY_OUT)
        traffic_deep(topo, table, depth, lanes, width, got, got + words);
    else
        traffic_deep_kept(topo, table, depth, lanes, width, way == WAY_BACK, got, got + words);
    for (size_t i = 0; i < words; i++) {
        if (got[i] != want[i])
            fail_msg("%d ranks, depth %d, %d lanes, %d slices, entry %zu of %zu: %.0f bytes counted, %.0f sent",
                     topo->ranks, depth, lanes, slices, i, words, got[i], want[i]);
        all += want[i];
    }
    assert_true(all > 0 || topo->ranks == 1);
    assert_float_equal(got[words + scratch], 1234.5, 0); /* no more scratch than it says */
    free(want);
    free(got);
}

/* Depth 1 of a kept dispatch: distinct rows alone; back, every rank gets what it sent. */
static void check_flat_kept(const hm_topo_t *topo, const hm_table_t *table)
{
    size_t n = (size_t)topo->ranks;
    double *out = malloc(8 * n * sizeof(*out)), *back = out + 4 * n;
    assert_true(out != NULL);
    traffic_flat_kept(topo, table, true, false, out);
    traffic_flat_kept(topo, table, true, true, back);
    for (size_t r = 0; r < n; r++) {
        size_t rows = 0;
        for (int p = 0; p < topo->ranks; p++)
            rows += topo->order[p] == (int)r ? 0 : table_distinct(topo, table, (int)r, topo->levels, p);
        assert_float_equal(out[r] + out[2 * n + r], (double)(rows * table->row_bytes), 0);
        for (int inside = 0; inside < 2; inside++) {
            size_t sent = 2 * (size_t)inside * n, received = sent + n;
            assert_true(back[sent + r] == out[received + r] && back[received + r] == out[sent + r]);
        }
    }
    free(out);
}

/* Depth 1 as the flat count has it: apart by whether a message leaves the outermost group. */
static void check_flat(const hm_topo_t *topo, const hm_table_t *table)
{
    size_t n = (size_t)topo->ranks;
    double *got = malloc(4 * n * sizeof(*got)), *want = calloc(4 * n, sizeof(*want));
    hm_paths_t *paths;
    assert_true(got != NULL && want != NULL);
    assert_int_equal(paths_create(topo, 1, 0, 1, &paths), 0);
    for (int me = 0; me < topo->ranks; me++) {
        hm_route_t *route;
        hm_layout_t layout = {0, 0};
        assert_int_equal(route_create(paths, me, &route), 0);
        layout_fill(route, table, table->row_bytes, &layout);
        for (int i = 0; i < route->outs; i++) {
            const hm_message_t *message = &route->out[i];
            double *kind = want + (topo->group[1][me] == topo->group[1][message->peer] ? 2 * n : 0);
            kind[me] += (double)message_span(message, 0, table->row_bytes).bytes;
            kind[n + (size_t)message->peer] += (double)message_span(message, 0, table->row_bytes).bytes;
        }
        route_destroy(route);
    }
    traffic_flat(topo, table, true, got);
    for (size_t i = 0; i < 4 * n; i++) assert_float_equal(got[i], want[i], 0);
    check_flat_kept(topo, table);
    traffic_flat(topo, table, false, got);
    for (int me = 0; me < topo->ranks; me++) {
        size_t sent = 0;
        for (int r = 0; r < topo->ranks; r++) sent += r == me ? 0 : table_raw(topo, table, me, r);
        assert_float_equal(got[me] + got[2 * n + (size_t)me], (double)(sent * table->row_bytes), 0);
    }
    paths_destroy(paths);
    free(want);
    free(got);
}

/* All depths of a topology, each in one lane and in as many as there are. */
static void check_topo(hm_topo_t *topo, const char *routing, int experts, int top_k, size_t row_bytes, int slices)
{
    test_batch_t batch;
    test_batch_create(&batch, topo, routing, experts, top_k, 50, 4);
    batch.table.row_bytes = row_bytes;
    check_flat(topo, &batch.table);
    for (int depth = 1; depth <= topo->levels; depth++) {
        for (way_t way = WAY_OUT; way < WAYS; way++) {
            check_depth(topo, &batch.table, depth, 1, slices, way);
            if (depth > 1 && topo_lanes(topo) > 1)
                check_depth(topo, &batch.table, depth, topo_lanes(topo), slices, way);
        }
    }
    test_batch_destroy(&batch);
    topo_destroy(topo);
}

static void test_counts_are_the_bytes_of_all_messages(void **state)
{
    (void)state;
    check_topo(test_topo("4,2,2,2", 32), "uniform", 64, 8, 4096, 1);
    check_topo(test_topo("3,2,2", 12), "zipf:1", 24, 4, 4096, 3);
    check_topo(test_topo("6", 6), "uniform", 12, 3, 4096, 1);
    check_topo(test_topo("2,8", 16), "uniform", 16, 8, 2048, 4);
    check_topo(test_topo_scattered(13, 3, 1), "zipf:1", 26, 4, 4096, 2);
    check_topo(test_topo_scattered(17, 4, 2), "uniform", 34, 6, 4096, 1);
}

static int below(int n)
{
    return rand() % n;
}

/* Nodes of one size, so that there are lanes, whose ranks are dealt at random; two levels inside some of them. */
static hm_topo_t *topo_draw(int nodes, int size, bool inner)
{
    int ranks = nodes * size, *place = malloc((size_t)ranks * sizeof(*place));
    uint64_t *keys = malloc(2 * (size_t)ranks * sizeof(*keys));
    hm_topo_t *topo = NULL;
    assert_true(place != NULL && keys != NULL);
    for (int r = 0; r < ranks; r++) place[r] = r;
    for (int r = ranks - 1; r > 0; r--) {
        int other = below(r + 1), swapped = place[r];
        place[r] = place[other];
        place[other] = swapped;
    }
    for (int r = 0; r < ranks; r++) {
        keys[r] = (uint64_t)(place[r] / size);
        keys[ranks + r] = (uint64_t)below(3);
    }
    const uint64_t *key[2] = {keys, keys + ranks};
    assert_int_equal(topo_create(ranks, inner ? 2 : 1, key, &topo), 0);
    free(keys);
    free(place);
    return topo;
}

/* Rows that are no multiple of 16 bytes or have fewer pieces than lanes, ranks that nobody's tokens choose, uneven
 * groups within nodes. */
static void test_random_calls_in_lanes_and_slices(void **state)
{
    static const size_t sizes[] = {32, 33, 100, 512, 1030, 4096};
    static const char *const routings[] = {"uniform", "zipf:1.5", "zipf:4"};
    const char *seed = getenv("HM_TEST_SEED");
    int in_lanes = 0, deep = 0;
    (void)state;
    srand(seed != NULL ? (unsigned)atoi(seed) : 5);
    for (int i = 0; i < CASES; i++) {
        int nodes = 2 + below(4), size = 2 + below(HM_MAX_LANES - 1), experts = nodes * size * (1 + below(2));
        hm_topo_t *topo = topo_draw(nodes, size, below(2));
        if (below(6) == 0) {
            topo_destroy(topo);
            topo = test_topo_scattered(nodes * size, nodes, (unsigned)i);
        }
        in_lanes += topo_lanes(topo) > 1;
        deep += topo_lanes(topo) > 1 && topo->levels > 2;
        check_topo(topo, routings[below(3)], experts, 1 + below(experts < 8 ? experts : 8), sizes[below(6)],
                   1 + below(5));
    }
    assert_true(in_lanes > CASES / 2 && deep > CASES / 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_the_bytes_of_all_messages),
        cmocka_unit_test(test_random_calls_in_lanes_and_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
