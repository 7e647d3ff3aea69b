/* Rows lie where Megatron and DeepSpeed put them; what one rank sends is what the other expects. */
#include "../layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Two ranks, four experts, top-2: small enough to write down. */
static uint16_t small_ids[] = {0, 2, 3, 2, 1, 0,  /* rank 0: tokens 0, 1, 2 */
                               3, 1, 3, 0, 0, 0}; /* rank 1: tokens 0, 1 */
static size_t small_tokens[] = {3, 2};
static const mp_routing_t small = {.ranks = 2,
                                   .layers = 1,
                                   .topk = 2,
                                   .experts = 4,
                                   .tokens = 3,
                                   .tokens_of = small_tokens,
                                   .expert = small_ids,
                                   .rank_stride = 6,
                                   .layer_stride = 6};

static void rows_equal(const uint32_t *rows, size_t count, const uint32_t *expected, size_t expected_count)
{
    assert_int_equal(count, expected_count);
    assert_memory_equal(rows, expected, count * sizeof(uint32_t));
}
#define ROWS_EQUAL(rows, count, ...) \
    rows_equal(rows, count, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void megatron_rows_are_sorted_by_expert_then_token(void **state)
{
    (void)state;
    mp_layout_t layout;
    assert_int_equal(layout_create(&small, 0, 0, false, 0, &layout), 0);
    ROWS_EQUAL(layout.send_token, layout.send_rows, 0, 2, 2, 0, 1, 1);
    ROWS_EQUAL(layout.recv_token, layout.recv_rows, 0, 2, 2, 1, 0);
    const size_t counts[] = {3, 3, 2, 2};
    assert_memory_equal(layout.counts, counts, sizeof(counts));
    layout_free(&layout);
    assert_int_equal(layout_create(&small, 0, 1, false, 0, &layout), 0);
    ROWS_EQUAL(layout.send_token, layout.send_rows, 1, 0, 0, 1);
    ROWS_EQUAL(layout.recv_token, layout.recv_rows, 0, 1, 1, 0, 1);
    layout_free(&layout);
}

static void deepspeed_rows_are_padded_with_zeros(void **state)
{
    (void)state;
    mp_layout_t layout;
    assert_int_equal(layout_create(&small, 0, 0, true, 0, &layout), 0);
    assert_int_equal(layout.capacity, 2);
    ROWS_EQUAL(layout.send_token, layout.send_rows, 0, 2, 2, MP_PAD, 0, 1, 1, MP_PAD);
    ROWS_EQUAL(layout.recv_token, layout.recv_rows, 0, 2, 2, MP_PAD, 1, MP_PAD, 0, MP_PAD);
    layout_free(&layout);
}

static void a_capacity_factor_drops_late_tokens(void **state)
{
    (void)state;
    mp_layout_t layout;
    assert_int_equal(layout_create(&small, 0, 0, true, 0.5, &layout), 0);
    assert_int_equal(layout.capacity, 1);
    ROWS_EQUAL(layout.send_token, layout.send_rows, 0, 2, 0, 1);
    layout_free(&layout);
}

static void what_is_sent_is_what_is_expected(void **state)
{
    (void)state;
    int64_t tokens_of[8] = {-1, 0, -1, 17, -1, -1, -1, -1};
    mp_options_t options = {.route = MP_ZIPF,
                            .zipf = 1.2,
                            .tokens = 300,
                            .experts = 32,
                            .topk = 4,
                            .layers = 1,
                            .seed = 5,
                            .ranks = 8,
                            .tokens_of = tokens_of};
    mp_routing_t routing;
    mp_layout_t layouts[8];
    assert_int_equal(routing_create(&options, &routing), 0);
    for (int padded = 0; padded < 2; padded++) {
        for (int r = 0; r < 8; r++) assert_int_equal(layout_create(&routing, 0, r, padded, 0, &layouts[r]), 0);
        size_t got[8] = {0};
        for (int s = 0; s < 8; s++) {
            size_t sent = 0;
            for (int r = 0; r < 8; r++) {
                size_t rows = layouts[0].counts[s * 8 + r];
                assert_memory_equal(layouts[s].send_token + sent, layouts[r].recv_token + got[r], rows * 4);
                sent += rows;
                got[r] += rows;
            }
            assert_int_equal(sent, layouts[s].send_rows);
        }
        for (int r = 0; r < 8; r++) {
            assert_int_equal(got[r], layouts[r].recv_rows);
            layout_free(&layouts[r]);
        }
    }
    routing_free(&routing);
}

static void volumes_count_each_token_once_per_gpu_and_node(void **state)
{
    (void)state;
    const int node_of[] = {0, 1};
    mp_volume_t volume;
    assert_int_equal(volume_create(2, &volume), 0);
    assert_int_equal(volume_add(&volume, &small, 0, 0, node_of, 1), 0);
    assert_true(volume.off_rank == 5 && volume.off_node == 5);
    /* rank 0 sends tokens 0, 1, 1 to rank 1; rank 1 sends tokens 1, 0 to rank 0 */
    assert_true(volume.per_gpu == 4 && volume.per_node == 4);
    assert_true(volume.flat_out[0] == 3 && volume.flat_in[0] == 2 && volume.node_out[0] == 2 && volume.node_in[0] == 2);
    volume_free(&volume);
    /* padded: the zero row once more in either direction (rank 1 leaves expert 0's and 1's second slots empty) */
    assert_int_equal(volume_create(2, &volume), 0);
    assert_int_equal(volume_add(&volume, &small, 0, 2, node_of, 1), 0);
    assert_true(volume.off_node == 8 && volume.per_node == 6);
    volume_free(&volume);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(megatron_rows_are_sorted_by_expert_then_token),
        cmocka_unit_test(deepspeed_rows_are_padded_with_zeros),
        cmocka_unit_test(a_capacity_factor_drops_late_tokens),
        cmocka_unit_test(what_is_sent_is_what_is_expected),
        cmocka_unit_test(volumes_count_each_token_once_per_gpu_and_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
