/* Description: several calls behind one held stream, on it or on another one: rows that are yet to be read stay as they
 * are, and a stream is behind the library's work on another one alone. Aborts end calls whose stream is held.
 */
#include "gates.h"

#include "../../kernels/claim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Other streams for all ranks; *before gets those that they had. */
static void streams_change(test_stream_t *before[RANKS])
{
    for (int r = 0; r < RANKS; r++) {
        before[r] = world.stream[r];
        world.stream[r] = stream_open();
    }
}

/* Nobody lets the stream go before both calls have returned. */
static void two_calls_behind_one_hold(bool on_two_streams)
{
    exchange_t first, second;
    test_stream_t *before[RANKS];
    assert_true(call());
    gates_hold(ALL);
    call_make(&first);
    assert_false(world.replaced[0]);
    if (on_two_streams) streams_change(before);
    holds_forget();
    call_make(&second);
    assert_false(world.replaced[0]);
    gates_open();
    for (int r = 0; r < RANKS && on_two_streams; r++) stream_close(before[r]);
    call_finish(&second);
    call_finish(&first);
    gates_hold(0);
    calls_until_replaced(2 + 4);
}

static void two_calls_on_one_held_stream(void **context)
{
    (void)context;
    two_calls_behind_one_hold(false);
}

static void two_calls_on_two_streams_behind_a_held_one(void **context)
{
    (void)context;
    two_calls_behind_one_hold(true);
}

/* What the first stream does behind the first call waits for the thread that makes the second call. */
static void second_stream_is_not_held_with_the_first(void **context)
{
    (void)context;
    exchange_t first, second;
    test_stream_t *before[RANKS];
    assert_true(call());
    call_make(&first);
    gates_hold(ALL);
    streams_change(before);
    for (int r = 0; r < RANKS; r++) world.settings[r] = NULL;
    call_make(&second);
    assert_true(world.replaced[0]);
    gates_open();
    for (int r = 0; r < RANKS; r++) stream_close(before[r]);
    call_finish(&second);
    call_finish(&first);
}

/* Slips that the stream of a rank has yet to read. */
static int slips_busy(int rank)
{
    const hm_slips_t *slips = &world.comm[rank].state->parts.agree.slips;
    int busy = 0;
    for (size_t i = 0; i < HM_SLIPS; i++)
        busy += !claim_over(&((hm_slip_t *)(void *)(slips->memory + i * slips->stride))->claim);
    return busy;
}

/* A row that the stream has yet to read must stay as it is. */
static void rows_of_held_agreements_stay_apart(void **context)
{
    (void)context;
    enum { CALLS = 6 };
    exchange_t exchange[CALLS];
    assert_true(call());
    gates_hold(ALL);
    for (int i = 0; i < CALLS; i++) {
        call_make(&exchange[i]);
        holds_forget();
    }
    assert_int_equal(slips_busy(1), CALLS);
    gates_open();
    for (int i = 0; i < CALLS; i++) call_finish(&exchange[i]);
    assert_int_equal(slips_busy(1), 0);
    gates_hold(0);
    assert_true(call());
    assert_int_equal(doubles_said, 0);
}

static void no_room_for_another_row_fails_the_call_and_says_why(void **context)
{
    (void)context;
    exchange_t exchange[HM_SLIPS];
    assert_true(call());
    gates_hold(ALL);
    for (int i = 0; i < HM_SLIPS; i++) {
        call_make(&exchange[i]);
        holds_forget();
    }
    impatient.timeout = 1;
    exchange_draw(&source, &world.exchange, RANKS, 256);
    world_call(&world);
    for (int r = 0; r < RANKS; r++) {
        assert_true(world.replaced[r]);
        assert_int_not_equal(world.result[r], ncclSuccess);
    }
    assert_int_equal(doubles_said, RANKS);
    assert_non_null(strstr(doubles_text, "this rank's stream was held back by the job"));
    exchange_free(&world.exchange);
    gates_open();
    for (int i = 0; i < HM_SLIPS; i++) call_finish(&exchange[i]);
}

static atomic_bool waiting; /* the rank whose stream is held has begun its call */

static void waiting_note(void)
{
    if (world_rank == 1) atomic_store(&waiting, true);
}

static void *abort_all(void *nothing)
{
    (void)nothing;
    while (!atomic_load(&waiting)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (int r = 0; r < RANKS; r++) {
        atomic_store(&world.comm[r].aborted, 1);
        atomic_store(&world.comm[r].cancelled, 1);
    }
    threads_world_stop(world.nccl);
    return NULL;
}

static void abort_ends_calls(int calls_before)
{
    pthread_t watchdog;
    for (int i = 0; i < calls_before; i++) assert_true(call());
    impatient.test_patience = 1000000000;
    world.returned = gate_open;
    gates_hold(1u << 1);
    atomic_store(&waiting, false);
    streams_enqueued = waiting_note;
    exchange_draw(&source, &world.exchange, RANKS, 256);
    gates_lost = true;
    assert_int_equal(pthread_create(&watchdog, NULL, abort_all, NULL), 0);
    world_call(&world);
    pthread_join(watchdog, NULL);
    for (int r = 0; r < RANKS; r++) {
        assert_true(world.replaced[r]);
        assert_int_not_equal(world.result[r], ncclSuccess);
        stream_wait(world.stream[r]);
    }
    exchange_free(&world.exchange);
    assert_int_equal(doubles_said, 0);
}

static void abort_ends_a_first_call_with_a_held_stream(void **context)
{
    (void)context;
    abort_ends_calls(0);
}

static void abort_ends_a_later_call_with_a_held_stream(void **context)
{
    (void)context;
    abort_ends_calls(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, gates_setup, gates_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_calls_on_one_held_stream),
        TEST(two_calls_on_two_streams_behind_a_held_one),
        TEST(second_stream_is_not_held_with_the_first),
        TEST(rows_of_held_agreements_stay_apart),
        TEST(no_room_for_another_row_fails_the_call_and_says_why),
        TEST(abort_ends_a_first_call_with_a_held_stream),
        TEST(abort_ends_a_later_call_with_a_held_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
