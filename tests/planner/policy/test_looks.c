/* A call is looked at while that pays. */
#include "policy_test.h"

#include "policy/looks.h"

static hm_looks_t looks;
static uint64_t call;
static bool able; /* can calls go deep */
static bool some; /* kind of call is worth it */

static int begin(void **context)
{
    (void)context;
    memset(&looks, 0, sizeof looks);
    call = 0;
    some = able = false;
    return 0;
}

/* One call that is expected to be worth it (or not) and is (or not), right as expected or by surprise. Returns whether
 * it was looked at. */
static bool call_play(bool yes, double gain_ms, bool worth, bool right)
{
    hm_prospect_t prospect = {.known = true, .yes = yes, .gain_ms = gain_ms};
    bool look = looks_want(&looks, &prospect, call);
    some = some || worth;
    if (look) looks_note(&looks, (hm_seen_t){able, right, worth, some}, call);
    call++;
    return look;
}

static int fruitless_play(int calls)
{
    int count = 0;
    for (int i = 0; i < calls; i++) count += call_play(false, -1, false, true);
    return count;
}

static void times_set(double lead_ms, double transfer_ms)
{
    for (int i = 0; i <= HM_RING; i++) looks_time(&looks, lead_ms, transfer_ms);
}

static void the_job_is_learned_first(void **context)
{
    (void)context;
    times_set(.3, 25);
    some = true;
    assert_int_equal(fruitless_play(HM_LOOKS_LEARNED), HM_LOOKS_LEARNED);
    assert_true(fruitless_play(200) < 60);
}

/* Twenty calls' time is all that learning may cost. */
static void learning_costs_no_more_than_a_few_calls(void **context)
{
    (void)context;
    times_set(.06, .15);
    some = true;
    int count = 0;
    for (int i = 0; i < 200; i++) count += call_play(false, -1, false, false);
    assert_in_range(count, 30, 36); /* 20 * .15 / (1.5 * .06) and a few */
}

static void what_pays_is_looked_at_every_time(void **context)
{
    (void)context;
    times_set(.3, 25);
    for (int i = 0; i < 1000; i++) assert_true(call_play(true, 9, true, true));
}

/* Right every tenth time: what it brings pays for the other looks, or it does not. */
static void chance_times_gain_decides(void **context)
{
    (void)context;
    int rich = 0, poor = 0;
    times_set(.3, 25);
    for (int i = 0; i < 2000; i++) {
        bool look = call_play(true, 9, i % 10 == 0, i % 10 == 0);
        rich += look && i >= 1000;
    }
    begin(NULL);
    times_set(.3, 25);
    for (int i = 0; i < 2000; i++) {
        bool look = call_play(true, .5, i % 10 == 0, i % 10 == 0);
        poor += look && i >= 1000;
    }
    assert_int_equal(rich, 1000);
    assert_true(poor < 200);
}

/* 0.157 ms calls without copies: 0.3 % of the time at first, and less with each look that brought nothing. */
static void looks_fall_with_each_that_brought_nothing(void **context)
{
    (void)context;
    times_set(.055, .157);
    fruitless_play(200);
    int early = fruitless_play(2000), late = fruitless_play(2000);
    assert_true(early * .055 < .003 * 2000 * .157);
    assert_true(late > 0 && late < early);
}

static void looks_never_end(void **context)
{
    (void)context;
    times_set(.055, 1.57);
    fruitless_play(40000);
    assert_in_range(fruitless_play(3000), 10, 30);
}

static void short_calls_are_hardly_looked_at(void **context)
{
    (void)context;
    times_set(.055, .02);
    assert_true(fruitless_play(200) <= 10);
    assert_true(fruitless_play(6000) * .055 < .003 * 6000 * .02);
}

static void a_look_that_brings_something_is_followed_by_others(void **context)
{
    (void)context;
    int count = 0;
    times_set(.3, 25);
    fruitless_play(2000);
    for (int i = 0; i < 1000 && !call_play(false, 9, true, false); i++) {
    }
    for (int i = 0; i < 20; i++) count += call_play(false, 9, i % 3 == 0, false);
    assert_int_equal(count, 20);
}

static void expectations_that_fail_are_not_believed(void **context)
{
    (void)context;
    times_set(.3, 25);
    fruitless_play(2000);
    looks.right = 0;
    assert_true(call_play(false, 9, false, true));
    looks.right = 1000;
    looks.quiet = 0;
    assert_false(call_play(false, 9, false, true));
}

static void what_is_never_timed_is_left_alone_soon(void **context)
{
    (void)context;
    assert_int_equal(fruitless_play(4), 4);
    assert_int_equal(fruitless_play(63), 0);
    int later = fruitless_play(10000);
    assert_true(later >= 5 && later <= 8);
}

/* Where calls could go deep, times will be known: a few looks more, since one alone may be a hiccup. */
static void times_of_two_looks_are_waited_for(void **context)
{
    (void)context;
    able = true;
    looks_time(&looks, 100, 500);
    looks_time(&looks, 50, 1);
    assert_int_equal(fruitless_play(5), 5);
    looks_time(&looks, .3, 25);
    assert_int_equal(fruitless_play(3), 3);
    begin(NULL);
    able = true;
    assert_int_equal(fruitless_play(73), 10);
}

/* If such calls took no time at all, that would gain less than a look costs. */
static void calls_shorter_than_a_look_are_left_alone(void **context)
{
    (void)context;
    times_set(.055, .08);
    some = true;
    assert_int_equal(call_play(true, -1, true, true), false);
    begin(NULL);
    times_set(.055, .09);
    some = true;
    assert_int_equal(call_play(true, -1, true, true), true);
}

static void missing_times_are_left_out(void **context)
{
    (void)context;
    looks_time(&looks, 0, 5);
    looks_time(&looks, 5, 0);
    looks_wait(&looks, 0);
    assert_int_equal(looks.transfer.kept + looks.lead.kept + looks.wait.kept, 0);
    looks_time(&looks, 100, 500); /* made connections */
    looks_time(&looks, .4, 5);
    looks_wait(&looks, 2);
    assert_float_equal(looks.lead_ms, .4, 1e-6);
    assert_float_equal(looks.unit_ms, 5, 1e-6);
    assert_float_equal(looks.wait_ms, 2, 1e-6);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(the_job_is_learned_first),
        TEST(learning_costs_no_more_than_a_few_calls),
        TEST(what_pays_is_looked_at_every_time),
        TEST(chance_times_gain_decides),
        TEST(looks_fall_with_each_that_brought_nothing),
        TEST(looks_never_end),
        TEST(short_calls_are_hardly_looked_at),
        TEST(a_look_that_brings_something_is_followed_by_others),
        TEST(expectations_that_fail_are_not_believed),
        TEST(what_is_never_timed_is_left_alone_soon),
        TEST(times_of_two_looks_are_waited_for),
        TEST(calls_shorter_than_a_look_are_left_alone),
        TEST(missing_times_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
