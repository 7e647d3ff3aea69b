/* Description: announced calls while rows are still compared: the announced row size counts, and whatever ranks
 * announce wrongly or differently makes all of them leave the call alone, without a hang and without a wrong byte. */
#include "tokens.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 6
#define WIDTH 64 /* elements of a row */

static random_t source;
static world_t world;
static tokens_t tokens;
static hiermoe_announcement_t what[RANKS];

static int set_up(void **state)
{
    (void)state;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "3,2";
    doubles_settings.depth = 2;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.adapters[r] = 77;
    tokens_draw(&source, &tokens, RANKS, WIDTH, true);
    for (int r = 0; r < RANKS; r++) {
        what[r] = tokens_announce(&tokens, r, true);
        world.announced[r] = &what[r];
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tokens_free(&tokens);
    world_close(&world, RANKS);
    return 0;
}

/* One dispatch as announced now. Every rank must do the same with it, every byte must be right. */
static bool dispatch_replaced(void)
{
    tokens_dispatch(&tokens, &world.exchange);
    world_call(&world);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.result[r], ncclSuccess);
        assert_int_equal(world.replaced[r], world.replaced[0]);
    }
    assert_int_equal(exchange_check(&world.exchange), 0);
    exchange_free(&world.exchange);
    return world.replaced[0];
}

static uint64_t left(hm_reason_t reason)
{
    for (int r = 1; r < RANKS; r++)
        assert_int_equal(world.comm[r].stats.left[reason], world.comm[0].stats.left[reason]);
    return world.comm[0].stats.left[reason];
}

/* The call was left alone on all ranks for this reason, which is counted; ranks that announced it hear of it. */
static void refused(hm_reason_t reason)
{
    assert_int_equal(left(reason), 1);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.comm[r].stats.misannounced, 1);
        assert_int_equal(world.settled[r], world.announced[r] != NULL ? -EPROTO : -ENOMSG);
    }
    assert_int_equal(doubles_said, 1);
}

/* The job goes on: the same call, announced rightly on all ranks, is replaced. */
static void goes_on(void)
{
    for (int r = 0; r < RANKS; r++) {
        what[r] = tokens_announce(&tokens, r, true);
        world.announced[r] = &what[r];
    }
    assert_true(dispatch_replaced());
    assert_int_equal(world.settled[0], 0);
}

static void announced_calls_are_replaced_as_ever(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) assert_true(dispatch_replaced());
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.settled[r], 0);
        assert_int_equal(world.made[r], 0); /* nothing is kept: HIERMOE_GUIDED is empty */
        assert_int_equal(world.comm[r].stats.announced, 5);
        assert_int_equal(world.comm[r].stats.guided, 0);
        assert_int_equal(world.comm[r].stats.agreements, 5);
    }
    assert_int_equal(doubles_said, 0);
}

/* Four rows for each rank. */
static void splits_equal(void)
{
    for (int s = 0; s < RANKS; s++) {
        for (int r = 0; r < RANKS; r++) tokens.rows[s][r] = 4;
        for (int i = 0; i < 4 * RANKS; i++) tokens.map[s][i] = (i * 7 + i / 4) % 24;
    }
}

/* Rows that pass for larger ones by all counts, as those of equal splits do: their size need not be searched for. */
static void the_announced_row_size_counts(void **state)
{
    (void)state;
    splits_equal();
    for (int r = 0; r < RANKS; r++) what[r] = tokens_announce(&tokens, r, false);
    assert_true(dispatch_replaced());
    assert_int_equal(world.comm[0].stats.rows, 4 * RANKS);
    assert_int_equal(world.comm[0].state->parts.agree.ballot.sequence, 1);
    tear_down(NULL);
    set_up(NULL);
    splits_equal();
    for (int r = 0; r < RANKS; r++) world.announced[r] = NULL;
    dispatch_replaced();
    assert_true(world.comm[0].state->parts.agree.ballot.sequence > 1);
}

static void a_setting_gives_way_to_what_is_announced(void **state)
{
    (void)state;
    doubles_settings.row_bytes = WIDTH * 4 * 16;
    assert_true(dispatch_replaced());
    assert_int_equal(world.comm[0].stats.announced, 1);
}

static void small_rows_are_left_alone(void **state)
{
    (void)state;
    tokens_free(&tokens);
    tokens_draw(&source, &tokens, RANKS, 4, false);
    for (int r = 0; r < RANKS; r++) what[r] = tokens_announce(&tokens, r, true);
    assert_false(dispatch_replaced());
    assert_int_equal(left(HM_REASON_ROWS_TOO_SMALL), 1);
    assert_int_equal(world.settled[0], 0);
}

static void one_rank_announces_nothing(void **state)
{
    (void)state;
    world.announced[3] = NULL;
    assert_false(dispatch_replaced());
    refused(HM_REASON_ANNOUNCED_OTHERWISE);
    assert_non_null(strstr(doubles_text, "rank 3 announced another"));
    goes_on();
}

static void one_rank_alone_announces(void **state)
{
    (void)state;
    for (int r = 0; r < RANKS; r++)
        if (r != 4) world.announced[r] = NULL;
    assert_false(dispatch_replaced());
    refused(HM_REASON_ANNOUNCED_OTHERWISE);
    goes_on();
}

/* Each of them on one rank, the last or the first. */
static void ranks_announce_different_calls(void **state)
{
    enum { KINDS = 5 };
    static const hiermoe_layer_t other = {sizeof other, "other", NULL};
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        int odd = kind % 2 ? 0 : RANKS - 1;
        hiermoe_announcement_t *wrong = &what[odd];
        if (kind == 0) wrong->type = HIERMOE_BYTES, wrong->width *= 4;
        if (kind == 1) wrong->map_bytes = 0, wrong->map = NULL;
        if (kind == 2) assert_int_equal(layers_open(&other, &wrong->layer), 0);
        if (kind == 3) wrong->role = HIERMOE_COMBINE, wrong->map_bytes = 0, wrong->map = NULL;
        if (kind == 4) wrong->role = HIERMOE_OPAQUE, wrong->map_bytes = 0, wrong->map = NULL;
        assert_false(dispatch_replaced());
        refused(HM_REASON_ANNOUNCED_OTHERWISE);
        goes_on();
        tear_down(NULL);
        set_up(NULL);
    }
}

static void one_rank_announces_rows_that_it_does_not_have(void **state)
{
    (void)state;
    what[2].rows_in++;
    assert_false(dispatch_replaced());
    refused(HM_REASON_MISANNOUNCED);
    assert_non_null(strstr(doubles_text, "receive"));
    goes_on();
}

static void all_ranks_announce_another_row_size(void **state)
{
    (void)state;
    for (int r = 0; r < RANKS; r++) what[r].width--;
    assert_false(dispatch_replaced());
    assert_int_equal(left(HM_REASON_MISANNOUNCED), 1);
    for (int r = 0; r < RANKS; r++) assert_int_equal(world.settled[r], -EPROTO);
    goes_on();
}

static void opaque_calls_are_left_alone_and_no_rows_are_compared(void **state)
{
    (void)state;
    for (int r = 0; r < RANKS; r++)
        what[r] = (hiermoe_announcement_t){
            .size = sizeof what[r], .role = HIERMOE_OPAQUE, .layer = -1, .rows_out = UINT64_MAX, .rows_in = UINT64_MAX};
    for (int i = 0; i < 20; i++) assert_false(dispatch_replaced());
    assert_true(left(HM_REASON_OPAQUE) >= 2);
    assert_true(left(HM_REASON_NO_GAIN_LATELY) >= 10); /* they are not asked about for long */
    assert_int_equal(world.comm[0].stats.rows, 0);
    assert_int_equal(world.comm[0].stats.misannounced, 0);
    assert_int_equal(world.settled[0], 0);
    assert_int_equal(doubles_said, 0);
}

static void announcements_are_ignored_where_ranks_have_other_adapters(void **state)
{
    static const uint64_t wrong[] = {0, 78};
    (void)state;
    for (int i = 0; i < 2; i++) {
        world.adapters[5] = wrong[i];
        if (i == 0) world.announced[5] = NULL;
        assert_true(dispatch_replaced());
        assert_int_equal(world.comm[0].stats.announced, 0);
        assert_int_equal(world.comm[0].stats.misannounced, 0);
        assert_int_equal(world.settled[0], 0);
        assert_int_equal(doubles_said, 1);
        assert_non_null(strstr(doubles_text, "rank 5 has attached other adapters than rank 0"));
        tear_down(NULL);
        set_up(NULL);
    }
}

/* Announced and unannounced calls by turns, wrong ones among them, for long: whatever is learned from it, it is learned
 * alike, so that no rank ever waits for another. */
static void any_mixture_goes_on(void **state)
{
    int replaced = 0;
    (void)state;
    for (int i = 0; i < 300; i++) {
        for (int r = 0; r < RANKS; r++) {
            what[r] = tokens_announce(&tokens, r, i % 3 == 0);
            world.announced[r] = &what[r];
            if (i % 5 == 0) world.announced[r] = NULL;
        }
        size_t odd = random_below(&source, RANKS * 4);
        if (odd < RANKS) world.announced[odd] = NULL;
        if (odd < RANKS && i % 2) what[odd].width *= 2;
        if (odd >= RANKS && odd < 2 * RANKS) what[odd - RANKS].rows_in++;
        replaced += dispatch_replaced();
    }
    assert_true(replaced > 30 && replaced < 290);
    assert_true(world.comm[0].stats.misannounced > 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(announced_calls_are_replaced_as_ever),
        TEST(the_announced_row_size_counts),
        TEST(a_setting_gives_way_to_what_is_announced),
        TEST(small_rows_are_left_alone),
        TEST(one_rank_announces_nothing),
        TEST(one_rank_alone_announces),
        TEST(ranks_announce_different_calls),
        TEST(one_rank_announces_rows_that_it_does_not_have),
        TEST(all_ranks_announce_another_row_size),
        TEST(opaque_calls_are_left_alone_and_no_rows_are_compared),
        TEST(announcements_are_ignored_where_ranks_have_other_adapters),
        TEST(any_mixture_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
