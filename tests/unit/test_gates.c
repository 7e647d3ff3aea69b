/* Description: streams that the job holds back: by something that its own thread lets go only after the call has
 * returned, or that another thread lets go at any moment. Calls return while their stream is held, all ranks do the
 * same, and every byte is right. A call that waits for its held stream would wait for ever here.
 */
#include "world.h"

#include "../../kernels/claim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define RANKS 4
#define ROW 256
#define ALL 15 /* ranks, a bit each */

static random_t source;
static world_t world;
static hm_settings_t impatient; /* of ranks whose stream is held; the others wait for ever */
static atomic_bool gate[RANKS];
static bool lost; /* the communicator was aborted: what its ranks said to each other does not add up */

static int setup(void **context)
{
    (void)context;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "2,2";
    doubles_settings.depth = 2;
    doubles_settings.timeout = 1000000;
    impatient = doubles_settings;
    impatient.test_patience = 2;
    streams_enqueued = NULL;
    lost = false;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.stream[r] = stream_open();
    return 0;
}

static void open_all(void)
{
    for (int r = 0; r < RANKS; r++) atomic_store(&gate[r], true);
}

static int teardown(void **context)
{
    (void)context;
    open_all();
    for (int r = 0; r < RANKS; r++) stream_close(world.stream[r]);
    if (lost) {
        for (int r = 0; r < RANKS; r++) state_destroy(&world.comm[r]);
        threads_world_destroy(world.nccl);
    } else {
        world_close(&world, RANKS);
    }
    return 0;
}

static void open_own(int rank)
{
    atomic_store(&gate[rank], true);
}

/* The streams of these ranks are held from now on, and no others. */
static void hold(unsigned ranks)
{
    for (int r = 0; r < RANKS; r++) {
        bool held = (ranks >> r & 1) != 0;
        world.settings[r] = held ? &impatient : NULL;
        if (!held) continue;
        atomic_store(&gate[r], false);
        stream_hold(world.stream[r], &gate[r]);
    }
}

static void call_make(exchange_t *exchange)
{
    exchange_draw(&source, &world.exchange, RANKS, ROW);
    world_call(&world);
    *exchange = world.exchange;
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.result[r], ncclSuccess);
        assert_int_equal(world.replaced[r], world.replaced[0]);
    }
}

static void call_finish(exchange_t *exchange)
{
    for (int r = 0; r < RANKS; r++) stream_wait(world.stream[r]);
    assert_int_equal(exchange_check(exchange), 0);
    exchange_free(exchange);
}

/* One call. Whether it was replaced, alike on all ranks. */
static bool call(void)
{
    exchange_t exchange;
    call_make(&exchange);
    call_finish(&exchange);
    return world.replaced[0];
}

/* One call with held streams, each of which its rank's thread lets go when the call has returned. */
static bool call_held(unsigned ranks)
{
    world.returned = open_own;
    hold(ranks);
    bool replaced = call();
    world.returned = NULL;
    hold(0);
    return replaced;
}

static uint64_t left(int rank)
{
    return world.comm[rank].stats.left[HM_REASON_STREAM_HELD];
}

static hm_hold_t *hold_of(int rank)
{
    return &world.comm[rank].state->parts.know.hold;
}

/* The next call is looked at, whatever was held before. */
static void holds_forget(void)
{
    for (int r = 0; r < RANKS; r++) *hold_of(r) = (hm_hold_t){0};
}

/* Calls until one is replaced; by then `expected` were left alone for held streams. */
static void calls_until_replaced(uint64_t expected)
{
    while (!call()) continue;
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(left(r), expected);
        assert_int_equal(world.comm[r].stats.agreements, world.comm[0].stats.agreements);
    }
    assert_int_equal(doubles_said, 0);
}

static void stream_held_on_one_rank(void **context)
{
    (void)context;
    assert_true(call());
    assert_false(call_held(1u << 2));
    calls_until_replaced(1 + 4);
}

static void stream_held_on_all_ranks(void **context)
{
    (void)context;
    assert_true(call());
    assert_false(call_held(ALL));
    calls_until_replaced(1 + 4);
}

static void stream_held_at_the_first_call(void **context)
{
    (void)context;
    assert_false(call_held(1u << 1));
    calls_until_replaced(1 + 4);
}

static void stream_held_at_the_first_call_and_when_the_ranks_try_again(void **context)
{
    (void)context;
    assert_false(call_held(ALL));
    for (int i = 0; i < 4; i++) assert_false(call());
    assert_false(call_held(1u << 3));
    calls_until_replaced(1 + 4 + 1 + 8);
}

/* A job that does so at every call waits for ever fewer of them. */
static void stream_held_at_every_call(void **context)
{
    (void)context;
    for (int i = 0; i < 300; i++) assert_false(call_held(i % 2 == 0 ? ALL : 1u << 1));
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(left(r), 300);
        assert_true(world.comm[r].stats.agreements <= 8);
    }
}

/* Agreements that go well in between change nothing about that. */
static void stream_held_at_every_other_call(void **context)
{
    (void)context;
    int waited = 0;
    assert_true(call());
    for (int i = 0; i < 200; i++) {
        call_held(1u << 2);
        waited += hold_of(0)->left > 0 && hold_of(0)->left == hold_of(0)->skip;
        call();
    }
    assert_in_range(waited, 3, 12);
}

static void *open_later(void *delay_us)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000 * (long)*(size_t *)delay_us}, NULL);
    open_all();
    return NULL;
}

/* One call with held streams that another thread lets go so long after the call began. */
static bool call_held_for(unsigned ranks, size_t us)
{
    pthread_t opener;
    hold(ranks);
    assert_int_equal(pthread_create(&opener, NULL, open_later, &us), 0);
    bool replaced = call();
    pthread_join(opener, NULL);
    hold(0);
    return replaced;
}

static void stream_let_go_by_another_thread_in_time(void **context)
{
    (void)context;
    impatient.test_patience = 1000000000;
    assert_true(call_held_for(ALL, 20000));
    assert_true(call_held_for(1u << 2, 20000));
}

/* The stream is let go at about the moment at which its rank takes its word back: which comes first is open. */
static void race(unsigned ranks, bool first_calls)
{
    int replaced = 0, rounds = 150;
    for (int i = 0; i < rounds; i++) {
        if (first_calls) {
            teardown(NULL);
            setup(NULL);
            source.state = (uint64_t)i;
        } else {
            assert_true(call());
        }
        impatient.test_patience = 1 + (long)random_below(&source, 4);
        replaced += call_held_for(ranks, random_below(&source, 5000));
        holds_forget();
    }
    print_message("%d of %d calls replaced\n", replaced, rounds);
}

static void stream_let_go_just_when_patience_ends(void **context)
{
    (void)context;
    race(1u << 2, false);
    race(ALL, false);
}

static void stream_let_go_just_when_patience_ends_at_the_first_call(void **context)
{
    (void)context;
    race(1u << 2, true);
    race(ALL, true);
}

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
    hold(ALL);
    call_make(&first);
    assert_false(world.replaced[0]);
    if (on_two_streams) streams_change(before);
    holds_forget();
    call_make(&second);
    assert_false(world.replaced[0]);
    open_all();
    for (int r = 0; r < RANKS && on_two_streams; r++) stream_close(before[r]);
    call_finish(&second);
    call_finish(&first);
    hold(0);
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
    hold(ALL);
    streams_change(before);
    for (int r = 0; r < RANKS; r++) world.settings[r] = NULL;
    call_make(&second);
    assert_true(world.replaced[0]);
    open_all();
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
    hold(ALL);
    for (int i = 0; i < CALLS; i++) {
        call_make(&exchange[i]);
        holds_forget();
    }
    assert_int_equal(slips_busy(1), CALLS);
    open_all();
    for (int i = 0; i < CALLS; i++) call_finish(&exchange[i]);
    assert_int_equal(slips_busy(1), 0);
    hold(0);
    assert_true(call());
    assert_int_equal(doubles_said, 0);
}

static void no_room_for_another_row_fails_the_call_and_says_why(void **context)
{
    (void)context;
    exchange_t exchange[HM_SLIPS];
    assert_true(call());
    hold(ALL);
    for (int i = 0; i < HM_SLIPS; i++) {
        call_make(&exchange[i]);
        holds_forget();
    }
    impatient.timeout = 1;
    exchange_draw(&source, &world.exchange, RANKS, ROW);
    world_call(&world);
    for (int r = 0; r < RANKS; r++) {
        assert_true(world.replaced[r]);
        assert_int_not_equal(world.result[r], ncclSuccess);
    }
    assert_int_equal(doubles_said, RANKS);
    assert_non_null(strstr(doubles_text, "this rank's stream was held back by the job"));
    exchange_free(&world.exchange);
    open_all();
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
    world.returned = open_own;
    hold(1u << 1);
    atomic_store(&waiting, false);
    streams_enqueued = waiting_note;
    exchange_draw(&source, &world.exchange, RANKS, ROW);
    lost = true;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stream_held_on_one_rank),
        TEST(stream_held_on_all_ranks),
        TEST(stream_held_at_the_first_call),
        TEST(stream_held_at_the_first_call_and_when_the_ranks_try_again),
        TEST(stream_held_at_every_call),
        TEST(stream_held_at_every_other_call),
        TEST(stream_let_go_by_another_thread_in_time),
        TEST(stream_let_go_just_when_patience_ends),
        TEST(stream_let_go_just_when_patience_ends_at_the_first_call),
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
