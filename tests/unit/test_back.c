/* Description: calls along the way of a kept dispatch, ranks as threads: sums on the way back at every depth, in lanes
 * and slices, against a model of the tree; the way again against plain NCCL. HM_TEST_SEED=N repeats a run,
 * HM_TEST_WORLDS=N says how many communicators.
 */
#include "../../shim/carry/back.h"
#include "../../shim/carry/exec.h"
#include "../../shim/carry/prepare.h"
#include "../../shim/carry/way.h"
#include "back_calls.h"

#include "planner/call/traffic.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BACKS 4 /* ways back, and ways again, of one dispatch */

/* What all ranks do with one dispatch. */
typedef struct trial {
    world_t world;
    layer_t layer;
    transfer_t out, again[BACKS], back[BACKS], settled;
    hm_element_t type[BACKS];
    bool unread[BACKS];
    int depth;
    /* by rank */
    uint32_t filler[RANKS_MAX];
    bool carried[RANKS_MAX], possible[RANKS_MAX][2 * BACKS];
    size_t need[RANKS_MAX];
} trial_t;

/* What must hold on a rank's own thread, where cmocka's checks have no test to end. */
#define MUST(what) \
    do { \
        if (what) break; \
        fprintf(stderr, "rank %d: not so: %s\n", world_rank, #what); \
        abort(); \
    } while (0)

typedef struct rank_thread {
    trial_t *trial;
    int rank;
    pthread_t thread;
} rank_thread_t;

/* The buffers of one rank's call. */
typedef struct buffers {
    const void *send[RANKS_MAX];
    void *recv[RANKS_MAX];
    size_t out[RANKS_MAX], in[RANKS_MAX];
    hm_call_t call;
} buffers_t;

static void buffers_set(buffers_t *buffers, trial_t *trial, const transfer_t *transfer, int rank)
{
    for (int p = 0; p < transfer->ranks; p++) {
        buffers->send[p] = transfer->send[rank][p];
        buffers->recv[p] = transfer->recv[rank][p];
        buffers->out[p] = transfer->rows[rank][p] * transfer->row_bytes;
        buffers->in[p] = transfer->rows[p][rank] * transfer->row_bytes;
    }
    buffers->call = (hm_call_t){.comm = &trial->world.comm[rank],
                                .send = buffers->send,
                                .recv = buffers->recv,
                                .send_bytes = buffers->out,
                                .recv_bytes = buffers->in};
}

/* Agrees and carries the dispatch out, as call.c does. */
static bool dispatch_run(trial_t *trial, hm_parts_t *parts, const buffers_t *buffers, hm_load_t *load)
{
    hm_agreement_t agreement;
    hm_reason_t reason;
    hm_word_t word = {.row_bytes = trial->out.row_bytes};
    hm_channel_t *channel = &parts->channel;
    MUST(channel->kernels->join(channel->context, NULL) == 0);
    MUST(agree_run(&parts->agree, channel, &parts->place, &buffers->call, &word, &agreement) == 0);
    if (!agreement.able) return false; /* scratch is too little for masks */
    *load = (hm_load_t){.call = &buffers->call,
                        .place = &parts->place,
                        .board = &parts->agree.board,
                        .table = &parts->agree.ballot.table,
                        .distinct = parts->agree.ballot.distinct,
                        .rows = &parts->agree.rows,
                        .depth = trial->depth};
    MUST(prepare_run(&parts->carry, channel, load, &reason) == 0);
    if (reason != HM_REASON_NONE) return false;
    MUST(exec_run(load, &parts->carry, channel, &parts->know.clock) == ncclSuccess);
    return true;
}

/* Bytes that the planner counts for a rank in a call along the way of the trial's dispatch. */
static double bytes_planned(const trial_t *trial, const hm_parts_t *parts, const hm_kept_t *kept, int rank,
                            size_t row_bytes, bool back)
{
    hm_table_t table = parts->agree.ballot.table;
    const hm_topo_t *topo = parts->place.topo;
    size_t words = 2 * (size_t)(trial->depth * trial->depth) * (size_t)topo->ranks;
    double *bytes = malloc((words + traffic_scratch(topo, trial->depth)) * sizeof *bytes), sum = 0;
    table.row_bytes = row_bytes;
    traffic_deep_kept(topo, &table, trial->depth, place_lanes(&parts->place, trial->depth),
                      way_width(&parts->carry, kept, row_bytes), back, bytes, bytes + words);
    for (int kind = 0; kind < trial->depth * trial->depth; kind++)
        sum += bytes[(size_t)kind * 2 * (size_t)topo->ranks + (size_t)rank];
    free(bytes);
    return sum;
}

/* Fails the test unless a second run brings the same bytes. */
static void back_repeat(hm_parts_t *parts, hm_kept_t *kept, const hm_back_call_t *back)
{
    char *first[RANKS_MAX];
    const hm_call_t *call = back->call;
    for (int p = 0; p < call->comm->ranks; p++) {
        first[p] = malloc(call->recv_bytes[p] + 1);
        memcpy(first[p], call->recv[p], call->recv_bytes[p]);
        memset(call->recv[p], 0x11, call->recv_bytes[p]);
    }
    MUST(back_run(&parts->carry, &parts->channel, kept, back) == ncclSuccess);
    for (int p = 0; p < call->comm->ranks; p++) {
        MUST(memcmp(first[p], call->recv[p], call->recv_bytes[p]) == 0);
        free(first[p]);
    }
}

static void back_try(trial_t *trial, hm_parts_t *parts, hm_kept_t *kept, int rank, int i)
{
    buffers_t buffers;
    hm_back_call_t back = {&buffers.call, trial->back[i].row_bytes, trial->type[i], trial->unread[i]};
    buffers_set(&buffers, trial, &trial->back[i], rank);
    MUST(kept_fits(kept, &buffers.call, back.row_bytes, true));
    trial->possible[rank][i] = back_possible(&parts->carry, kept, back.row_bytes);
    if (!trial->possible[rank][i]) return;
    unsigned long long before = trial->world.comm[rank].stats.bytes_sent;
    MUST(back_run(&parts->carry, &parts->channel, kept, &back) == ncclSuccess);
    unsigned long long sent = trial->world.comm[rank].stats.bytes_sent - before;
    MUST((double)sent == bytes_planned(trial, parts, kept, rank, back.row_bytes, true));
    if (i % 2 == 1) back_repeat(parts, kept, &back);
}

static void again_try(trial_t *trial, hm_parts_t *parts, hm_kept_t *kept, int rank, int i)
{
    buffers_t buffers;
    hm_back_call_t again = {.call = &buffers.call, .row_bytes = trial->again[i].row_bytes};
    buffers_set(&buffers, trial, &trial->again[i], rank);
    MUST(kept_fits(kept, &buffers.call, again.row_bytes, false));
    trial->possible[rank][BACKS + i] = back_possible(&parts->carry, kept, again.row_bytes);
    if (!trial->possible[rank][BACKS + i]) return;
    unsigned long long before = trial->world.comm[rank].stats.bytes_sent;
    MUST(again_run(&parts->carry, &parts->channel, kept, &again) == ncclSuccess);
    unsigned long long sent = trial->world.comm[rank].stats.bytes_sent - before;
    MUST((double)sent == bytes_planned(trial, parts, kept, rank, again.row_bytes, false));
}

static void *rank_run(void *argument)
{
    const rank_thread_t *thread = argument;
    trial_t *trial = thread->trial;
    int rank = thread->rank;
    hm_parts_t *parts = &trial->world.comm[rank].state->parts;
    buffers_t buffers;
    hm_load_t load;
    hm_kept_t *kept = NULL;
    world_rank = rank;
    buffers_set(&buffers, trial, &trial->out, rank);
    trial->carried[rank] = dispatch_run(trial, parts, &buffers, &load);
    if (trial->carried[rank]) {
        size_t need = trial->need[rank] = kept_need(&parts->carry, &parts->channel, &load);
        void *memory = malloc(need);
        bool filler = trial->layer.filler[rank] >= 0;
        trial->filler[rank] = layer_filler(&trial->layer, rank);
        MUST(kept_make(&parts->carry, &parts->channel, &load, filler ? &trial->filler[rank] : NULL, memory, &kept) ==
             0);
        MUST(kept_bytes(kept) <= need);
        trial->filler[rank] = 77; /* was read */
        for (int i = 0; i < BACKS; i++) {
            back_try(trial, parts, kept, rank, i);
            again_try(trial, parts, kept, rank, i);
        }
        hm_back_call_t back = {&buffers.call, trial->settled.row_bytes, trial->type[0], trial->unread[0]};
        buffers_set(&buffers, trial, &trial->settled, rank);
        MUST(back_settle(&parts->channel, kept, &back) == ncclSuccess);
        kept_free(kept);
        free(memory);
    }
    threads_world_away(trial->world.nccl, rank, true);
    return NULL;
}

static void trial_run(trial_t *trial)
{
    rank_thread_t rank[RANKS_MAX];
    for (int r = 0; r < trial->layer.ranks; r++) threads_world_away(trial->world.nccl, r, false);
    for (int r = 0; r < trial->layer.ranks; r++) {
        rank[r] = (rank_thread_t){.trial = trial, .rank = r};
        pthread_create(&rank[r].thread, NULL, rank_run, &rank[r]);
    }
    for (int r = 0; r < trial->layer.ranks; r++) pthread_join(rank[r].thread, NULL);
    for (int r = 0; r < trial->layer.ranks; r++) threads_world_away(trial->world.nccl, r, false);
}

static void transfers_draw(random_t *random, trial_t *trial)
{
    static const size_t elements[] = {16, 18, 31, 24, 400, 64};
    transfer_open(&trial->layer, &trial->out, 32 + random_below(random, 80), false);
    transfer_fill_tokens(&trial->layer, &trial->out, random_next(random));
    for (int i = 0; i < BACKS; i++) {
        trial->type[i] = HM_ELEMENT_BF16 + (unsigned)random_below(random, 3);
        trial->unread[i] = random_below(random, 2);
        size_t row_bytes = elements[random_below(random, 6)] * hm_element_bytes(trial->type[i]);
        transfer_open(&trial->layer, &trial->back[i], row_bytes, true);
        transfer_fill(random, &trial->back[i], trial->type[i], (filling_t)i);
        transfer_open(&trial->layer, &trial->again[i], 1 + random_below(random, 200), false);
        transfer_fill_tokens(&trial->layer, &trial->again[i], random_next(random));
    }
    transfer_open(&trial->layer, &trial->settled, trial->back[0].row_bytes, true);
    transfer_fill(random, &trial->settled, trial->type[0], FILL_ANY);
    transfer_plain(&trial->settled);
}

/* Every rank must have got what the model says; counts what was done. */
static void trial_check(const trial_t *trial, int *backs)
{
    const layer_t *layer = &trial->layer;
    for (int r = 1; r < layer->ranks; r++) {
        assert_int_equal(trial->carried[r], trial->carried[0]);
        assert_int_equal(trial->need[r], trial->need[0]);
        assert_memory_equal(trial->possible[r], trial->possible[0], sizeof trial->possible[0]);
    }
    if (!trial->carried[0]) return;
    assert_int_equal(transfer_wrong(&trial->out), 0);
    for (int i = 0; i < BACKS; i++) {
        if (!trial->possible[0][i]) continue;
        assert_int_equal(sums_wrong(layer, &trial->back[i], trial->type[i], trial->unread[i]), 0);
        if ((filling_t)i <= FILL_INTEGERS && !trial->unread[i])
            assert_int_equal(integers_wrong(layer, &trial->back[i], trial->type[i]), 0);
        ++*backs;
    }
    for (int i = 0; i < BACKS; i++)
        if (trial->possible[0][BACKS + i]) assert_int_equal(transfer_wrong(&trial->again[i]), 0);
    assert_int_equal(sums_wrong(layer, &trial->settled, trial->type[0], trial->unread[0]), 0);
}

static void trial_close(trial_t *trial)
{
    transfer_close(&trial->out);
    transfer_close(&trial->settled);
    for (int i = 0; i < BACKS; i++) transfer_close(&trial->back[i]), transfer_close(&trial->again[i]);
}

/* Ranks by node and, where there are three levels, by half of a node. */
typedef struct shape {
    int nodes, halves, gpus;
} shape_t;

/* Puts ranks where a shape says, or anywhere, without the first meeting. */
static void places_set(random_t *random, world_t *world, int ranks, const shape_t *shape)
{
    uint64_t keys[2][RANKS_MAX];
    const hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_SHM, HM_WIRE_SHM, HM_WIRE_SHM, HM_WIRE_SHM, HM_WIRE_SHM};
    bool interleaved = random_below(random, 4) == 0;
    for (int r = 0; r < ranks; r++) {
        int at = interleaved ? (r * 5 + 1) % ranks : r;
        keys[0][r] = shape != NULL ? (uint64_t)(at / (shape->halves * shape->gpus)) : random_below(random, 3);
        keys[1][r] = shape != NULL ? (uint64_t)(at / shape->gpus) : random_below(random, 3);
    }
    for (int r = 0; r < ranks; r++) {
        hm_reason_t reason;
        hm_topo_t *topo;
        assert_int_equal(state_create(&world->comm[r], &reason), 0);
        hm_parts_t *parts = &world->comm[r].state->parts;
        assert_int_equal(parts_reserve(parts, ranks), 0);
        assert_int_equal(topo_create(ranks, 2, (const uint64_t *const[]){keys[0], keys[1]}, &topo), 0);
        assert_int_equal(parts_place_set(parts, topo, doubles_settings.spread > 0), 0);
        board_rails_use(&parts->agree.board, &parts->channel, topo);
        profile_prior(topo, wire, NULL, &parts->know.profile);
        parts->know.profile_known = true;
        world->comm[r].state->met = true;
    }
}

/* What was seen of all worlds. */
typedef struct tally {
    int carried, backs, deep, lanes, windows;
} tally_t;

static void depth_try(random_t *random, trial_t *trial, int depth, tally_t *tally)
{
    const hm_topo_t *topo = trial->world.comm[0].state->parts.place.topo;
    int before = tally->backs;
    trial->depth = depth;
    layer_draw(random, &trial->layer, topo);
    transfers_draw(random, trial);
    doubles_settings.row_bytes = trial->out.row_bytes; /* announced, as guided dispatches are: not searched for */
    trial_run(trial);
    trial_check(trial, &tally->backs);
    tally->carried += trial->carried[0];
    tally->deep += depth > 2 ? tally->backs - before : 0;
    tally->lanes += depth > 1 && trial->world.comm[0].state->parts.place.lanes > 1 ? tally->backs - before : 0;
    trial_close(trial);
}

static void world_try(random_t *random, trial_t *trial, tally_t *tally)
{
    static const shape_t shapes[] = {{1, 1, 4}, {2, 1, 2}, {4, 1, 2}, {2, 2, 2}, {3, 1, 3}, {2, 2, 3}};
    const shape_t *shape = random_below(random, 4) == 0 ? NULL : &shapes[random_below(random, 6)];
    int ranks = shape != NULL ? shape->nodes * shape->halves * shape->gpus : 2 + (int)random_below(random, 9);
    doubles_reset();
    doubles_settings.topo = "1,1,1,1"; /* only its number of levels counts here */
    doubles_settings.min_bytes = 0;
    doubles_settings.slices = 1 + (long)random_below(random, 4);
    doubles_settings.spread = random_below(random, 2);
    doubles_settings.windows = random_below(random, 2);
    if (random_below(random, 4) == 0) doubles_settings.max_scratch = 3000 + random_below(random, 60000);
    memset(trial, 0, sizeof *trial);
    world_open(&trial->world, ranks);
    places_set(random, &trial->world, ranks, shape);
    int levels = trial->world.comm[0].state->parts.place.topo->levels;
    for (int depth = 1; depth <= levels; depth++) depth_try(random, trial, depth, tally);
    tally->windows += (int)trial->world.comm[0].stats.windows;
    world_close(&trial->world, ranks);
}

static void sums_are_the_trees(void **context)
{
    (void)context;
    random_t random = {random_seed()};
    const char *text = getenv("HM_TEST_WORLDS");
    int worlds = text != NULL ? atoi(text) : 150;
    tally_t tally = {0};
    trial_t *trial = malloc(sizeof *trial);
    for (int i = 0; i < worlds; i++) world_try(&random, trial, &tally);
    free(trial);
    print_message("%d dispatches, %d through windows; %d ways back, %d at depth 3, %d in lanes\n", tally.carried,
                  tally.windows, tally.backs, tally.deep, tally.lanes);
    assert_true(tally.carried > worlds && tally.backs > 3 * worlds && tally.windows > worlds / 50);
    assert_true(tally.deep > worlds / 8 && tally.lanes > worlds / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sums_are_the_trees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
