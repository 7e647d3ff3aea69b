/* Description: what is expected of the next call, from agreed outcomes alone. */
#include "../../shim/learn.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Plays one call whose counts have this gcd; returns whether it was agreed on. */
static bool call_play(hm_learn_t *learn, size_t gcd, bool worth)
{
    hm_expectation_t expectation = learn_expect(learn, 0, 9);
    if (!expectation.agree) return false;
    size_t row = expectation.row_bytes;
    learn_note(learn, 0, 9, row != 0 && gcd % row == 0 ? row : gcd, gcd, worth);
    return true;
}

static void first_call_knows_nothing(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    hm_expectation_t expectation = learn_expect(&learn, 0, 9);
    assert_true(expectation.agree);
    assert_int_equal(expectation.row_bytes, 0);
}

static void copies_keep_the_agreement(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    for (int i = 0; i < 1000; i++) assert_true(call_play(&learn, 4096, true));
    assert_int_equal(learn_expect(&learn, 0, 9).row_bytes, 4096);
}

/* Dispatch and combine take turns in one kind: only the second stops paying. */
static void turns_are_told_apart(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    int dispatch = 0, combine = 0;
    for (int i = 0; i < 1000; i++) {
        dispatch += call_play(&learn, 4096, true);
        combine += call_play(&learn, 4096, false);
    }
    assert_int_equal(dispatch, 1000);
    assert_true(combine < 60);
    assert_true(combine >= 10); /* looked at again now and then */
}

/* Tokens and probabilities from one caller, of one type: each place knows its own row size. */
static void row_sizes_take_turns(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    for (int i = 0; i < 50; i++) {
        call_play(&learn, 4096, true);
        call_play(&learn, 2, false);
    }
    assert_int_equal(learn_expect(&learn, 0, 9).row_bytes, 4096);
}

static void smaller_rows_are_taken_at_once_larger_ones_slowly(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    for (int i = 0; i < 8; i++) call_play(&learn, 8192, true); /* all counts happened to be even */
    call_play(&learn, 4096, true);
    for (int i = 0; i < 8; i++) call_play(&learn, 4096, true);
    assert_int_equal(learn_expect(&learn, 0, 9).row_bytes, 4096);
    call_play(&learn, 8192, true);
    assert_int_equal(learn_expect(&learn, 0, 9).row_bytes, 4096);
    for (int i = 0; i < 60; i++) call_play(&learn, 8192, true);
    assert_int_equal(learn_expect(&learn, 0, 9).row_bytes, 8192);
}

static void kinds_do_not_mix(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    for (int i = 0; i < 100; i++) call_play(&learn, 4096, false);
    assert_true(learn_expect(&learn, 1, 9).agree);
    assert_int_equal(learn_expect(&learn, 1, 9).row_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_call_knows_nothing), cmocka_unit_test(copies_keep_the_agreement),
        cmocka_unit_test(turns_are_told_apart),     cmocka_unit_test(row_sizes_take_turns),
        cmocka_unit_test(smaller_rows_are_taken_at_once_larger_ones_slowly),
        cmocka_unit_test(kinds_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
