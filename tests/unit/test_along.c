/* Description: the calls after a guided dispatch: sums on the way back, the same way again. Whatever ranks announce
 * wrongly, all of them leave the call alone, and the job goes on. */
#include "kept_calls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void all_four_directions(void **state)
{
    static const uint32_t roles[] = {HIERMOE_COMBINE, HIERMOE_COMBINE_BACKWARD, HIERMOE_DISPATCH_BACKWARD};
    (void)state;
    for (int layer = 0; layer < 4; layer++) {
        kept_t kept = dispatch();
        for (int i = 0; i < 3; i++) {
            assert_true(along(roles[i], &kept));
            for (int r = 0; r < RANKS; r++) assert_int_equal(world.settled[r], 1);
        }
        release(&kept);
    }
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.comm[r].stats.guided, 16);
        assert_int_equal(world.comm[r].stats.replaced, 16);
        assert_int_equal(world.comm[r].stats.handles, 4);
        assert_int_equal(held(r), 1); /* the last one, until the next call */
    }
    assert_int_equal(doubles_said, 0);
}

static void all_depths_and_ways(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        tear_down(NULL);
        set_up(NULL);
        doubles_settings.depth = 1 + kind % 2;
        doubles_settings.slices = kind & 2 ? 3 : 1;
        doubles_settings.spread = kind >> 2 & 1;
        doubles_settings.windows = kind != 3;
        kept_t kept = dispatch();
        assert_true(along(HIERMOE_COMBINE, &kept));
        assert_true(along(HIERMOE_COMBINE_BACKWARD, &kept));
        assert_true(along(HIERMOE_DISPATCH_BACKWARD, &kept));
    }
}

/* A dispatch that was left alone has no handle; the calls after it are left alone too, combine's backward compared. */
static void after_a_dispatch_that_was_left_alone(void **state)
{
    (void)state;
    doubles_settings.min_bytes = (size_t)1 << 40;
    kept_t kept = dispatch();
    for (int r = 0; r < RANKS; r++) assert_int_equal(kept.handle[r], 0);
    doubles_settings.min_bytes = 0;
    assert_false(along(HIERMOE_COMBINE, &kept));
    assert_int_equal(left(HM_REASON_NOT_KEPT), 1);
    assert_true(along(HIERMOE_COMBINE_BACKWARD, &kept));
    assert_int_equal(world.settled[0], 0);
    assert_false(along(HIERMOE_DISPATCH_BACKWARD, &kept));
    assert_int_equal(world.comm[0].stats.misannounced, 0);
}

static void what_is_not_allowed_is_compared(void **state)
{
    (void)state;
    doubles_settings.mode = HM_MODE_EXACT;
    doubles_settings.guided = HM_GUIDED_DISPATCH | HM_GUIDED_COMBINE;
    kept_t kept = dispatch();
    assert_true(along(HIERMOE_COMBINE, &kept));
    assert_int_equal(world.settled[0], 1);
    announce_after(HIERMOE_DISPATCH_BACKWARD, &kept);
    after(HIERMOE_DISPATCH_BACKWARD);
    assert_int_equal(world.settled[0], 0);
    announce_after(HIERMOE_COMBINE, &kept);
    for (int r = 0; r < RANKS; r++) what[r].flags = 0; /* the receiver may do more than add */
    after(HIERMOE_COMBINE);
    assert_int_equal(world.settled[0], 0);
    assert_int_equal(world.comm[0].stats.guided, 2);
}

static void one_rank_names_another_dispatch(void **state)
{
    (void)state;
    kept_t first = dispatch(), second = dispatch(); /* of equal counts */
    announce_after(HIERMOE_COMBINE, &second);
    what[5].handle = first.handle[5];
    assert_false(after(HIERMOE_COMBINE));
    refused(HM_REASON_ANNOUNCED_OTHERWISE);
    assert_true(along(HIERMOE_COMBINE, &second)); /* the job goes on */
}

static void one_rank_announces_no_combine(void **state)
{
    (void)state;
    kept_t kept = dispatch();
    announce_after(HIERMOE_COMBINE, &kept);
    world.announced[0] = NULL;
    assert_false(after(HIERMOE_COMBINE));
    refused(HM_REASON_ANNOUNCED_OTHERWISE);
    assert_true(along(HIERMOE_COMBINE, &kept));
}

static void a_dispatch_of_another_layer(void **state)
{
    static const hiermoe_layer_t other = {sizeof other, "another layer", NULL};
    int32_t id;
    (void)state;
    assert_int_equal(layers_open(&other, &id), 0);
    kept_t kept = dispatch();
    announce_after(HIERMOE_COMBINE, &kept);
    for (int r = 0; r < RANKS; r++) {
        what[r].layer = id;
        what[r].comm = world.comm[r].handle; /* ranks share the layer here */
    }
    assert_false(after(HIERMOE_COMBINE));
    refused(HM_REASON_MISANNOUNCED);
    assert_non_null(strstr(doubles_text, "another layer"));
    assert_true(along(HIERMOE_COMBINE, &kept));
}

/* As a stale map would bring it about: as many rows in all, but not for the same ranks. */
static void a_dispatch_with_other_rows(void **state)
{
    (void)state;
    tokens.rows[0][3] = tokens.rows[0][4] =
        tokens.rows[0][3] < tokens.rows[0][4] ? tokens.rows[0][3] : tokens.rows[0][4];
    kept_t kept = dispatch();
    tokens.rows[0][3]--;
    tokens.rows[0][4]++;
    announce_after(HIERMOE_COMBINE, &kept);
    assert_false(after(HIERMOE_COMBINE));
    refused(HM_REASON_MISANNOUNCED);
    assert_non_null(strstr(doubles_text, "other rows"));
}

/* Long and wild: dispatches, calls after them in any order, wrong ones, late and missing releases. */
static void any_mixture_goes_on(void **state)
{
    enum { OUT = 4 };
    kept_t kept[OUT];
    int guided = 0;
    (void)state;
    doubles_settings.max_handle_bytes = 200000;
    for (int i = 0; i < OUT; i++) kept[i] = dispatch();
    for (int i = 0; i < 400; i++) {
        size_t which = random_below(&source, OUT);
        uint32_t role = HIERMOE_COMBINE + (uint32_t)random_below(&source, 3);
        size_t odd = random_below(&source, RANKS), kind = random_below(&source, 12);
        if (kind < 3) {
            for (int r = 0; r < RANKS; r++)
                if (random_below(&source, 8) > 0) handle_release(kept[which].handle[r]);
            kept[which] = dispatch();
            continue;
        }
        announce_after(role, &kept[which]);
        if (kind == 3) world.announced[odd] = NULL;
        if (kind == 4) what[odd].handle = kept[(which + 1) % OUT].handle[odd];
        if (kind == 5) what[odd].rows_in++;
        if (kind == 6) what[odd].type = HIERMOE_BF16, what[odd].width *= 2;
        after(role);
        guided += world.settled[odd] == 1;
    }
    assert_true(guided > 20);
    assert_true(world.comm[0].stats.misannounced > 10);
    assert_true(left(HM_REASON_NOT_KEPT) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_four_directions),
        TEST(all_depths_and_ways),
        TEST(after_a_dispatch_that_was_left_alone),
        TEST(what_is_not_allowed_is_compared),
        TEST(one_rank_names_another_dispatch),
        TEST(one_rank_announces_no_combine),
        TEST(a_dispatch_of_another_layer),
        TEST(a_dispatch_with_other_rows),
        TEST(any_mixture_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
