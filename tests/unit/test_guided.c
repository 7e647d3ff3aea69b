/* Description: dispatches that go by their announced map: byte for byte what NCCL delivers, without comparing rows;
 * wrong maps are found before a byte moves. */
#include "tokens.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 6
#define WIDTH 64

static random_t source;
static world_t world;
static tokens_t tokens;
static hiermoe_announcement_t what[RANKS];
static hm_kernels_t counting; /* the host back end, and how often rows were compared, or marked by their map */
static _Atomic int identified, marked;

static int identify_counted(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                            const hm_bits_t *groups, int group_count, int fingerprint_bits, void *work,
                            const hm_identity_t *identity)
{
    identified++;
    return hm_kernels_host.identify(context, stream, rows, bit, groups, group_count, fingerprint_bits, work, identity);
}

static int tokens_counted(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                          const hm_bits_t *groups, int group_count, const hm_tokens_t *said, void *work,
                          const hm_identity_t *identity, const hm_tokens_found_t *found)
{
    marked++;
    return hm_kernels_host.tokens(context, stream, rows, bit, groups, group_count, said, work, identity, found);
}

static void announce(void)
{
    for (int r = 0; r < RANKS; r++) {
        what[r] = tokens_announce(&tokens, r, true);
        world.announced[r] = &what[r];
    }
}

static int set_up(void **state)
{
    (void)state;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "3,2";
    doubles_settings.depth = 2;
    doubles_settings.guided = HM_GUIDED_DISPATCH;
    world_open(&world, RANKS);
    counting = hm_kernels_host;
    counting.identify = identify_counted;
    counting.tokens = tokens_counted;
    identified = marked = 0;
    for (int r = 0; r < RANKS; r++) {
        hm_reason_t reason;
        assert_int_equal(state_create(&world.comm[r], &reason), 0);
        world.comm[r].state->parts.channel.kernels = &counting;
        world.adapters[r] = 77;
    }
    tokens_draw(&source, &tokens, RANKS, WIDTH, true);
    announce();
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
        assert_int_equal(world.settled[r], world.settled[0]);
    }
    assert_int_equal(exchange_check(&world.exchange), 0);
    exchange_free(&world.exchange);
    return world.replaced[0];
}

static void no_row_is_compared(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        assert_true(dispatch_replaced());
        assert_int_equal(world.settled[0], 1);
    }
    assert_int_equal(identified, 0);
    assert_int_equal(marked, 6 * RANKS);
    for (int r = 0; r < RANKS; r++) assert_int_equal(world.comm[r].stats.guided, 6);
    assert_int_equal(doubles_said, 0);
}

/* Guided mode moves the bytes that exact mode moves: the map says what comparing finds. */
static void bytes_are_those_of_exact_mode(void **state)
{
    (void)state;
    assert_true(dispatch_replaced());
    uint64_t guided = world.comm[0].stats.bytes_sent, distinct = world.comm[0].stats.distinct;
    tear_down(NULL);
    set_up(NULL);
    doubles_settings.guided = 0;
    assert_true(dispatch_replaced());
    assert_int_equal(world.settled[0], 0);
    assert_int_equal(marked, 0);
    assert_int_equal(world.comm[0].stats.bytes_sent, guided);
    assert_int_equal(world.comm[0].stats.distinct, distinct);
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
        assert_true(dispatch_replaced());
        assert_int_equal(world.settled[0], 1);
    }
}

/* Fillers: rows of no token, all the same. */
static void fillers_are_one_more_token(void **state)
{
    (void)state;
    for (int s = 0; s < RANKS; s++) {
        size_t rows = tokens_rows_out(&tokens, s);
        for (size_t i = 0; i < rows; i++)
            if (tokens.map[s][i] >= TOKENS_MOST - 9) tokens.map[s][i] = TOKENS_MOST - 9;
    }
    tokens.tokens = TOKENS_MOST - 9;
    doubles_settings.verify = HM_VERIFY_ALL;
    announce();
    assert_true(dispatch_replaced());
    assert_int_equal(world.settled[0], 1);
}

static void narrow_entries(void **state)
{
    int32_t narrow[RANKS][TOKENS_MOST * RANKS * 2];
    (void)state;
    for (int s = 0; s < RANKS; s++) {
        for (size_t i = 0; i < tokens_rows_out(&tokens, s); i++) narrow[s][i] = (int32_t)tokens.map[s][i];
        if (s % 2 == 0) continue; /* ranks need not have the same */
        what[s].map = narrow[s];
        what[s].map_bytes = 4;
    }
    assert_true(dispatch_replaced());
    assert_int_equal(world.settled[0], 1);
}

/* What a wrong map brings: the call is left alone before a byte moves, and rows are compared for good. */
static void wrong_map_is_found(int rank)
{
    assert_false(dispatch_replaced());
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world.comm[r].stats.left[HM_REASON_ROWS_MISANNOUNCED], 1);
        assert_int_equal(world.comm[r].stats.misannounced, 1);
        assert_int_equal(world.settled[r], -EPROTO);
        assert_int_equal(world.comm[r].stats.bytes_sent, 0);
    }
    char text[32];
    snprintf(text, sizeof text, "rank %d announced rows", rank);
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, text));
    announce();
    int before = marked;
    assert_true(dispatch_replaced());
    assert_int_equal(world.settled[0], 0);
    assert_int_equal(marked, before);
    assert_true(identified >= RANKS);
}

static void two_tokens_announced_as_one(void **state)
{
    int64_t wrong[TOKENS_MOST * RANKS * 2];
    (void)state;
    doubles_settings.verify = HM_VERIFY_ALL;
    memcpy(wrong, tokens.map[4], tokens_rows_out(&tokens, 4) * sizeof wrong[0]);
    wrong[5] = wrong[0];
    what[4].map = wrong;
    wrong_map_is_found(4);
}

static void a_token_out_of_range(void **state)
{
    static const int64_t odd[] = {-1, TOKENS_MOST + 1, INT64_MAX, INT64_MIN};
    int64_t wrong[TOKENS_MOST * RANKS * 2];
    (void)state;
    for (int i = 0; i < 4; i++) {
        tear_down(NULL);
        set_up(NULL);
        doubles_settings.verify = HM_VERIFY_NONE; /* seen all the same */
        memcpy(wrong, tokens.map[0], tokens_rows_out(&tokens, 0) * sizeof wrong[0]);
        wrong[3] = odd[i];
        what[0].map = wrong;
        wrong_map_is_found(0);
    }
}

/* All rows but the first are wrong: any sample finds that, not always in the first call. */
static void a_sample_finds_a_wrong_map(void **state)
{
    static int64_t wrong[RANKS][TOKENS_MOST * RANKS * 2];
    int calls = 0;
    (void)state;
    doubles_settings.verify = HM_VERIFY_SAMPLE;
    for (int r = 0; r < RANKS; r++) what[r].map = wrong[r];
    bool found = false;
    while (!found && calls++ < 64) {
        tokens_dispatch(&tokens, &world.exchange);
        world_call(&world);
        exchange_free(&world.exchange);
        found = world.settled[0] == -EPROTO;
    }
    assert_true(found);
    assert_true(calls <= 2);
}

static void a_back_end_without_it_compares_rows(void **state)
{
    (void)state;
    counting.tokens = NULL;
    assert_true(dispatch_replaced());
    assert_int_equal(world.settled[0], 0);
    assert_int_equal(identified, RANKS);
}

static void one_rank_without_memory_leaves_all_alone(void **state)
{
    (void)state;
    hm_settings_t poor = doubles_settings;
    poor.test_fail_alloc = 2; /* the board's memory is the first */
    world.settings[3] = &poor;
    assert_false(dispatch_replaced());
    for (int r = 0; r < RANKS; r++) assert_int_equal(world.comm[r].stats.left[HM_REASON_NO_MEMORY], 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(no_row_is_compared),
        TEST(bytes_are_those_of_exact_mode),
        TEST(all_depths_and_ways),
        TEST(fillers_are_one_more_token),
        TEST(narrow_entries),
        TEST(two_tokens_announced_as_one),
        TEST(a_token_out_of_range),
        TEST(a_sample_finds_a_wrong_map),
        TEST(a_back_end_without_it_compares_rows),
        TEST(one_rank_without_memory_leaves_all_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
