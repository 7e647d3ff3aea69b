/* Description: handles of guided dispatches that are released late, on one rank only, or never: memory stays bounded,
 * and no rank waits for another. */
#include "kept_calls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As in a pipeline: several dispatches are out, and their other calls come in another order. */
static void many_dispatches_at_a_time(void **state)
{
    enum { OUT = 5 };
    kept_t kept[OUT];
    (void)state;
    for (int i = 0; i < OUT; i++) {
        kept[i] = dispatch();
        assert_true(along(HIERMOE_COMBINE, &kept[i]));
    }
    for (int i = OUT - 1; i >= 0; i--) {
        assert_true(along(HIERMOE_COMBINE_BACKWARD, &kept[i]));
        assert_true(along(HIERMOE_DISPATCH_BACKWARD, &kept[i]));
        release(&kept[i]);
    }
    kept_t last = dispatch();
    for (int r = 0; r < RANKS; r++) assert_int_equal(held(r), 1);
    release(&last);
}

/* Without a backward pass, nobody but a collector releases handles; memory is used again once it does. */
static void memory_is_used_again(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++) {
        kept_t kept = dispatch();
        assert_true(along(HIERMOE_COMBINE, &kept));
        if (i == 0) continue; /* leaked for good */
        release(&kept);
    }
    for (int r = 0; r < RANKS; r++) {
        const hm_pool_t *pool = &world.comm[r].state->parts.pool;
        assert_int_equal(world.comm[r].stats.handles, 30);
        assert_true(world.comm[r].stats.handle_bytes_most <= 3 * pool->held->bytes);
        assert_int_equal(world.comm[r].stats.handle_bytes_most, pool->bytes);
    }
}

static void leaked_handles_stay_under_the_cap(void **state)
{
    (void)state;
    kept_t kept = dispatch();
    size_t one = world.comm[0].state->parts.pool.bytes;
    release(&kept);
    doubles_settings.max_handle_bytes = 3 * one + one / 2;
    int summed = 0;
    for (int i = 0; i < 40; i++) {
        kept = dispatch();
        summed += along(HIERMOE_COMBINE, &kept);
    }
    assert_int_equal(summed, 3);
    assert_true(left(HM_REASON_NOT_KEPT) > 0);
    for (int r = 0; r < RANKS; r++) assert_true(world.comm[r].stats.handle_bytes_most <= 3 * one + one / 2);
    assert_int_equal(world.comm[0].stats.misannounced, 0);
    assert_int_equal(doubles_said, 0);
}

/* One rank's collector never comes: it runs out of memory alone, and all leave calls alone that it has no dispatch of.
 */
static void one_rank_releases_nothing(void **state)
{
    int summed = 0;
    (void)state;
    kept_t kept = dispatch();
    doubles_settings.max_handle_bytes = 4 * world.comm[0].state->parts.pool.bytes;
    release(&kept);
    for (int i = 0; i < 40; i++) {
        kept = dispatch();
        summed += along(HIERMOE_COMBINE, &kept);
        for (int r = 0; r < RANKS; r++)
            if (r != 4) handle_release(kept.handle[r]);
    }
    assert_in_range(summed, 2, 5);
    assert_true(left(HM_REASON_NOT_KEPT) > 0);
    assert_int_equal(world.comm[0].stats.misannounced, 0);
}

static void without_memory_nothing_is_kept(void **state)
{
    hm_settings_t poor = doubles_settings;
    (void)state;
    poor.max_handle_bytes = 0;
    world.settings[2] = &poor;
    kept_t kept = dispatch();
    for (int r = 0; r < RANKS; r++) assert_int_not_equal(kept.handle[r], 0);
    assert_false(along(HIERMOE_COMBINE, &kept));
    assert_int_equal(left(HM_REASON_NOT_KEPT), 1);
    assert_int_equal(world.settled[0], 0);
    assert_int_equal(world.comm[0].stats.misannounced, 0);
}

static void one_rank_has_released_it(void **state)
{
    (void)state;
    kept_t kept = dispatch();
    handle_release(kept.handle[3]);
    assert_false(along(HIERMOE_COMBINE, &kept)); /* rank 3 could not announce it */
    refused(HM_REASON_ANNOUNCED_OTHERWISE);
    assert_int_equal(world.settled[3], -ENOMSG);
    assert_int_equal(world.settled[0], -EPROTO);
    kept = dispatch();
    assert_true(along(HIERMOE_COMBINE, &kept));
}

static void a_dispatch_of_another_communicator(void **state)
{
    world_t first;
    (void)state;
    kept_t kept = dispatch();
    first = world;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.adapters[r] = 77;
    kept_t own = dispatch();
    announce_after(HIERMOE_COMBINE, &own);
    what[1].handle = kept.handle[1];
    assert_false(after(HIERMOE_COMBINE));
    assert_int_equal(world.comm[1].stats.misannounced, 1);
    assert_true(along(HIERMOE_COMBINE, &own));
    world_close(&first, RANKS);
    assert_true(along(HIERMOE_COMBINE, &own));
    release(&kept); /* after its communicator ended: nothing */
}

/* One rank's device memory runs out, sooner or later. */
static void memory_runs_out_at_any_point(void **state)
{
    int guided = 0, kept = 0;
    (void)state;
    for (long at = 1; at < 16; at++) {
        tear_down(NULL);
        set_up(NULL);
        hm_settings_t poor = doubles_settings;
        poor.test_fail_alloc = at;
        world.settings[3] = &poor;
        for (int i = 0; i < 2; i++) {
            kept_t one = dispatch();
            along(HIERMOE_COMBINE, &one);
            along(HIERMOE_DISPATCH_BACKWARD, &one);
        }
        guided += world.comm[0].stats.guided > 0;
        kept += world.comm[3].stats.handles > 0;
    }
    assert_in_range(guided, 2, 14);
    assert_in_range(kept, 1, guided);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(many_dispatches_at_a_time),         TEST(memory_is_used_again),
        TEST(leaked_handles_stay_under_the_cap), TEST(one_rank_releases_nothing),
        TEST(without_memory_nothing_is_kept),    TEST(memory_runs_out_at_any_point),
        TEST(one_rank_has_released_it),          TEST(a_dispatch_of_another_communicator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
