/* Description: what is expected of the next call, from agreed outcomes alone. */
#include "../../shim/know/learn.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Plays one call whose counts have this gcd; returns whether it was agreed on. */
static bool call_play(hm_learn_t *learn, size_t gcd, bool worth)
{
    hm_expectation_t expectation = learn_expect(learn);
    if (!expectation.agree) return false;
    size_t row = expectation.row_bytes;
    if (row < 32 || gcd % row != 0) row = gcd;
    learn_note(learn, row < 32 ? 0 : row, gcd, worth);
    return true;
}

static void first_call_knows_nothing(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    hm_expectation_t expectation = learn_expect(&learn);
    assert_true(expectation.agree);
    assert_int_equal(expectation.row_bytes, 0);
}

static void copies_keep_the_agreement(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    for (int i = 0; i < 1000; i++) assert_true(call_play(&learn, 4096, true));
    assert_int_equal(learn_expect(&learn).row_bytes, 4096);
}

/* Dispatch and combine take turns: only the second stops paying. */
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
    assert_int_equal(learn_expect(&learn).row_bytes, 4096);
}

static void smaller_rows_are_taken_at_once_larger_ones_slowly(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    for (int i = 0; i < 8; i++) call_play(&learn, 8192, true); /* all counts happened to be even */
    call_play(&learn, 4096, true);
    for (int i = 0; i < 8; i++) call_play(&learn, 4096, true);
    assert_int_equal(learn_expect(&learn).row_bytes, 4096);
    call_play(&learn, 8192, true);
    assert_int_equal(learn_expect(&learn).row_bytes, 4096);
    for (int i = 0; i < 60; i++) call_play(&learn, 8192, true);
    assert_int_equal(learn_expect(&learn).row_bytes, 8192);
}

/* Megatron's layers forth and back: tokens, probabilities, combine, then combine's, probabilities' and dispatch's
 * gradients. What repeats no rows stops paying, whatever its place. */
static void layers_of_a_step_are_told_apart(void **context)
{
    (void)context;
    static const struct {
        size_t gcd;
        bool worth;
    } forth[] = {{4096, true}, {4, false}, {4096, false}}, back[] = {{4096, true}, {4096, false}, {4, false}};
    hm_learn_t learn;
    learn_init(&learn);
    int worth = 0, idle = 0;
    for (int step = 0; step < 100; step++) {
        for (int i = 0; i < 12; i++) {
            int k = i % 3;
            bool agreed = i < 6 ? call_play(&learn, forth[k].gcd, forth[k].worth)
                                : call_play(&learn, back[k].gcd, back[k].worth);
            *(k == 0 ? &worth : &idle) += agreed;
        }
    }
    assert_int_equal(worth, 400);
    assert_true(idle < 80); /* of 800 */
}

/* Rows too small to be looked at: what their counts have in common by chance must not look like new calls. */
static void chance_divisors_of_small_rows_do_not_wear_off(void **context)
{
    (void)context;
    static const size_t chance[] = {4, 12, 8, 4, 64, 20, 4, 40};
    hm_learn_t learn;
    learn_init(&learn);
    int tokens = 0, small = 0;
    for (int i = 0; i < 1000; i++) {
        tokens += call_play(&learn, 4096, true);
        small += call_play(&learn, chance[i % 8], false);
    }
    assert_int_equal(tokens, 1000);
    assert_true(small < 100);
}

/* Every seventh call brings nothing: each gain in between makes the place patient again. */
static void seldom_without_copies_is_looked_at_every_time(void **context)
{
    (void)context;
    hm_learn_t learn;
    learn_init(&learn);
    for (int i = 0; i < 700; i++) assert_true(call_play(&learn, 4096, i % 7 != 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_call_knows_nothing), cmocka_unit_test(copies_keep_the_agreement),
        cmocka_unit_test(turns_are_told_apart),     cmocka_unit_test(row_sizes_take_turns),
        cmocka_unit_test(smaller_rows_are_taken_at_once_larger_ones_slowly),
        cmocka_unit_test(chance_divisors_of_small_rows_do_not_wear_off),
        cmocka_unit_test(layers_of_a_step_are_told_apart),
        cmocka_unit_test(seldom_without_copies_is_looked_at_every_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
