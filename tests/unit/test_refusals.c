/* Description: everything that makes ranks leave calls alone must make all of them do it, without a hang and without a
 * byte changed: settings that differ, a rank in mode off, no memory on one rank, odd buffers, small and odd rows. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 6
#define ROW 256

static random_t source;

/* Every test draws the same calls each time: about one seed in forty has a call so small that its messages fit under
 * the cap below, or counts that share a factor and so pass for larger rows, and rightly refuses nothing. */
static int setup(void **context)
{
    (void)context;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "3,2";
    doubles_settings.depth = 2;
    return 0;
}

static int calls_replaced(world_t *world, int calls, size_t row_bytes)
{
    int replaced = 0;
    for (int i = 0; i < calls; i++) replaced += world_exchange(&source, world, RANKS, row_bytes);
    return replaced;
}

static uint64_t left(const world_t *world, int rank, hm_reason_t reason)
{
    return world->comm[rank].stats.left[reason];
}

static void equal_settings_replace(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 8, ROW), 8);
    assert_int_equal(world.comm[3].stats.depth[2], 8);
    assert_int_equal(doubles_said, 0);
    world_close(&world, RANKS);
}

static void one_rank_off_leaves_all_alone(void **context)
{
    (void)context;
    world_t world;
    hm_settings_t off = doubles_settings;
    off.mode = HM_MODE_OFF;
    world_open(&world, RANKS);
    world.settings[4] = &off;
    assert_int_equal(calls_replaced(&world, 5, ROW), 0);
    for (int r = 0; r < RANKS; r++) assert_int_equal(left(&world, r, HM_REASON_MODE_OFF), 5);
    world_close(&world, RANKS);
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "rank 4 has HIERMOE_MODE=off"));
}

/* Who turns it off everywhere wants to hear nothing. */
static void all_ranks_off_say_nothing(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.mode = HM_MODE_OFF;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 2, ROW), 0);
    world_close(&world, RANKS);
    assert_int_equal(doubles_said, 0);
}

static void other_settings_leave_all_alone_and_are_said_once(void **context)
{
    (void)context;
    world_t world;
    hm_settings_t other = doubles_settings;
    other.depth = 1;
    world_open(&world, RANKS);
    world.settings[2] = &other;
    assert_int_equal(calls_replaced(&world, 5, ROW), 0);
    for (int r = 0; r < RANKS; r++) assert_int_equal(left(&world, r, HM_REASON_SETTINGS_DIFFER), 5);
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "rank 2"));
    world_close(&world, RANKS);
}

/* Whichever allocation fails, on one rank only: no rank goes on alone. */
static void no_memory_on_one_rank_leaves_all_alone(void **context)
{
    (void)context;
    for (int from = 1; from <= 5; from++) {
        world_t world;
        hm_settings_t poor = doubles_settings;
        poor.test_fail_alloc = 1; /* the count of the test hook runs on: every later allocation fails */
        world_open(&world, RANKS);
        if (from == 1) world.settings[1] = &poor;
        for (int call = 1; call <= 6; call++) {
            if (call == from) world.settings[1] = &poor;
            world_exchange(&source, &world, RANKS, ROW * (size_t)call);
        }
        world_close(&world, RANKS);
        if (from == 1) assert_int_equal(left(&world, 0, HM_REASON_NO_MEMORY), 6);
    }
}

static void observe_replaces_nothing(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.mode = HM_MODE_OBSERVE;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 10, ROW), 0);
    assert_int_equal(left(&world, 0, HM_REASON_OBSERVE), 10);
    assert_true(world.comm[0].stats.agreements >= 1 && world.comm[0].stats.agreements < 10);
    assert_true(world.comm[0].stats.distinct > 0 && world.comm[0].stats.distinct < world.comm[0].stats.rows);
    world_close(&world, RANKS);
}

static void small_rows_are_left_alone(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 4, 8), 0);
    assert_int_equal(left(&world, 5, HM_REASON_ROWS_TOO_SMALL), 4);
    world_close(&world, RANKS);
}

static void small_calls_are_left_alone(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.min_bytes = 1 << 20;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 4, ROW), 0);
    assert_int_equal(left(&world, 5, HM_REASON_TOO_SMALL), 4);
    world_close(&world, RANKS);
}

/* Kinds of calls that never repeat rows stop paying for agreements. */
static void calls_without_copies_stop_paying(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.min_bytes = 1 << 30; /* no call is ever worth it */
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 200, ROW), 0);
    assert_true(world.comm[0].stats.agreements < 40);
    assert_true(left(&world, 0, HM_REASON_NO_GAIN_LATELY) > 150);
    world_close(&world, RANKS);
}

/* A second stream, a repeated leg, a bad argument: what one rank alone has, it says, and no rank replaces the call.
 * Left alone by itself, that rank's plain messages met those of the others' agreement. */
static void what_one_rank_cannot_is_left_alone_by_all(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    for (int i = 0; i < 60; i++) {
        int rank = i % RANKS;
        bool refuses = i % 5 == 2;
        if (refuses) world.refusal[rank] = HM_REASON_SECOND_STREAM;
        int replaced = calls_replaced(&world, 1, ROW);
        if (refuses) assert_int_equal(replaced, 0);
        world.refusal[rank] = HM_REASON_NONE;
        for (int r = 0; r < RANKS; r++) {
            assert_int_equal(world.comm[r].stats.agreements, world.comm[0].stats.agreements);
            assert_int_equal(world.comm[r].stats.replaced, world.comm[0].stats.replaced);
        }
    }
    assert_true(world.comm[0].stats.replaced > 20);
    for (int r = 0; r < RANKS; r++) assert_true(left(&world, r, HM_REASON_SECOND_STREAM) > 5);
    world_close(&world, RANKS);
}

/* Rows that are refused for their size are not looked at, which would take many times their own memory. */
static void small_rows_take_no_memory(void **context)
{
    (void)context;
    static const size_t set[] = {0, 16};
    for (size_t i = 0; i < 2; i++) {
        world_t world;
        doubles_settings.row_bytes = set[i];
        world_open(&world, RANKS);
        assert_int_equal(calls_replaced(&world, 4, 16), 0);
        assert_int_equal(left(&world, 5, HM_REASON_ROWS_TOO_SMALL), 4);
        for (int r = 0; r < RANKS; r++) assert_int_equal(world.comm[r].state->parts.agree.rows.bytes, 0);
        world_close(&world, RANKS);
    }
}

/* HIERMOE_ROW_BYTES that does not divide the counts of one call. */
static void misfitting_row_bytes_are_left_alone(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.row_bytes = 192;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 3, ROW), 0);
    assert_int_equal(left(&world, 1, HM_REASON_ROW_BYTES_MISFIT), 3);
    assert_int_equal(calls_replaced(&world, 1, 192), 1);
    world_close(&world, RANKS);
}

/* A scratch cap too small for even 16 bytes of a row. */
static void scratch_cap_leaves_alone(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.max_scratch = 1000;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 3, ROW), 0);
    assert_int_equal(left(&world, 1, HM_REASON_SCRATCH_CAP), 3);
    world_close(&world, RANKS);
}

/* They would gain, but cannot be carried out: such calls paid for a look each, for ever. */
static void calls_beyond_the_scratch_cap_are_looked_at_ever_less(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.max_scratch = 1000;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 64, ROW), 0);
    assert_in_range(left(&world, 1, HM_REASON_SCRATCH_CAP), 5, 10);
    assert_int_equal(world.comm[1].stats.agreements, left(&world, 1, HM_REASON_SCRATCH_CAP));
    world_close(&world, RANKS);
}

/* Rows that the rank with the most of them sends. */
static size_t rows_most(const exchange_t *exchange)
{
    size_t most = 0;
    for (int s = 0; s < RANKS; s++) {
        size_t rows = 0;
        for (int r = 0; r < RANKS; r++) rows += exchange->rows[s][r];
        if (rows > most) most = rows;
    }
    return most;
}

/* Memory for looking at rows is an eighth of the cap: where one rank's do not fit, all must leave the call alone, and
 * nobody has taken any scratch. */
static void rows_beyond_their_part_of_the_cap_are_left_alone(void **context)
{
    (void)context;
    world_t world;
    hm_channel_t channel = {.kernels = &hm_kernels_host};
    world_open(&world, RANKS);
    exchange_draw(&source, &world.exchange, RANKS, ROW);
    size_t bytes = rows_memory_bytes(&channel, RANKS, rows_most(&world.exchange));
    doubles_settings.row_bytes = ROW;
    for (int enough = 0; enough < 2; enough++) {
        doubles_settings.max_scratch = enough != 0 ? 8 * bytes : 8 * bytes - 1;
        world_call(&world);
        assert_int_equal(exchange_check(&world.exchange), 0);
        for (int r = 0; r < RANKS; r++) {
            const hm_parts_t *parts = &world.comm[r].state->parts;
            assert_int_equal(left(&world, r, HM_REASON_SCRATCH_CAP), 1);
            assert_int_equal(world.comm[r].stats.replaced, enough);
            assert_int_equal(parts->carry.scratch.capacity > 0, enough);
            assert_true(parts->agree.rows.bytes + parts->carry.scratch.capacity <= doubles_settings.max_scratch);
        }
    }
    exchange_free(&world.exchange);
    world_close(&world, RANKS);
}

/* A rank that receives into its send buffer: only it can see that, all must leave the call alone. */
static void overlapping_buffers_are_left_alone(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    exchange_draw(&source, &world.exchange, RANKS, ROW);
    exchange_t *exchange = &world.exchange;
    for (int r = 0; r < RANKS; r++)
        for (int s = 0; s < RANKS; s++) exchange->rows[s][r] = r == s ? 2 : exchange->rows[s][r];
    for (int r = 0; r < RANKS; r++) {
        exchange->send[r][r] = calloc(2, ROW);
        free(exchange->recv[r][r]);
        exchange->recv[r][r] = calloc(2 * ROW + 8, 1);
        memset(exchange->recv[r][r] + 2 * ROW, 0xA5, 8);
    }
    char *own = exchange->recv[2][2];
    exchange->recv[2][2] = exchange->send[2][2];
    world_call(&world);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.result[r], ncclSuccess);
        assert_false(world.replaced[r]);
        assert_int_equal(left(&world, r, HM_REASON_BUFFERS_OVERLAP), 1);
    }
    exchange->recv[2][2] = own;
    for (int r = 0; r < RANKS; r++) free(exchange->send[r][r]);
    exchange_free(exchange);
    world_close(&world, RANKS);
}

/* The last of `ranks` expects fewer rows than its peer sends: plain NCCL would fail; we must not write beyond the
 * buffer. */
static void last_count_differs(int ranks, const char *topo)
{
    world_t world;
    int last = ranks - 1, peer = ranks - 2;
    world_open(&world, ranks);
    doubles_settings.topo = topo;
    exchange_draw(&source, &world.exchange, ranks, ROW);
    exchange_t *exchange = &world.exchange;
    exchange->rows[peer][last] = 3;
    free(exchange->recv[last][peer]);
    exchange->recv[last][peer] = calloc(3 * ROW + 8, 1);
    exchange->send[peer][last] = calloc(3, ROW);
    exchange->expected_less = 1;
    world_call(&world);
    for (int r = 0; r < ranks; r++) {
        assert_int_equal(left(&world, r, HM_REASON_COUNTS_DIFFER), 1);
        assert_false(world.replaced[r]);
    }
    assert_int_equal(threads_world_errors(world.nccl), 1);
    free(exchange->send[peer][last]);
    exchange_free(exchange);
    for (int r = 0; r < ranks; r++) state_destroy(&world.comm[r]);
    threads_world_destroy(world.nccl);
}

static void differing_counts_are_left_to_nccl(void **context)
{
    (void)context;
    last_count_differs(2, "2,1");
    last_count_differs(12, "6,2"); /* beyond the first tile that is compared */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(equal_settings_replace, setup),
        cmocka_unit_test_setup(one_rank_off_leaves_all_alone, setup),
        cmocka_unit_test_setup(all_ranks_off_say_nothing, setup),
        cmocka_unit_test_setup(other_settings_leave_all_alone_and_are_said_once, setup),
        cmocka_unit_test_setup(no_memory_on_one_rank_leaves_all_alone, setup),
        cmocka_unit_test_setup(observe_replaces_nothing, setup),
        cmocka_unit_test_setup(small_rows_are_left_alone, setup),
        cmocka_unit_test_setup(small_calls_are_left_alone, setup),
        cmocka_unit_test_setup(calls_without_copies_stop_paying, setup),
        cmocka_unit_test_setup(what_one_rank_cannot_is_left_alone_by_all, setup),
        cmocka_unit_test_setup(small_rows_take_no_memory, setup),
        cmocka_unit_test_setup(misfitting_row_bytes_are_left_alone, setup),
        cmocka_unit_test_setup(scratch_cap_leaves_alone, setup),
        cmocka_unit_test_setup(rows_beyond_their_part_of_the_cap_are_left_alone, setup),
        cmocka_unit_test_setup(calls_beyond_the_scratch_cap_are_looked_at_ever_less, setup),
        cmocka_unit_test_setup(overlapping_buffers_are_left_alone, setup),
        cmocka_unit_test_setup(differing_counts_are_left_to_nccl, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
