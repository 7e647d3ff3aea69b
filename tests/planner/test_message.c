/* What messages take, worked out by hand, and how the layout puts them into an area: aligned, one behind the other,
 * with no byte in two of them. */
#include "planner_test.h"

#include "call/layout.h"

static void test_heads_are_masks_and_maps(void **state)
{
    (void)state;
    /* One rank needs no mask; eight share a byte of it, nine take two. */
    assert_int_equal(message_masks_bytes(100, 1), 0);
    assert_int_equal(message_masks_bytes(100, 2), 112);
    assert_int_equal(message_masks_bytes(100, 8), 112);
    assert_int_equal(message_masks_bytes(100, 9), 208);
    assert_int_equal(message_masks_bytes(0, 9), 0);
    assert_int_equal(message_maps_bytes(0), 0);
    assert_int_equal(message_maps_bytes(4), 16);
    assert_int_equal(message_maps_bytes(5), 32);
    assert_int_equal(message_head_bytes(100, 5, 9), 208 + 32);
}

static void test_rows_are_cut_into_pieces_of_16_bytes(void **state)
{
    (void)state;
    assert_int_equal(message_width(4096, 1), 4096);
    assert_int_equal(message_width(4096, 4), 1024);
    assert_int_equal(message_width(4096, 5), 832); /* 819.2 up to a multiple of 16 */
    assert_int_equal(message_width(33, 1), 33);
    assert_int_equal(message_width(33, 2), 32);
    assert_int_equal(message_width(8, 4), 8);
    hm_piece_t last = message_piece(4096, 832, 4), behind = message_piece(4096, 832, 5);
    assert_int_equal(last.at, 3328);
    assert_int_equal(last.width, 768);
    assert_int_equal(behind.width, 0);
    /* Two lanes of three slices of 832, 832, ..., 768 and none. */
    assert_int_equal(message_lane_bytes(4096, 832, 2, 0), 832 + 832 + 768);
    assert_int_equal(message_lane_bytes(4096, 832, 2, 1), 832 + 832);
    assert_int_equal(message_lane_bytes(33, 32, 4, 3), 0);
}

static void test_the_first_slice_carries_the_head(void **state)
{
    (void)state;
    const hm_message_t message = {.at = 160, .head_bytes = 48, .rows = 3};
    hm_span_t first = message_span(&message, 0, 100), second = message_span(&message, 1, 60);
    assert_int_equal(first.at, 160);
    assert_int_equal(first.bytes, 48 + 300);
    assert_int_equal(second.at, 208);
    assert_int_equal(second.bytes, 180);
}

/* A part takes its head, its rows and up to 15 bytes of padding behind each of them. */
static void test_the_bound_of_a_part_covers_all_padding(void **state)
{
    static const size_t widths[] = {0, 1, 7, 16, 50};
    (void)state;
    for (size_t rows = 0; rows < 40; rows++)
        for (size_t raw = 0; raw < 8; raw++)
            for (int count = 1; count < 20; count++)
                for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
                    size_t takes = message_head_bytes(rows, raw, count) + message_align(rows * widths[w]);
                    assert_in_range(message_part_most(rows, raw, count, widths[w]), takes, takes + 4 * HM_ALIGN);
                }
}

/* Checks one area of a lane from `at` on; returns its end. */
static size_t area_check(const hm_route_t *route, const hm_message_t *messages, int count, const hm_table_t *table,
                         size_t width, size_t at)
{
    const hm_topo_t *topo = route->paths->topo;
    for (int i = 0; i < count; i++) {
        const hm_message_t *message = &messages[i];
        size_t rows = 0;
        assert_int_equal(message->at, at);
        assert_int_equal(at % HM_ALIGN, 0);
        for (int p = message->part; p < message->part + message->parts; p++) {
            const hm_part_t *part = &route->part[p];
            size_t mapped = 0;
            for (int q = message->first; q < message->first + message->count; q++)
                if (paths_map_here(route->paths, part->source, topo->order[q]))
                    mapped += table_raw(topo, table, part->source, topo->order[q]);
            assert_int_equal(part->mask_at, at);
            assert_int_equal(part->map_at, at + message_masks_bytes(part->rows, message->count));
            assert_int_equal(part->row_at, rows);
            at = part->map_at + message_maps_bytes(mapped);
            rows += part->rows;
        }
        assert_int_equal(message->head_bytes, at - message->at);
        assert_int_equal(message->rows, rows);
        at = message_align(at + rows * width);
    }
    return at;
}

/* All ranks and lanes of a depth; layout_need must hold what any rank's areas take. */
static void depth_check(const hm_topo_t *topo, const hm_table_t *table, int depth, int lanes, size_t width)
{
    hm_paths_t *paths[HM_MAX_LANES];
    uint32_t *distinct = calloc((size_t)topo->ranks, sizeof *distinct); /* no row lists: the areas alone */
    size_t *work = malloc((size_t)topo->ranks * sizeof *work), most = 0;
    assert_true(distinct != NULL && work != NULL);
    for (int l = 0; l < lanes; l++) assert_int_equal(paths_create(topo, depth, l, lanes, &paths[l]), 0);
    for (int me = 0; me < topo->ranks; me++) {
        hm_layout_t layout = {0, 0};
        size_t lists = 0;
        for (int l = 0; l < lanes; l++) {
            hm_route_t *route;
            hm_layout_t before = layout;
            assert_int_equal(route_create(paths[l], me, &route), 0);
            layout_fill(route, table, width, &layout);
            assert_int_equal(area_check(route, route->out, route->outs, table, width, before.out_bytes),
                             layout.out_bytes);
            assert_int_equal(area_check(route, route->in, route->ins, table, width, before.in_bytes), layout.in_bytes);
            for (int p = 0; p < route->parts; p++) lists += message_align(route->part[p].rows * sizeof(uint32_t));
            route_destroy(route);
        }
        if (layout.out_bytes + layout.in_bytes + lists > most) most = layout.out_bytes + layout.in_bytes + lists;
    }
    assert_true(layout_need(paths, table, distinct, width, work) >= most);
    for (int l = 0; l < lanes; l++) paths_destroy(paths[l]);
    free(work);
    free(distinct);
}

/* A token or two for each rank, so that next to all bytes are padding, and many. */
static void test_layouts_are_gapless_and_within_the_bound(void **state)
{
    static const char *const specs[] = {"2,2", "3,4", "2,8", "2,2,3", "4,2,2", "12"};
    static const int ranks[] = {4, 12, 16, 12, 16, 12};
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        hm_topo_t *topo = test_topo(specs[i], ranks[i]);
        for (size_t tokens = 1; tokens <= 49; tokens += 16) {
            test_batch_t batch;
            test_batch_create(&batch, topo, "uniform", 2 * ranks[i], 3, tokens, 7 + tokens);
            batch.table.row_bytes = 50;
            for (int depth = 1; depth <= topo->levels; depth++) {
                depth_check(topo, &batch.table, depth, 1, 50);
                depth_check(topo, &batch.table, depth, 1, 0);
                if (depth > 1 && topo_lanes(topo) > 1) depth_check(topo, &batch.table, depth, topo_lanes(topo), 16);
            }
            test_batch_destroy(&batch);
        }
        topo_destroy(topo);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_are_masks_and_maps),
        cmocka_unit_test(test_rows_are_cut_into_pieces_of_16_bytes),
        cmocka_unit_test(test_the_first_slice_carries_the_head),
        cmocka_unit_test(test_the_bound_of_a_part_covers_all_padding),
        cmocka_unit_test(test_layouts_are_gapless_and_within_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
