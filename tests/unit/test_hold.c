/* Description: how many calls are left alone after a stream was held back. */
#include "know/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Calls that are skipped before the next one is looked at. */
static unsigned skipped(hm_hold_t *hold)
{
    unsigned calls = 0;
    while (hold_skips(hold)) calls++;
    return calls;
}

static void nothing_is_skipped_without_a_hold(void **state)
{
    (void)state;
    hm_hold_t hold = {0};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(skipped(&hold), 0);
        hold_note(&hold, false);
    }
}

static void each_hold_doubles_what_is_skipped_up_to_a_bound(void **state)
{
    (void)state;
    hm_hold_t hold = {0};
    for (unsigned calls = 4; calls <= 65536; calls *= 2) {
        hold_note(&hold, true);
        assert_int_equal(skipped(&hold), calls);
    }
    hold_note(&hold, true);
    assert_int_equal(skipped(&hold), 65536);
}

static void holds_are_forgotten_after_as_many_good_agreements(void **state)
{
    (void)state;
    hm_hold_t hold = {0};
    hold_note(&hold, true);
    skipped(&hold);
    hold_note(&hold, true);
    assert_int_equal(skipped(&hold), 8);
    for (int i = 0; i < 7; i++) hold_note(&hold, false);
    hold_note(&hold, true);
    assert_int_equal(skipped(&hold), 16);
    for (int i = 0; i < 16; i++) hold_note(&hold, false);
    hold_note(&hold, true);
    assert_int_equal(skipped(&hold), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_skipped_without_a_hold),
        cmocka_unit_test(each_hold_doubles_what_is_skipped_up_to_a_bound),
        cmocka_unit_test(holds_are_forgotten_after_as_many_good_agreements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
