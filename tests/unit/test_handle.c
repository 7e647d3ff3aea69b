/* Description: numbers of kept dispatches: used once, released by any thread, found by their owner alone. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../shim/guide/handle.h"

static int me, other, thing, things[2];

static void a_number_is_live_until_it_is_released(void **state)
{
    (void)state;
    hiermoe_handle_t handle = handle_make(&me, &thing);
    assert_int_not_equal(handle, 0);
    assert_true(handle_is_live(handle));
    assert_ptr_equal(handle_content(handle, &me), &thing);
    assert_null(handle_content(handle, &other));
    unsigned before = handle_releases();
    handle_release(handle);
    assert_int_equal(handle_releases(), before + 1);
    assert_false(handle_is_live(handle));
    assert_null(handle_content(handle, &me));
    handle_release(handle); /* once more: nothing */
    assert_int_equal(handle_releases(), before + 1);
    handle_forget(handle);
}

static void a_place_is_used_again_under_another_number(void **state)
{
    (void)state;
    hiermoe_handle_t first = handle_make(&me, &things[0]);
    handle_forget(first);
    hiermoe_handle_t second = handle_make(&me, &things[1]);
    assert_int_not_equal(second, first);
    assert_int_equal(second & 0x3ffff, first & 0x3ffff);
    assert_false(handle_is_live(first));
    handle_release(first); /* late: it must not hit the new one */
    assert_ptr_equal(handle_content(second, &me), &things[1]);
    handle_forget(second);
}

static void unknown_numbers_are_ignored(void **state)
{
    (void)state;
    hiermoe_handle_t unknown[] = {0, 1, 0x3ffff, UINT64_MAX, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        handle_release(unknown[i]);
        assert_false(handle_is_live(unknown[i]));
        assert_null(handle_content(unknown[i], NULL));
    }
}

/* As many as fit, all leaked: no more are made, and all come back. */
static void numbers_run_out_and_come_back(void **state)
{
    enum { MOST = 262144 };
    static hiermoe_handle_t handle[MOST];
    (void)state;
    for (int i = 0; i < MOST; i++) {
        handle[i] = handle_make(&me, &thing);
        assert_int_not_equal(handle[i], 0);
    }
    assert_int_equal(handle_make(&me, &thing), 0);
    handle_forget(handle[MOST / 2]);
    hiermoe_handle_t again = handle_make(&me, &thing);
    assert_int_not_equal(again, 0);
    assert_int_not_equal(again, handle[MOST / 2]);
    handle[MOST / 2] = again;
    for (int i = 0; i < MOST; i++) handle_forget(handle[i]);
}

static void *release_run(void *argument)
{
    const hiermoe_handle_t *handle = argument;
    for (int i = 0; i < 1000; i++) handle_release(handle[i]);
    return NULL;
}

/* Two threads release the same numbers: each is released once. */
static void any_thread_releases(void **state)
{
    hiermoe_handle_t handle[1000];
    pthread_t thread[2];
    (void)state;
    unsigned before = handle_releases();
    for (int i = 0; i < 1000; i++) handle[i] = handle_make(&me, &thing);
    for (int i = 0; i < 2; i++) pthread_create(&thread[i], NULL, release_run, handle);
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    assert_int_equal(handle_releases(), before + 1000);
    for (int i = 0; i < 1000; i++) {
        assert_false(handle_is_live(handle[i]));
        handle_forget(handle[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_live_until_it_is_released),
        cmocka_unit_test(a_place_is_used_again_under_another_number),
        cmocka_unit_test(unknown_numbers_are_ignored),
        cmocka_unit_test(numbers_run_out_and_come_back),
        cmocka_unit_test(any_thread_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
