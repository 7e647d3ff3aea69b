/* Description: the whole way of a replaced call, ranks as threads: thousands of random calls against what plain NCCL
 * would have delivered. HM_TEST_SEED=N repeats a run, HM_TEST_WORLDS=N says how many communicators. */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CALLS 12

/* The host back end, and a count of moves enqueued together of which one writes where another reads or writes: a GPU
 * may run them in any order. */
static hm_kernels_t watched;
static _Atomic int collisions;

typedef struct range {
    const char *from, *to;
} range_t;

static range_t range_of(const void *at, size_t stride, const hm_move_job_t *job)
{
    const char *from = at;
    return (range_t){from, stride == job->width ? from + job->rows * job->width : from}; /* with gaps: not looked at */
}

static bool ranges_meet(range_t a, range_t b)
{
    return a.from < b.to && b.from < a.to;
}

static int move_watched(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count)
{
    for (int i = 0; i < count; i++) {
        range_t to = range_of(jobs[i].dst, jobs[i].dst_stride, &jobs[i]);
        for (int j = 0; j < count; j++) {
            bool plain = jobs[j].index == NULL && jobs[j].segments == NULL;
            if (j != i && ranges_meet(to, range_of(jobs[j].dst, jobs[j].dst_stride, &jobs[j]))) collisions++;
            if (plain && ranges_meet(to, range_of(jobs[j].src, jobs[j].src_stride, &jobs[j]))) collisions++;
        }
    }
    return hm_kernels_host.move(context, stream, jobs, count);
}

/* Whether there are several outermost groups, and all of one size above 1. */
static bool groups_equal(const hm_topo_t *topo)
{
    bool equal = topo->levels > 1;
    for (int g = 1; g < topo->groups[1] && equal; g++)
        equal = topo_group_size(topo, 1, g) == topo_group_size(topo, 1, 0);
    return equal;
}

/* Puts ranks on random nodes and sockets, as interleaved and uneven as they come, without the first agreement. nodes:
 * above 0, so many equal ones. */
static void topology_draw(random_t *random, world_t *world, int ranks, int nodes)
{
    uint64_t keys[3][RANKS_MAX];
    const hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_SHM, HM_WIRE_SHM, HM_WIRE_SHM, HM_WIRE_SHM, HM_WIRE_SHM};
    int levels = (int)random_below(random, 4);
    for (int l = 0; l < 3; l++) {
        size_t domains = 1 + random_below(random, 4);
        bool blocks = random_below(random, 2);
        for (int r = 0; r < ranks; r++)
            keys[l][r] = blocks ? (size_t)r * domains / (size_t)ranks : random_below(random, domains);
    }
    for (int r = 0; r < ranks && nodes > 0; r++) keys[0][r] = (uint64_t)(ranks % 2 ? r % nodes : r / (ranks / nodes));
    if (nodes > 0 && levels == 0) levels = 1;
    for (int r = 0; r < ranks; r++) {
        hm_reason_t reason;
        hm_topo_t *topo;
        assert_int_equal(state_create(&world->comm[r], &reason), 0);
        hm_parts_t *parts = &world->comm[r].state->parts;
        parts->channel.kernels = &watched;
        assert_int_equal(parts_reserve(parts, ranks), 0);
        assert_int_equal(topo_create(ranks, levels, (const uint64_t *const[]){keys[0], keys[1], keys[2]}, &topo), 0);
        assert_int_equal(parts_place_set(parts, topo, doubles_settings.spread > 0), 0);
        board_rails_use(&parts->agree.board, &parts->channel, topo);
        assert_int_equal(parts->agree.board.rails != NULL,
                         groups_equal(topo) && (doubles_settings.gather == HM_GATHER_RAILS ||
                                                (doubles_settings.gather == HM_GATHER_AUTO && watched.rails_gather)));
        profile_prior(topo, wire, NULL, &parts->know.profile);
        parts->know.profile_known = true;
        world->comm[r].state->met = true;
    }
}

/* Whether some rank's piece lies elsewhere than its number says. */
static bool slots_differ(const world_t *world)
{
    const hm_board_t *board = &world->comm[0].state->parts.agree.board;
    for (int r = 0; r < board->ranks; r++)
        if (board->slot[r] != (uint32_t)r) return true;
    return false;
}

/* What came of all calls. */
typedef struct tally {
    int calls, replaced, windows, lanes, both, rails, rails_near, times;
} tally_t;

/* One communicator: random topology and settings, then calls whose row size changes now and then. */
static void world_try(random_t *random, tally_t *tally)
{
    static const size_t sizes[] = {32, 48, 36, 100, 64, 33, 512, 2048, 47};
    world_t world;
    int nodes = random_below(random, 2) ? 2 + (int)random_below(random, 3) : 0;
    int ranks = nodes > 0 ? nodes * (2 + (int)random_below(random, (size_t)(RANKS_MAX / nodes - 1)))
                          : 2 + (int)random_below(random, RANKS_MAX - 1);
    size_t row_bytes = sizes[random_below(random, 9)];
    doubles_reset();
    doubles_settings.topo = "1,1,1,1"; /* only its number of levels counts here */
    doubles_settings.depth = (long)random_below(random, 6) - 1;
    doubles_settings.min_bytes = 0;
    doubles_settings.slices = random_below(random, 2) ? -1 : 1 + (long)random_below(random, 6);
    doubles_settings.spread = nodes > 0 || random_below(random, 2);
    doubles_settings.windows = random_below(random, 2);
    doubles_settings.gather = (int)random_below(random, 3);
    watched.rails_gather = random_below(random, 2);
    watched.own_rows_beside = watched.rails_gather;
    if (doubles_settings.windows && random_below(random, 2)) doubles_settings.slices = 1; /* more would not use them */
    doubles_settings.test_fingerprint_bits = random_below(random, 3) == 0 ? 1 + (long)random_below(random, 8) : 64;
    if (random_below(random, 3) == 0) doubles_settings.max_scratch = 2000 + random_below(random, 200000);
    world_open(&world, ranks);
    topology_draw(random, &world, ranks, nodes);
    for (int i = 0; i < CALLS; i++) {
        if (random_below(random, 6) == 0) row_bytes = sizes[random_below(random, 9)];
        tally->calls++;
        tally->replaced += world_exchange(random, &world, ranks, row_bytes);
    }
    const hm_stats_t *stats = &world.comm[0].stats;
    tally->lanes += (int)stats->spread;
    int both = (int)(stats->spread + stats->windows) - (int)stats->replaced; /* that were both, at least */
    if (both > 0) tally->both += both;
    tally->windows += (int)stats->windows;
    tally->rails += (int)stats->rails;
    if (stats->rails > 0 && slots_differ(&world)) tally->rails_near += (int)stats->windows;
    tally->times += world_learned(&world, ranks);
    world_close(&world, ranks);
}

static void random_calls_are_exact(void **context)
{
    (void)context;
    random_t random = {random_seed()};
    const char *text = getenv("HM_TEST_WORLDS");
    int worlds = text != NULL ? atoi(text) : 300;
    tally_t tally = {0};
    watched = hm_kernels_host;
    watched.move = move_watched;
    for (int i = 0; i < worlds; i++) world_try(&random, &tally);
    print_message("%d calls, %d replaced, %d through windows, %d in lanes, %d along rails, %d timed, 0 bytes differ\n",
                  tally.calls, tally.replaced, tally.windows, tally.lanes, tally.rails, tally.times);
    assert_int_equal(collisions, 0);
    assert_true(tally.replaced > tally.calls / 4 && tally.windows > tally.calls / 20);
    assert_true(tally.rails > tally.calls / 10 && tally.rails_near > tally.calls / 50);
    assert_true(tally.lanes > tally.calls / 10 && tally.both > tally.calls / 20 && tally.times > tally.calls / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_calls_are_exact)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
