/* Description: the calls after a guided dispatch: sums on the way back, the same way again, and handles that are
 * released late, on one rank only, or never. Whatever ranks announce wrongly, all of them leave the call alone. */
#include "tokens.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 6
#define WIDTH 64

static random_t source;
static world_t world;
static tokens_t tokens;
static hiermoe_announcement_t what[RANKS];

/* The handles of one dispatch, by rank. */
typedef struct kept {
    hiermoe_handle_t handle[RANKS];
} kept_t;

static int set_up(void **state)
{
    (void)state;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "3,2";
    doubles_settings.depth = 2;
    doubles_settings.mode = HM_MODE_GUIDED;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.adapters[r] = 77;
    tokens_draw(&source, &tokens, RANKS, WIDTH, true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tokens_free(&tokens);
    world_close(&world, RANKS);
    return 0;
}

/* One call, as announced. Every rank must do the same with it. Whether it was carried out. */
static bool call_make(void)
{
    world_call(&world);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.result[r], ncclSuccess);
        assert_int_equal(world.replaced[r], world.replaced[0]);
        world.announced[r] = NULL;
    }
    return world.replaced[0];
}

/* A dispatch of new bytes, and its handles. */
static kept_t dispatch(void)
{
    kept_t kept;
    tokens_redraw(&source, &tokens);
    for (int r = 0; r < RANKS; r++) {
        what[r] = tokens_announce(&tokens, r, true);
        world.announced[r] = &what[r];
    }
    tokens_dispatch(&tokens, &world.exchange);
    call_make();
    assert_int_equal(exchange_check(&world.exchange), 0);
    exchange_free(&world.exchange);
    memcpy(kept.handle, world.made, sizeof kept.handle);
    return kept;
}

static void announce_after(uint32_t role, const kept_t *kept)
{
    for (int r = 0; r < RANKS; r++) {
        what[r] = tokens_announce_after(&tokens, r, role, kept->handle[r]);
        world.announced[r] = &what[r];
    }
}

/* A call after a dispatch as announced now: right whatever becomes of it. Whether it was carried out. */
static bool after(uint32_t role)
{
    bool again = role == HIERMOE_COMBINE_BACKWARD;
    if (again) tokens_redraw(&source, &tokens);
    if (again)
        tokens_dispatch(&tokens, &world.exchange);
    else
        tokens_back(&source, &tokens, &world.exchange);
    uint64_t guided = world.comm[0].stats.guided;
    bool replaced = call_make();
    bool summed = world.comm[0].stats.guided > guided && !again;
    if (!summed) assert_int_equal(exchange_check(&world.exchange), 0);
    if (!again) assert_int_equal(tokens_sums_wrong(&tokens, &world.exchange, summed), 0);
    exchange_free(&world.exchange);
    return replaced;
}

static bool along(uint32_t role, const kept_t *kept)
{
    announce_after(role, kept);
    return after(role);
}

static void release(const kept_t *kept)
{
    for (int r = 0; r < RANKS; r++) handle_release(kept->handle[r]);
}

static size_t held(int rank)
{
    size_t count = 0;
    for (const hm_held_t *at = world.comm[rank].state->parts.pool.held; at != NULL; at = at->next) count++;
    return count;
}

static uint64_t left(hm_reason_t reason)
{
    for (int r = 1; r < RANKS; r++)
        assert_int_equal(world.comm[r].stats.left[reason], world.comm[0].stats.left[reason]);
    return world.comm[0].stats.left[reason];
}

static void refused(hm_reason_t reason)
{
    assert_int_equal(left(reason), 1);
    assert_int_equal(world.comm[0].stats.misannounced, 1);
}

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
        TEST(many_dispatches_at_a_time),
        TEST(memory_is_used_again),
        TEST(leaked_handles_stay_under_the_cap),
        TEST(one_rank_releases_nothing),
        TEST(without_memory_nothing_is_kept),
        TEST(after_a_dispatch_that_was_left_alone),
        TEST(what_is_not_allowed_is_compared),
        TEST(one_rank_names_another_dispatch),
        TEST(one_rank_has_released_it),
        TEST(one_rank_announces_no_combine),
        TEST(a_dispatch_of_another_layer),
        TEST(a_dispatch_with_other_rows),
        TEST(a_dispatch_of_another_communicator),
        TEST(any_mixture_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
