/* What the next call will be, from the sequence of calls. */
#include "policy_test.h"

#include "policy/tape.h"

#include "draw.h"

static hm_tape_t tape;

static int begin(void **context)
{
    (void)context;
    memset(&tape, 0, sizeof tape);
    return 0;
}

/* Appends a string of letters as seen calls; returns how many were expected. */
static int play(const char *calls)
{
    int right = 0;
    for (; *calls != '\0'; calls++) {
        uint8_t symbol = (uint8_t)(*calls - 'a' + 1);
        right += tape_next(&tape) == symbol;
        tape_append(&tape, symbol, true);
    }
    return right;
}

static char next(void)
{
    uint8_t symbol = tape_next(&tape);
    return symbol == HM_TAPE_UNKNOWN ? '?' : (char)('a' + symbol - 1);
}

static void nothing_is_expected_at_first(void **context)
{
    (void)context;
    assert_int_equal(next(), '?');
    play("a");
    assert_int_equal(next(), '?');
    assert_int_equal(tape_last(&tape), 1);
}

static void a_period_is_known_after_once(void **context)
{
    (void)context;
    play("abcadcabca");
    assert_int_equal(next(), 'd');
    assert_int_equal(play("dcabcadc"), 8);
}

/* Forward passes of layers, then backward ones: the end of a run needs all of it as context. */
static void long_steps_are_known_after_once(void **context)
{
    (void)context;
    char step[121] = "";
    for (int layer = 0; layer < 24; layer++) strcat(step, "abc");
    for (int layer = 0; layer < 24; layer++) strcat(step, "cc");
    play(step);
    play(step);
    assert_int_equal(play(step), 120);
}

static void the_latest_of_two_ways_is_expected(void **context)
{
    (void)context;
    play("abcdbefb"); /* b was followed by c, then by e */
    assert_int_equal(next(), 'e');
}

static void the_longest_context_counts_before_the_latest(void **context)
{
    (void)context;
    play("abcdbefab");
    assert_int_equal(next(), 'c');
}

/* A call that was not looked at is taken for what was expected, and the place goes on. */
static void calls_left_alone_keep_the_place(void **context)
{
    (void)context;
    play("abcabcabc");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(next(), 'a' + i % 3);
        tape_append(&tape, tape_next(&tape), false);
    }
}

/* The sequence changed while nobody looked: what was taken for granted must not teach. */
static void a_surprise_voids_what_was_taken_for_granted(void **context)
{
    (void)context;
    play("abcabcabc");
    for (int i = 0; i < 6; i++) tape_append(&tape, tape_next(&tape), false);
    play("d");
    for (uint64_t call = 9; call < 15; call++) assert_int_equal(tape.symbol[call], HM_TAPE_UNKNOWN);
    assert_int_equal(tape.symbol[8] & 0x7f, 3);
}

static void an_expected_look_keeps_what_was_taken_for_granted(void **context)
{
    (void)context;
    play("abcabcabc");
    for (int i = 0; i < 6; i++) tape_append(&tape, tape_next(&tape), false);
    play("a");
    assert_int_equal(tape.symbol[9] & 0x7f, 1);
}

static void more_calls_than_are_kept(void **context)
{
    (void)context;
    int right = 0;
    for (int i = 0; i < 3 * HM_TAPE_CALLS / 5; i++) right = play("abcde");
    assert_int_equal(right, 5);
    assert_int_equal(play("edcba"), 0);
    for (int i = 0; i < HM_TAPE_CALLS / 5 + 1; i++) right = play("edcba");
    assert_int_equal(right, 5);
}

static void a_forgotten_symbol_is_unknown(void **context)
{
    (void)context;
    play("abcabcab");
    tape_forget(&tape, 3);
    assert_int_equal(next(), '?');
    tape_forget(&tape, 1);
    for (uint64_t call = 0; call < tape.calls; call++)
        assert_true((tape.symbol[call] & 0x7f) == 0 || (tape.symbol[call] & 0x7f) == 2);
}

static void the_period_is_found(void **context)
{
    (void)context;
    for (int i = 0; i < 30; i++) play("abc");
    assert_int_equal(tape_period(&tape), 3);
    for (int i = 0; i < 30; i++) play("abcacbabcd");
    assert_int_equal(tape_period(&tape), 10);
    play("d"); /* one call that does not belong */
    assert_int_equal(tape_period(&tape), 10);
}

static void long_periods_are_found_and_short_ones_within_are_not(void **context)
{
    (void)context;
    for (int layer = 0; layer < 24; layer++) play("abc");
    for (int layer = 0; layer < 12; layer++) play("cc");
    assert_int_equal(tape_period(&tape), 0); /* both ends have period 3, not what lies between */
    begin(NULL);
    for (int step = 0; step < 3; step++) {
        for (int layer = 0; layer < 24; layer++) play("abc");
        for (int layer = 0; layer < 24; layer++) play("cc");
    }
    assert_int_equal(tape_period(&tape), 120);
}

static void calls_in_no_order_have_no_period(void **context)
{
    (void)context;
    uint64_t seed = draw_seed("tape");
    assert_int_equal(tape_period(&tape), 0);
    for (int i = 0; i < 1000; i++) play(draw_unit(&seed) < .5 ? "a" : "b");
    assert_int_equal(tape_period(&tape), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_expected_at_first),
        TEST(a_period_is_known_after_once),
        TEST(long_steps_are_known_after_once),
        TEST(the_latest_of_two_ways_is_expected),
        TEST(the_longest_context_counts_before_the_latest),
        TEST(calls_left_alone_keep_the_place),
        TEST(a_surprise_voids_what_was_taken_for_granted),
        TEST(an_expected_look_keeps_what_was_taken_for_granted),
        TEST(more_calls_than_are_kept),
        TEST(a_forgotten_symbol_is_unknown),
        TEST(the_period_is_found),
        TEST(long_periods_are_found_and_short_ones_within_are_not),
        TEST(calls_in_no_order_have_no_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
