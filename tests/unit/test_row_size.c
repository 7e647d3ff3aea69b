/* Description: calls with equal counts to all ranks, as DeepSpeed's padded dispatches: the size of a row is found in
 * the bytes, agreed on and kept for such calls, and no byte comes out otherwise whatever the bytes suggest. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 6

static random_t source;

static int setup(void **context)
{
    (void)context;
    source.state = 5;
    doubles_reset();
    doubles_settings.topo = "3,2";
    doubles_settings.depth = 2;
    return 0;
}

static void row_write(char *row, size_t bytes, uint64_t token)
{
    random_t content = {token};
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = random_next(&content);
        memcpy(row + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

/* Equal counts: `slots` rows from each rank to each, zeros at first. */
static void exchange_make(exchange_t *exchange, size_t slots, size_t row_bytes)
{
    *exchange = (exchange_t){.ranks = RANKS, .row_bytes = row_bytes};
    for (int s = 0; s < RANKS; s++) {
        exchange->memory[s] = calloc(RANKS * slots, row_bytes);
        for (int r = 0; r < RANKS; r++) {
            exchange->rows[s][r] = slots;
            exchange->send[s][r] = exchange->memory[s] + (size_t)r * slots * row_bytes;
            exchange->recv[s][r] = malloc(slots * row_bytes + 8);
            memset(exchange->recv[s][r], 0xA5, slots * row_bytes + 8);
        }
    }
}

/* Each rank's tokens go to `top` ranks each, in order, into slots that are filled from the front. */
static void tokens_route(exchange_t *exchange, size_t slots, int top, size_t tokens)
{
    for (int s = 0; s < RANKS; s++) {
        size_t used[RANKS] = {0};
        for (size_t t = 0; t < tokens; t++) {
            uint64_t token = random_next(&source);
            size_t first = random_below(&source, RANKS);
            for (size_t k = 0; k < (size_t)top; k++) {
                size_t r = (first + k) % RANKS;
                if (used[r] == slots) continue;
                row_write(exchange->send[s][r] + used[r]++ * exchange->row_bytes, exchange->row_bytes, token);
            }
        }
    }
}

/* The size that rows were looked at with; every byte is where plain NCCL would have put it. */
static size_t call_run_checked(world_t *world)
{
    world_call(world);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world->result[r], ncclSuccess);
        assert_int_equal(world->replaced[r], world->replaced[0]);
    }
    assert_int_equal(exchange_check(&world->exchange), 0);
    exchange_free(&world->exchange);
    return world->comm[0].state->parts.agree.ballot.table.row_bytes;
}

static size_t dispatch_run(world_t *world, size_t slots, size_t row_bytes, int top, size_t tokens)
{
    exchange_make(&world->exchange, slots, row_bytes);
    tokens_route(&world->exchange, slots, top, tokens);
    return call_run_checked(world);
}

static uint32_t rounds(const world_t *world)
{
    return world->comm[0].state->parts.agree.ballot.sequence;
}

/* From the first call on; later calls take one round each. */
static void rows_of_a_padded_dispatch_are_found_in_the_first_call(void **context)
{
    (void)context;
    static const int top[] = {2, 4, 1};
    for (size_t i = 0; i < 3; i++) {
        world_t world;
        world_open(&world, RANKS);
        for (uint32_t call = 0; call < 6; call++) {
            assert_int_equal(dispatch_run(&world, 40, 1040, top[i], 150 / (size_t)top[i]), 1040);
            assert_true(world.replaced[0]);
            assert_int_equal(rounds(&world), 2 + call);
        }
        assert_true(world.comm[0].stats.distinct < world.comm[0].stats.rows * 3 / 4);
        world_close(&world, RANKS);
    }
}

/* Without a limit on an expert's tokens the counts are other ones in every call. */
static void rows_stay_found_while_counts_change(void **context)
{
    (void)context;
    world_t world;
    uint32_t last = 0;
    world_open(&world, RANKS);
    for (int call = 0; call < 24; call++) {
        size_t slots = 20 + random_below(&source, 40), row = dispatch_run(&world, slots, 2048, 3, slots);
        assert_true(world.replaced[0]);
        assert_true(row == 2048 || call < 3);
        if (call == 7) last = rounds(&world);
    }
    assert_int_equal(rounds(&world) - last, 16);
    world_close(&world, RANKS);
}

/* Rows of several sizes in turn, all with equal counts. */
static void rows_of_several_sizes_take_turns(void **context)
{
    (void)context;
    static const size_t row[] = {4096, 4096, 128};
    world_t world;
    world_open(&world, RANKS);
    for (size_t call = 0; call < 30; call++) {
        size_t found = dispatch_run(&world, 32, row[call % 3], 3, 40);
        if (call >= 12) assert_int_equal(found, row[call % 3]);
    }
    world_close(&world, RANKS);
}

/* Nothing but zeros fits every size; what is taken for the size then must not stay. */
static void zeros_say_nothing_for_later_calls(void **context)
{
    (void)context;
    world_t world;
    size_t found = 0;
    world_open(&world, RANKS);
    for (int call = 0; call < 4; call++) dispatch_run(&world, 64, 1024, 2, 0);
    for (int call = 0; call < 6; call++) found = dispatch_run(&world, 64, 1024, 2, 200);
    assert_int_equal(found, 1024);
    world_close(&world, RANKS);
}

/* Large rows then still save something, namely padding. */
static void zeros_followed_by_padded_rows_are_looked_through(void **context)
{
    (void)context;
    world_t world;
    size_t zeros = 0, found = 0;
    world_open(&world, RANKS);
    for (int call = 0; call < 2; call++) zeros = dispatch_run(&world, 256, 1024, 2, 0);
    for (int call = 0; call < 8; call++) found = dispatch_run(&world, 256, 1024, 2, 300);
    assert_true(zeros > 16384);
    assert_int_equal(found, 1024);
    world_close(&world, RANKS);
}

static void ranks_that_found_other_sizes_or_none_agree(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    exchange_t *exchange = &world.exchange;
    exchange_make(exchange, 32, 1024);
    tokens_route(exchange, 32, 2, 80);
    memset(exchange->memory[1], 0, RANKS * 32 * 1024); /* all sizes fit */
    for (size_t i = 0; i < RANKS * 32; i++) row_write(exchange->memory[2] + i * 1024, 1024, random_next(&source));
    assert_int_equal(call_run_checked(&world), 1024);
    assert_true(world.replaced[0]);
    world_close(&world, RANKS);
}

/* Rows that repeat by chance, in halves or in pairs: whatever size that suggests, the bytes are right. */
static void bytes_are_right_whatever_they_suggest(void **context)
{
    (void)context;
    world_t world;
    source.state = random_seed();
    world_open(&world, RANKS);
    for (int call = 0; call < 60; call++) {
        static const size_t part[] = {2, 1, 1, 1, 4};
        size_t row = 64 * (1 + random_below(&source, 24)), slots = 8 + random_below(&source, 24);
        size_t piece = row / part[random_below(&source, 5)], pool = 1 + random_below(&source, 300);
        exchange_make(&world.exchange, slots, row);
        for (int s = 0; s < RANKS; s++)
            for (size_t at = 0; at < RANKS * slots * row; at += piece)
                if (random_below(&source, 5) > 0)
                    row_write(world.exchange.memory[s] + at, piece, random_below(&source, pool));
        call_run_checked(&world);
    }
    world_close(&world, RANKS);
}

static void a_set_size_is_not_searched(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.row_bytes = 512;
    world_open(&world, RANKS);
    for (uint32_t call = 0; call < 3; call++) {
        assert_int_equal(dispatch_run(&world, 40, 1024, 2, 80), 512);
        assert_int_equal(rounds(&world), 1 + call);
    }
    world_close(&world, RANKS);
}

/* No room to search, and none for rows of the size found. */
static void ranks_without_room_do_not_search(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.max_scratch = 1 << 20;
    world_open(&world, RANKS);
    assert_int_equal(dispatch_run(&world, 40, 1024, 2, 80), 40 * 1024);
    for (int r = 0; r < RANKS; r++) assert_int_equal(world.comm[r].state->parts.agree.sizes.barren, 1);
    world_close(&world, RANKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_of_a_padded_dispatch_are_found_in_the_first_call, setup),
        cmocka_unit_test_setup(rows_stay_found_while_counts_change, setup),
        cmocka_unit_test_setup(rows_of_several_sizes_take_turns, setup),
        cmocka_unit_test_setup(zeros_say_nothing_for_later_calls, setup),
        cmocka_unit_test_setup(zeros_followed_by_padded_rows_are_looked_through, setup),
        cmocka_unit_test_setup(ranks_that_found_other_sizes_or_none_agree, setup),
        cmocka_unit_test_setup(bytes_are_right_whatever_they_suggest, setup),
        cmocka_unit_test_setup(a_set_size_is_not_searched, setup),
        cmocka_unit_test_setup(ranks_without_room_do_not_search, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
