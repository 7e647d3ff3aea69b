/* Description: streams that the job holds back: by something that its own thread lets go only after the call has
 * returned, or that another thread lets go at any moment. Calls return while their stream is held, all ranks do the
 * same, and every byte is right.
 */
#include "gates.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

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
        assert_int_equal(calls_left(r), 300);
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
    gates_open();
    return NULL;
}

/* One call with held streams that another thread lets go so long after the call began. */
static bool call_held_for(unsigned ranks, size_t us)
{
    pthread_t opener;
    gates_hold(ranks);
    assert_int_equal(pthread_create(&opener, NULL, open_later, &us), 0);
    bool replaced = call();
    pthread_join(opener, NULL);
    gates_hold(0);
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
            gates_teardown(NULL);
            gates_setup(NULL);
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

/* What calls take at each depth, whatever the clock says. */
static const double took[] = {25, 20, 15};

static int span_told(hm_context_t *context, int from, int to, double *ms)
{
    double read;
    int status = hm_kernels_host.span(context, from, to, &read), depth;
    if (status != 0) return status;
    depth = world.comm[world_rank].state->parts.know.clock.read.depth;
    *ms = from % (HM_MARKS / 2) == 0 ? .3 : took[depth];
    return 0;
}

/* Looks that a held stream prevents leave all ranks with the same times, and in step with their clocks: what calls took
 * is held against the depths that they took. */
static void held_looks_do_not_mix_times_up(void **context)
{
    static hm_kernels_t told;
    (void)context;
    doubles_settings.depth = impatient.depth = -1;
    doubles_settings.min_bytes = impatient.min_bytes = 0;
    told = hm_kernels_host;
    told.span = span_told;
    for (int i = 0; i < 200; i++) {
        if (i > 20 && random_below(&source, 4) == 0)
            call_held((unsigned)random_below(&source, ALL + 1));
        else
            call();
        for (int r = 0; r < RANKS && i == 0; r++) world.comm[r].state->parts.channel.kernels = &told;
        if (random_below(&source, 3) == 0) holds_forget();
        world_learned(&world, RANKS);
    }
    const hm_know_t *know = &world.comm[0].state->parts.know;
    assert_true(calls_left(0) > 20 && world.comm[0].stats.depth[2] > 60);
    for (int d = 0; d <= 2; d++) assert_float_equal(policy_predict(&know->policy, d), took[d] + (d > 0 ? .3 : 0), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, gates_setup, gates_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(held_looks_do_not_mix_times_up),
        TEST(stream_held_on_one_rank),
        TEST(stream_held_on_all_ranks),
        TEST(stream_held_at_the_first_call),
        TEST(stream_held_at_the_first_call_and_when_the_ranks_try_again),
        TEST(stream_held_at_every_call),
        TEST(stream_held_at_every_other_call),
        TEST(stream_let_go_by_another_thread_in_time),
        TEST(stream_let_go_just_when_patience_ends),
        TEST(stream_let_go_just_when_patience_ends_at_the_first_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
