/* Description: the host back end's work on streams: its order over several of them, waits that end in time, and memory
 * that is given back while a stream is held.
 */
#include "../../kernels/claim.h"
#include "../../kernels/kernels.h"
#include "../unit/streams.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LONG 1e9 /* seconds: nothing but what a test says ends such a wait */

static const hm_kernels_t *const host = &hm_kernels_host;
static const hm_host_stream_t hook = {hostncclStreamEnqueue};
static hm_context_t *context;
static test_stream_t *one, *two;
static atomic_bool open_one, open_two;
static atomic_int enqueued;

static void enqueued_count(void)
{
    atomic_fetch_add(&enqueued, 1);
}

static int setup(void **state)
{
    (void)state;
    atomic_store(&open_one, false);
    atomic_store(&open_two, false);
    streams_enqueued = enqueued_count;
    one = stream_open();
    two = stream_open();
    return host->context_create(&hook, &context);
}

static int teardown(void **state)
{
    (void)state;
    if (context != NULL) host->context_destroy(context);
    stream_close(one);
    stream_close(two);
    return 0;
}

static int refused(void *stream, void (*run)(void *), void *argument)
{
    (void)stream, (void)run, (void)argument;
    return -EINVAL;
}

/* A stream that never comes to its end, one that is no more, and an abort that ends its work without results. */
static void wait_ends_with_time_error_or_abort(void **state)
{
    (void)state;
    static const hm_host_stream_t gone = {refused};
    hm_context_t *lost = NULL;
    atomic_int cancel = 0;
    stream_hold(one, &open_one);
    assert_int_equal(host->wait(context, one, 0, NULL), -ETIMEDOUT);
    assert_int_equal(host->wait(context, one, 0, &cancel), -ETIMEDOUT);
    cancel = 1;
    assert_int_equal(host->wait(context, one, LONG, &cancel), -ECANCELED);
    atomic_store(&open_one, true);
    assert_int_equal(host->wait(context, one, LONG, &cancel), -ECANCELED);
    assert_int_equal(host->wait(context, one, LONG, NULL), 0);
    assert_int_equal(host->context_create(&gone, &lost), 0);
    assert_int_equal(host->wait(lost, NULL, LONG, NULL), -EIO);
    host->context_destroy(lost);
}

typedef struct waiter {
    pthread_t thread;
    atomic_int cancel;
    int status;
} waiter_t;

static void *waiter_run(void *memory)
{
    waiter_t *waiter = memory;
    waiter->status = host->wait(context, one, LONG, &waiter->cancel);
    return NULL;
}

/* Returns once the wait is under way. */
static void waiter_start(waiter_t *waiter)
{
    int before = atomic_load(&enqueued);
    *waiter = (waiter_t){.cancel = 0};
    assert_int_equal(pthread_create(&waiter->thread, NULL, waiter_run, waiter), 0);
    while (atomic_load(&enqueued) == before) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void cancel_ends_a_wait(void **state)
{
    (void)state;
    waiter_t waiter;
    stream_hold(one, &open_one);
    waiter_start(&waiter);
    atomic_store(&waiter.cancel, 1);
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.status, -ECANCELED);
    atomic_store(&open_one, true);
}

/* Another thread of the job may hold the stream behind our work until the call returns. */
static void wait_does_not_wait_for_work_that_comes_later(void **state)
{
    (void)state;
    waiter_t waiter;
    stream_hold(one, &open_one);
    waiter_start(&waiter);
    stream_hold(one, &open_two);
    atomic_store(&open_one, true);
    pthread_join(waiter.thread, NULL);
    assert_int_equal(waiter.status, 0);
    atomic_store(&open_two, true);
}

static void wait_that_is_gone_on_with_is_for_the_same_point(void **state)
{
    (void)state;
    stream_hold(one, &open_one);
    assert_int_equal(host->wait(context, one, 0, NULL), -ETIMEDOUT);
    stream_hold(one, &open_two);
    atomic_store(&open_one, true);
    assert_int_equal(host->wait(context, one, LONG, NULL), 0);
    atomic_store(&open_two, true);
}

/* What the job puts behind our work on the first stream may wait for the job. */
static void join_is_behind_our_work_alone(void **state)
{
    (void)state;
    char word[4] = "abc", other[4] = "";
    assert_int_equal(host->copy(context, one, word, "abd", 4), 0);
    stream_hold(one, &open_one);
    assert_int_equal(host->join(context, two), 0);
    assert_int_equal(host->copy(context, two, other, word, 4), 0);
    assert_int_equal(host->wait(context, two, LONG, NULL), 0);
    assert_string_equal(other, "abd");
    atomic_store(&open_one, true);
}

static void joined_stream_is_behind_work_that_is_held(void **state)
{
    (void)state;
    char word[4] = "abc", other[4] = "";
    stream_hold(one, &open_one);
    assert_int_equal(host->copy(context, one, word, "abd", 4), 0);
    assert_int_equal(host->copy(context, two, other, word, 4), 0);
    assert_int_equal(host->wait(context, two, 0.05, NULL), -ETIMEDOUT);
    assert_string_equal(other, "");
    atomic_store(&open_one, true);
    assert_int_equal(host->wait(context, two, LONG, NULL), 0);
    assert_string_equal(other, "abd");
}

/* After an abort nothing on another stream has to wait for one that the job holds. */
static void unjoined_stream_is_let_go(void **state)
{
    (void)state;
    char word[4] = "abc", other[4] = "";
    stream_hold(one, &open_one);
    assert_int_equal(host->copy(context, one, word, "abd", 4), 0);
    assert_int_equal(host->copy(context, two, other, "xyz", 4), 0);
    host->unjoin(context);
    host->context_destroy(context);
    context = NULL;
    stream_wait(two);
    assert_string_equal(other, "xyz");
    assert_string_equal(word, "abc");
    atomic_store(&open_one, true);
    stream_wait(one);
}

/* The address sanitizer sees whether it is there when the stream gets to it, and whether it is freed at all. */
static void memory_given_back_stays_until_the_stream_has_passed(void **state)
{
    (void)state;
    char *from = NULL, to[64] = "";
    assert_int_equal(host->alloc(context, 64, (void **)&from), 0);
    memset(from, 'a', 64);
    stream_hold(one, &open_one);
    assert_int_equal(host->copy(context, one, to, from, 64), 0);
    host->free(context, from);
    host->context_destroy(context);
    context = NULL;
    atomic_store(&open_one, true);
    stream_wait(one);
    assert_int_equal(to[63], 'a');
}

/* The host takes words back at about the moment at which the stream gets to them. */
static void word_that_is_taken_back_for_certain_is_so_on_the_stream(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    int certain = 0, late = 0;
    uint64_t random = 1;
    for (int i = 0; i < ROUNDS; i++) {
        hm_claim_t claim = {0};
        uint32_t word = 7;
        random = random * 6364136223846793005u + 1442695040888963407u;
        assert_int_equal(host->claim(context, one, &claim, &word, 9), 0);
        for (volatile uint64_t spin = random >> 54; spin > 0; spin--) continue;
        bool sure = claim_withdraw(&claim);
        assert_int_equal(host->wait(context, one, LONG, NULL), 0);
        assert_true(claim_over(&claim));
        assert_true(word == 9 || (word == 7 && !sure));
        certain += sure;
        late += !sure && word == 7;
    }
    print_message("%d of %d words taken back for certain, %d too late\n", certain, ROUNDS, late);
}

static void word_behind_a_held_stream_is_taken_back_for_certain(void **state)
{
    (void)state;
    hm_claim_t claim = {0};
    uint32_t word = 7;
    stream_hold(one, &open_one);
    assert_int_equal(host->claim(context, one, &claim, &word, 9), 0);
    assert_true(claim_withdraw(&claim));
    assert_false(claim_over(&claim));
    atomic_store(&open_one, true);
    assert_int_equal(host->wait(context, one, LONG, NULL), 0);
    assert_int_equal(word, 9);
    assert_true(claim_over(&claim));
}

static void word_that_is_not_taken_back_stays(void **state)
{
    (void)state;
    hm_claim_t claim = {0};
    uint32_t word = 7;
    assert_int_equal(host->claim(context, one, &claim, &word, 9), 0);
    assert_int_equal(host->wait(context, one, LONG, NULL), 0);
    assert_int_equal(word, 7);
    assert_false(claim_withdraw(&claim));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wait_ends_with_time_error_or_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(cancel_ends_a_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(wait_does_not_wait_for_work_that_comes_later, setup, teardown),
        cmocka_unit_test_setup_teardown(wait_that_is_gone_on_with_is_for_the_same_point, setup, teardown),
        cmocka_unit_test_setup_teardown(join_is_behind_our_work_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(joined_stream_is_behind_work_that_is_held, setup, teardown),
        cmocka_unit_test_setup_teardown(unjoined_stream_is_let_go, setup, teardown),
        cmocka_unit_test_setup_teardown(word_that_is_taken_back_for_certain_is_so_on_the_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(word_behind_a_held_stream_is_taken_back_for_certain, setup, teardown),
        cmocka_unit_test_setup_teardown(word_that_is_not_taken_back_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_given_back_stays_until_the_stream_has_passed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
