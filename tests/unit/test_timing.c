/* Description: what calls took, on ranks that see times of their own, and what is learned from it and counted. */
#include "world.h"

#include "../../shim/state.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 6
#define ROW 512
#define CALLS 12

static hm_kernels_t told;
static hm_settings_t own[RANKS];
static const world_t *ranks_now;

/* Rank r has agreed after 3 + r ms and transferred after 20 + 10 r more. */
static int span_told(hm_context_t *context, int from, int to, double *ms)
{
    (void)context;
    ptrdiff_t rank = doubles_own - own;
    from %= HM_MARKS / 2, to %= HM_MARKS / 2;
    if (from > 1 || to != from + 1) return -EAGAIN;
    *ms = from == 0 ? 3 + (double)rank : 20 + 10 * (double)rank;
    return 0;
}

/* Every rank sends the same two rows to every rank. */
static void exchange_make(exchange_t *exchange)
{
    *exchange = (exchange_t){.ranks = RANKS, .row_bytes = ROW};
    for (int s = 0; s < RANKS; s++) {
        exchange->memory[s] = malloc(2 * ROW);
        memset(exchange->memory[s], s, ROW);
        memset(exchange->memory[s] + ROW, 100 + s, ROW);
        for (int r = 0; r < RANKS; r++) {
            exchange->rows[s][r] = 2;
            exchange->send[s][r] = exchange->memory[s];
            exchange->recv[r][s] = malloc(2 * ROW + 8);
            memset(exchange->recv[r][s], 0xA5, 2 * ROW + 8);
        }
    }
}

static void call_make(world_t *world, bool replaced)
{
    world_call(world);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(world->result[r], ncclSuccess);
        assert_int_equal(world->replaced[r], replaced);
    }
    assert_int_equal(exchange_check(&world->exchange), 0);
}

static int setup(void **context)
{
    (void)context;
    doubles_reset();
    doubles_settings.topo = "3,2";
    doubles_settings.depth = 2;
    doubles_settings.row_bytes = ROW; /* with equal counts there is no telling */
    for (int r = 0; r < RANKS; r++) own[r] = doubles_settings;
    told = hm_kernels_host;
    told.span = span_told;
    return 0;
}

/* The last rank to come in saw the shortest lead, and all wait for the slowest transfer: 3 + 70 ms. What a call took is
 * known two calls later, and predicted from then on. */
static void all_learn_the_last_rank_s_lead_and_the_slowest_transfer(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.settings[r] = &own[r];
    exchange_make(&world.exchange);
    for (int i = 0; i < CALLS; i++) {
        call_make(&world, true);
        for (int r = 0; r < RANKS; r++) world.comm[r].state->parts.channel.kernels = &told;
    }
    for (int r = 0; r < RANKS; r++) {
        const hm_stats_t *stats = &world.comm[r].stats;
        const hm_timed_t *last = &world.comm[r].state->parts.know.clock.timed[CALLS % 2];
        uint64_t times = CALLS - 2, lead = 3001, transfer = 70001;
        assert_int_equal(stats->timed, times);
        assert_int_equal(stats->timed_lead_us, times * lead);
        assert_int_equal(stats->timed_us, times * (lead + transfer));
        const hm_policy_t *policy = &world.comm[r].state->parts.know.policy;
        const hm_ring_t *ratio = &policy->kind[policy->expected - 1].arms.arm[2].ratio;
        assert_int_equal(ratio->kept, times);
        for (int i = 0; i < (int)times; i++) assert_float_equal(ratio->value[i] * last->model_ms, 70.001, 1e-4);
        assert_float_equal(last->predicted_ms, 73.002, 1e-4);
        /* The first lead does not count: that look made connections. */
        uint64_t planned = 2 * stats_us(last->model_ms) + transfer + (times - 3) * (lead + transfer);
        assert_in_range(stats->timed_plan_us, planned - 20, planned + 20);
    }
    exchange_free(&world.exchange);
    world_close(&world, RANKS);
}

/* What was looked at and what would have been sent, on each rank. */
static void rows_and_bytes_are_counted(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    exchange_make(&world.exchange);
    for (int i = 0; i < 3; i++) call_make(&world, true);
    for (int r = 0; r < RANKS; r++) {
        const hm_stats_t *stats = &world.comm[r].stats;
        assert_int_equal(stats->rows, 3 * 2 * RANKS);
        assert_int_equal(stats->distinct, 3 * 2);
        assert_int_equal(stats->bytes_raw, 3 * 2 * (RANKS - 1) * ROW);
        assert_int_equal(stats->bytes_raw_outer, 3 * 2 * (RANKS - 2) * ROW);
        assert_in_range(stats->bytes_sent_outer, 3 * 2 * 2 * ROW, 3 * 2 * 2 * ROW + 3 * 16 * 64);
        assert_int_equal(world.comm[r].seat.nodes, 3);
        assert_int_equal(world.comm[r].seat.node, r / 2);
        assert_int_equal(stats->raw_to[r / 2], 3 * 2 * ROW);
        /* Two rows to each of two nodes and to the neighbour; what comes for it from other nodes is sent on. */
        assert_in_range(stats->bytes_sent, 3 * 2 * 5 * ROW, 3 * 2 * 5 * ROW + 3 * 16 * 64);
        assert_int_equal(stats->planned, 3);
        assert_true(stats->plain_us != stats->plan_us);
    }
    exchange_free(&world.exchange);
    world_close(&world, RANKS);
}

static void min_bytes_is_a_rank_s_mean(void **context)
{
    (void)context;
    static const size_t least[] = {2 * RANKS * ROW, 2 * RANKS * ROW + 1, SIZE_MAX / 2};
    for (int i = 0; i < 3; i++) {
        world_t world;
        doubles_settings.min_bytes = least[i];
        world_open(&world, RANKS);
        exchange_make(&world.exchange);
        call_make(&world, i == 0);
        assert_int_equal(world.comm[1].stats.left[HM_REASON_TOO_SMALL], i > 0);
        exchange_free(&world.exchange);
        world_close(&world, RANKS);
    }
}

/* As span_told, but a call left alone takes 1 ms. */
static int span_shorter_alone(hm_context_t *context, int from, int to, double *ms)
{
    int status = span_told(context, from, to, ms);
    ptrdiff_t rank = doubles_own - own;
    if (status == 0 && from % (HM_MARKS / 2) == 1 && ranks_now->comm[rank].state->parts.know.clock.read.depth == 0)
        *ms = 1;
    return status;
}

/* Between nodes everything is slow: whatever saves a row there pays, the profile says. */
static void profiles_set(world_t *world)
{
    for (int r = 0; r < RANKS; r++) {
        hm_profile_t *profile = &world->comm[r].state->parts.know.profile;
        profile->intra[0] = profile->inter[1] = (hm_link_t){.beta_ms = 1e-4};
        profile->intra[1] = (hm_link_t){.beta_ms = 1e-7};
        profile->agree_ms = profile->identify_ms = profile->pack_ms = 0;
        world->comm[r].state->parts.channel.kernels = &told;
    }
}

static void calls_that_take_longer_replaced_are_left_alone_soon(void **context)
{
    (void)context;
    enum { CALLS_MOST = 150 };
    world_t world;
    doubles_settings.depth = -1;
    for (int r = 0; r < RANKS; r++) own[r] = doubles_settings;
    told.span = span_shorter_alone;
    ranks_now = &world;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.settings[r] = &own[r];
    exchange_make(&world.exchange);
    for (int i = 0; i < CALLS_MOST; i++) {
        world_call(&world);
        assert_int_equal(exchange_check(&world.exchange), 0);
        if (i == 0) profiles_set(&world);
        for (int r = 0; r < RANKS; r++) {
            assert_int_equal(world.replaced[r], world.replaced[0]);
        }
    }
    for (int r = 0; r < RANKS; r++) {
        const hm_stats_t *stats = &world.comm[r].stats;
        assert_in_range(stats->replaced, 3, 10); /* each depth is tried */
        assert_true(stats->depth[1] > 0 && stats->depth[2] > 0);
        assert_in_range(stats->left[HM_REASON_TRIAL], 1, 10);
        assert_true(stats->left[HM_REASON_NO_GAIN_LATELY] > CALLS_MOST / 2);
        assert_int_equal(stats->replaced + stats->left[HM_REASON_TRIAL] + stats->left[HM_REASON_NO_GAIN] +
                             stats->left[HM_REASON_NO_GAIN_LATELY],
                         CALLS_MOST);
        assert_false(world.replaced[r]);
    }
    exchange_free(&world.exchange);
    world_close(&world, RANKS);
}

/* Who asks for a depth gets it. */
static void no_call_is_left_alone_to_learn_where_the_depth_is_set(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    exchange_make(&world.exchange);
    for (int i = 0; i < 60; i++) call_make(&world, true);
    exchange_free(&world.exchange);
    world_close(&world, RANKS);
}

/* Each rank says what its own host saw of the last look; all go by rank 0's time between tables and the longest wait.
 */
static void spans_are_rank_0_s_and_waits_the_longest(void **context)
{
    (void)context;
    world_t world;
    world_open(&world, RANKS);
    exchange_make(&world.exchange);
    for (int i = 0; i < 8; i++) {
        uint32_t span = 0, wait = 0;
        double clock_ms[RANKS] = {0};
        for (int r = 0; r < RANKS && i > 0; r++) {
            const hm_know_t *know = &world.comm[r].state->parts.know;
            clock_ms[r] = know->policy.trial.clock_ms;
            assert_int_equal(know->clock.span_us > 0, i > 1);
            assert_true(know->clock.wait_us > 0);
            if (r == 0) span = know->clock.span_us;
            if (know->clock.wait_us > wait) wait = know->clock.wait_us;
        }
        call_make(&world, true);
        for (int r = 0; r < RANKS; r++) {
            const hm_policy_t *policy = &world.comm[r].state->parts.know.policy;
            assert_float_equal(policy->trial.clock_ms - clock_ms[r], 1e-3 * span, 1e-6 * span);
            assert_int_equal(policy->looks.wait.kept, i);
            if (i > 0) assert_float_equal(policy->looks.wait.value[i - 1], 1e-3 * wait, 1e-6 * wait);
        }
    }
    exchange_free(&world.exchange);
    world_close(&world, RANKS);
}

/* A call left alone is none that was replaced, and what looking at it cost is not held against it. */
static void a_call_left_alone_is_held_against_its_transfer(void **context)
{
    (void)context;
    hm_know_t know;
    hm_comm_t comm = {.ranks = 2, .rank = 0};
    hm_agreement_t agreement = {.times = {.lead_us = 500, .transfer_us = 4000}};
    memset(&know, 0, sizeof know);
    for (int depth = 0; depth < 2; depth++) {
        const hm_ring_t *ratio = &know.policy.kind[0].arms.arm[depth].ratio;
        know.policy.look[0] = (hm_look_t){.able = true, .kind = 1, .depth = depth, .model_ms = 1};
        know.clock.read = (hm_timed_t){.planned = true, .depth = depth, .model_ms = 1, .predicted_ms = 1.5};
        agreement.times.timed = false;
        know_times_take(&know, &comm, &agreement);
        assert_int_equal(ratio->kept, 0);
        agreement.times.timed = true;
        for (int i = 0; i < 2; i++) know_times_take(&know, &comm, &agreement);
        assert_int_equal(ratio->kept, 2);
        assert_float_equal(ratio->value[0], 4, 1e-6);
        assert_int_equal(comm.stats.timed, 2 * depth);
    }
    assert_int_equal(comm.stats.timed_us, 2 * 4500);
    assert_int_equal(comm.stats.timed_lead_us, 2 * 500);
    assert_int_equal(comm.stats.timed_plan_us, 2 * 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_learn_the_last_rank_s_lead_and_the_slowest_transfer, setup),
        cmocka_unit_test_setup(rows_and_bytes_are_counted, setup),
        cmocka_unit_test_setup(min_bytes_is_a_rank_s_mean, setup),
        cmocka_unit_test_setup(calls_that_take_longer_replaced_are_left_alone_soon, setup),
        cmocka_unit_test_setup(no_call_is_left_alone_to_learn_where_the_depth_is_set, setup),
        cmocka_unit_test_setup(spans_are_rank_0_s_and_waits_the_longest, setup),
        cmocka_unit_test_setup(a_call_left_alone_is_held_against_its_transfer, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
