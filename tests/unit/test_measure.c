/* Description: a measurement takes the way that calls take, whatever memory the ranks have, and all ranks come out of
 * it with links for every level.
 */
#include "world.h"

#include "../../shim/meet/measure.h"
#include "../../shim/meet/measure_flavour.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define RANKS 10
#define LARGEST ((size_t)128 << 10)

static random_t source;
static hm_measure_sizes_t sizes;
static hm_settings_t slow_settings; /* of the rank that moves slowly */
static hm_kernels_t slow;
static _Atomic int delay_us, moves;

/* All moves of the slow rank are late, and later ones are later, so that ranks see times of their own. */
static int move_slowly(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count)
{
    if (doubles_own == &slow_settings && delay_us > 0)
        nanosleep(&(struct timespec){0, 1000L * (delay_us + moves++)}, NULL);
    return hm_kernels_host.move(context, stream, jobs, count);
}

typedef struct rank_measure {
    world_t *world;
    int rank;
    hm_profile_t profile;
    bool done;
    int status;
} rank_measure_t;

static void *rank_measure_run(void *argument)
{
    rank_measure_t *mine = argument;
    hm_comm_t *comm = &mine->world->comm[mine->rank];
    doubles_own = mine->world->settings[mine->rank];
    mine->profile = comm->state->parts.know.profile;
    mine->status = measure_run(&comm->state->parts, &sizes, &mine->profile, &mine->done);
    return NULL;
}

/* Lets ranks meet over one call that is left alone, then measure; `own` are then the settings of rank 2 if not NULL.
 * Returns the bytes that NCCL carried meanwhile, and (measured, unless NULL) what came out. */
static size_t world_measure(world_t *world, const hm_settings_t *own, bool done, hm_profile_t *measured)
{
    pthread_t thread[RANKS];
    rank_measure_t rank[RANKS];
    world_open(world, RANKS);
    assert_false(world_exchange(&source, world, RANKS, 512));
    world->settings[2] = own;
    threads_world_bytes(world->nccl);
    for (int r = 0; r < RANKS; r++) {
        world->comm[r].state->parts.channel.kernels = &slow;
        rank[r] = (rank_measure_t){.world = world, .rank = r};
        assert_int_equal(pthread_create(&thread[r], NULL, rank_measure_run, &rank[r]), 0);
    }
    for (int r = 0; r < RANKS; r++) pthread_join(thread[r], NULL);
    for (int r = 0; r < RANKS; r++) {
        const hm_profile_t *profile = &rank[r].profile;
        assert_int_equal(rank[r].status, 0);
        assert_int_equal(rank[r].done, done);
        if (!done) continue;
        assert_float_equal(profile->pack_ms, rank[0].profile.pack_ms, 0);
        assert_float_equal(profile->agree_ms, rank[0].profile.agree_ms, 0);
        assert_in_range(profile->intra[0].samples, 2, 3);
        assert_in_range(profile->intra[1].samples, 2, 3);
        assert_in_range(profile->inter[1].samples, 2, 3);
        assert_true(profile->agree_ms > 0);
        /* So small sizes may all take alike, and then no byte costs anything. */
        assert_true(profile->few_ms[1] <= profile->inter[1].beta_ms);
        assert_true(profile->few_ms[1] > 0 || !(profile->inter[1].beta_ms > 0));
    }
    if (measured != NULL) *measured = rank[0].profile;
    return threads_world_bytes(world->nccl);
}

static int setup(void **context)
{
    (void)context;
    doubles_reset();
    doubles_settings.topo = "2,5";
    doubles_settings.min_bytes = 0;
    doubles_settings.depth = 0;
    source.state = random_seed();
    sizes = (hm_measure_sizes_t){.count = 3, .bytes = {4096, 16384, LARGEST}};
    slow = hm_kernels_host;
    slow.move = move_slowly;
    delay_us = moves = 0;
    return 0;
}

/* Calls read near ranks' memory, so that is what is timed; the scratch they read from serves the calls as well. */
static void near_ranks_are_measured_through_windows(void **context)
{
    (void)context;
    world_t world;
    size_t bytes[2];
    for (int windows = 0; windows < 2; windows++) {
        doubles_settings.windows = windows != 0;
        bytes[windows] = world_measure(&world, NULL, true, NULL);
        for (int r = 0; r < RANKS; r++) {
            const hm_state_t *state = world.comm[r].state;
            assert_int_equal(state->parts.carry.windows.use, windows != 0 ? HM_WINDOWS_ON : HM_WINDOWS_OFF);
            assert_int_equal(state->parts.carry.scratch.shared, windows);
            assert_int_equal(state->parts.carry.scratch.kept, 0);
        }
        world_close(&world, RANKS);
    }
    /* At least three times the largest buffer of each rank, of which four fifths go to near ranks. */
    assert_true(bytes[0] > bytes[1] + 3 * RANKS * LARGEST * 4 / 5);
}

/* The first allocation was the table's. Then come the measurement's, a probe and the scratch; without these two the
 * rest is measured all the same. */
static void memory_that_one_rank_lacks_is_done_without_by_all(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.windows = true;
    for (long fails = 1; fails <= 3; fails++) {
        hm_settings_t own = doubles_settings;
        own.test_fail_alloc = fails;
        world_measure(&world, &own, fails > 1, NULL);
        for (int r = 0; r < RANKS; r++) {
            assert_false(world.comm[r].state->parts.carry.scratch.shared);
            assert_true(world.comm[r].state->met);
        }
        world_close(&world, RANKS);
    }
}

/* How often each size is repeated hangs on times; a rank that went by its own would leave the others waiting. */
static void a_slow_rank_slows_what_all_ranks_see(void **context)
{
    (void)context;
    world_t world;
    hm_profile_t profile;
    doubles_settings.gather = HM_GATHER_RAILS;
    slow_settings = doubles_settings;
    delay_us = 3000;
    sizes.budget_ms = 400;
    world_measure(&world, &slow_settings, true, &profile);
    assert_true(world.comm[0].stats.rails > 0);
    assert_true(profile.agree_ms > 3); /* the delay of the slow rank, seen by rank 0 */
    assert_int_equal(threads_world_errors(world.nccl), 0);
    world_close(&world, RANKS);
}

/* More than near ranks' scratch holds is read from it again and again. */
static void large_buffers_are_measured_through_small_windows(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.windows = true;
    doubles_settings.topo = "5,2";
    sizes = (hm_measure_sizes_t){2, 1, {4096, (size_t)20 << 20}};
    world_measure(&world, NULL, true, NULL);
    assert_true(world.comm[0].state->parts.carry.scratch.shared &&
                world.comm[0].state->parts.carry.scratch.capacity < sizes.bytes[1] / 2);
    world_close(&world, RANKS);
}

typedef struct rank_flavour {
    world_t *world;
    int rank, status;
    hm_flavour_t flavour;
    double ms;     /* told */
    double all_ms; /* with the pause */
} rank_flavour_t;

static void *rank_flavour_run(void *argument)
{
    rank_flavour_t *mine = argument;
    hm_comm_t *comm = &mine->world->comm[mine->rank];
    hm_measure_t measure = {.parts = &comm->state->parts, .bytes = LARGEST, .flavour = mine->flavour, .level = 1};
    struct timespec begin, end;
    doubles_own = mine->world->settings[mine->rank];
    mine->status = measure_memory_make(&measure);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (mine->status == 0) mine->status = measure_flavour_time(&measure, LARGEST, &mine->ms);
    clock_gettime(CLOCK_MONOTONIC, &end);
    mine->all_ms = 1e3 * (double)(end.tv_sec - begin.tv_sec) + 1e-6 * (double)(end.tv_nsec - begin.tv_nsec);
    measure_memory_free(&measure);
    return NULL;
}

/* Of two nodes of five ranks: all ranks, the ranks of one node, or one of each. A wire's rest before each is no part of
 * its time. */
static void flavours_differ_in_who_sends(void **context)
{
    (void)context;
    static const struct {
        hm_flavour_t flavour;
        int senders;
    } cases[] = {{FLAVOUR_INTER, RANKS}, {FLAVOUR_FEW, RANKS / 2}, {FLAVOUR_ALONE, 2}};
    world_t world;
    world_open(&world, RANKS);
    assert_false(world_exchange(&source, &world, RANKS, 512));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pthread_t thread[RANKS];
        rank_flavour_t rank[RANKS];
        threads_world_bytes(world.nccl);
        for (int r = 0; r < RANKS; r++) {
            rank[r] = (rank_flavour_t){.world = &world, .rank = r, .flavour = cases[i].flavour};
            assert_int_equal(pthread_create(&thread[r], NULL, rank_flavour_run, &rank[r]), 0);
        }
        for (int r = 0; r < RANKS; r++) pthread_join(thread[r], NULL);
        for (int r = 0; r < RANKS; r++) {
            assert_int_equal(rank[r].status, 0);
            assert_float_equal(rank[r].ms, rank[0].ms, 0);
            assert_true(rank[r].all_ms >= rank[r].ms + MEASURE_PAUSE_MS);
        }
        /* Half a buffer each, to the rail peer; times are told beside it. */
        size_t data = (size_t)cases[i].senders * LARGEST / 2;
        assert_in_range(threads_world_bytes(world.nccl), data, data + 16384);
    }
    world_close(&world, RANKS);
}

static void sizes_are_read_or_refused(void **context)
{
    (void)context;
    hm_measure_sizes_t read;
    assert_int_equal(measure_sizes_parse("1024,64k,2M,1g", &read), 0);
    assert_int_equal(read.count, 4);
    assert_int_equal(read.bytes[3], 1 << 30);
    static const char *const bad[] = {"",
                                      "64K",
                                      "64K,",
                                      "64K,64K",
                                      "64K,4K",
                                      "1,2",
                                      "1M,x",
                                      "1M,2MB",
                                      "-1M,2M",
                                      "1K,2K,3K,4K,5K,6K,7K,8K,9K",
                                      "1K,99999999999999999999G",
                                      "1K 2K"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (measure_sizes_parse(bad[i], &read) == 0) fail_msg("\"%s\" was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(near_ranks_are_measured_through_windows, setup),
        cmocka_unit_test_setup(memory_that_one_rank_lacks_is_done_without_by_all, setup),
        cmocka_unit_test_setup(flavours_differ_in_who_sends, setup),
        cmocka_unit_test_setup(a_slow_rank_slows_what_all_ranks_see, setup),
        cmocka_unit_test_setup(large_buffers_are_measured_through_small_windows, setup),
        cmocka_unit_test(sizes_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
