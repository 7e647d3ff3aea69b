/* Description: what a communicator holds is what shim/MEMORY.md says, and no more than HIERMOE_MAX_SCRATCH of what that
 * caps. One rank of up to 1024, alone: all others do as it does. */
#include "counted.h"
#include "doubles.h"
#include "threads_nccl.h"

#include "agree/search.h"
#include "meet/measure_flavour.h"
#include "meet/meet.h"
#include "meet/offer.h"
#include "state.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As many ranks as in these; the last number is the ranks of a node. */
static const char *const topologies[] = {"4,2", "8,8", "32,8", "128,8"};
static const int rank_counts[] = {8, 64, 256, 1024}, node_counts[] = {4, 8, 32, 128}, node_sizes[] = {2, 8, 8, 8};
#define TOPOLOGIES 4

static hm_kernels_t kernels; /* the host's, counted */
static hm_real_t alone;      /* an NCCL whose other ranks say what this one says */

static int device_alloc(hm_context_t *context, size_t bytes, void **memory)
{
    int status = hm_kernels_host.alloc(context, bytes, memory);
    if (status == 0) counted_add(*memory, bytes, COUNTED_DEVICE);
    return status;
}

static int pinned_alloc(hm_context_t *context, size_t bytes, void **memory)
{
    int status = hm_kernels_host.host_alloc(context, bytes, memory);
    if (status == 0) counted_add(*memory, bytes, COUNTED_PINNED);
    return status;
}

static int shared_alloc(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket)
{
    int status = hm_kernels_host.share(context, bytes, memory, ticket);
    if (status == 0) counted_add(*memory, bytes, COUNTED_DEVICE);
    return status;
}

static ncclResult_t group_turn(void)
{
    return ncclSuccess;
}

static ncclResult_t all_gather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t handle,
                               cudaStream_t stream)
{
    const hm_comm_t *comm = (const hm_comm_t *)handle;
    (void)type, (void)stream;
    for (size_t r = 0; r < (size_t)comm->ranks; r++)
        if ((char *)to + r * count != from) memcpy((char *)to + r * count, from, count);
    return ncclSuccess;
}

static ncclResult_t send_nothing(const void *memory, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                                 cudaStream_t stream)
{
    (void)memory, (void)count, (void)type, (void)peer, (void)comm, (void)stream;
    return ncclSuccess;
}

static ncclResult_t receive_nothing(void *memory, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                                    cudaStream_t stream)
{
    return send_nothing(memory, count, type, peer, comm, stream);
}

typedef struct held {
    hm_comm_t comm;
    hm_parts_t parts;
    hm_topo_t *topo;
    size_t before[COUNTED_KINDS];
} held_t;

/* Bytes held since the last time that this was asked for the kind. */
static size_t more(held_t *held, counted_kind_t kind)
{
    size_t bytes = counted.held[kind] - held->before[kind];
    held->before[kind] = counted.held[kind];
    return bytes;
}

static int setup(void **context)
{
    (void)context;
    counted_reset();
    doubles_reset();
    kernels = hm_kernels_host;
    kernels.alloc = device_alloc;
    kernels.host_alloc = pinned_alloc;
    kernels.share = shared_alloc;
    alone = *threads_real();
    alone.ncclGroupStart = alone.ncclGroupEnd = group_turn;
    alone.ncclAllGather = all_gather;
    alone.ncclSend = send_nothing;
    alone.ncclRecv = receive_nothing;
    return 0;
}

/* A communicator of which nothing is made but its channel. */
static void held_open(held_t *held, int ranks)
{
    memset(held, 0, sizeof *held);
    held->comm = (hm_comm_t){.real = &alone, .ranks = ranks, .rank = 1, .blocking = true};
    held->comm.handle = (ncclComm_t)&held->comm;
    held->parts.channel = (hm_channel_t){.comm = &held->comm, .kernels = &kernels};
    assert_int_equal(kernels.context_create(NULL, &held->parts.channel.context), 0);
    for (int kind = 0; kind < COUNTED_KINDS; kind++) assert_int_equal(counted.held[kind], 0);
    counted_switch(true);
}

/* All of it is given back. */
static void held_close(held_t *held)
{
    parts_free(&held->parts, false);
    counted_switch(false);
    for (int kind = 0; kind < COUNTED_KINDS; kind++) assert_int_equal(counted.held[kind], 0);
}

static void place_make(held_t *held, int which)
{
    const char *why = NULL;
    assert_int_equal(topo_parse(topologies[which], rank_counts[which], &held->topo, &why), 0);
}

/* What is made before the ranks meet: piece by piece, and nothing else by parts_reserve. */
static void memory_of_the_first_meeting(void **context)
{
    (void)context;
    for (int which = 0; which < TOPOLOGIES; which++) {
        held_t pieces, whole;
        size_t n = (size_t)rank_counts[which], L = HM_SEAT_LEVELS + 1;
        hm_channel_t *channel = &pieces.parts.channel;
        held_open(&pieces, (int)n);
        assert_int_equal(know_create(&pieces.parts.know, (int)n), 0);
        assert_int_equal(carry_create(&pieces.parts.carry, (int)n), 0);
        assert_int_equal(rows_create(&pieces.parts.agree.rows, (int)n), 0);
        size_t small = more(&pieces, COUNTED_HOST) + n * sizeof *pieces.parts.agree.board.slot;
        COUNTED_IS(small, 764 * n);
        assert_int_equal(ballot_create(&pieces.parts.agree.ballot, (int)n, L), 0);
        size_t table = more(&pieces, COUNTED_HOST);
        COUNTED_IS(table, 4 * n * (1 + n + L * n));
        assert_int_equal(board_create(&pieces.parts.agree.board, channel, (int)n, ballot_board_bytes((int)n, L)), 0);
        size_t board = more(&pieces, COUNTED_DEVICE);
        COUNTED_IS(board, 4 * n * ((23 + (2 + L) * n) / 4 * 4));
        assert_int_equal(more(&pieces, COUNTED_PINNED), board);
        assert_int_equal(slips_create(&pieces.parts.agree.slips, channel, ballot_counts_at(&pieces.parts.agree.ballot)),
                         0);
        size_t slips = more(&pieces, COUNTED_PINNED);
        COUNTED_IS(slips, 16 * ((151 + 8 * n) / 64 * 64));
        held_close(&pieces);
        held_open(&whole, (int)n);
        meet_run(&whole.parts); /* ends where nobody answers, with all that it had made */
        assert_int_equal(comm_failure(&whole.comm), ncclRemoteError);
        assert_int_equal(counted.held[COUNTED_HOST], small + table);
        assert_int_equal(counted.held[COUNTED_DEVICE], board);
        size_t words = counted.held[COUNTED_PINNED] - board - slips;
        COUNTED_IS(words, 1336 + 128 * n);
        size_t again = words - sizeof(hm_offer_t);
        COUNTED_IS(again, 168 + 128 * n);
        held_close(&whole);
    }
}

/* Ways and messages of one lane of a depth: made, counted, given back. */
static void lane_count(held_t *held, int depth, size_t *ways, size_t *messages)
{
    const hm_place_t *place = &held->parts.place;
    hm_paths_t *paths = NULL;
    hm_route_t *route = NULL;
    assert_int_equal(paths_create(place->topo, depth, 0, place_lanes(place, depth), &paths), 0);
    *ways = more(held, COUNTED_HOST);
    assert_int_equal(route_create(paths, 1, &route), 0);
    *messages = more(held, COUNTED_HOST);
    route_destroy(route);
    paths_destroy(paths);
    more(held, COUNTED_HOST);
}

/* What a depth takes that is used for the first time, on nodes of equal size. */
static void routes_check(held_t *held, int which, int depth, bool near)
{
    const hm_place_t *place = &held->parts.place;
    hm_depth_routes_t *made = &held->parts.carry.routes.depth[depth];
    size_t n = (size_t)rank_counts[which], N = (size_t)node_counts[which], g = (size_t)node_sizes[which];
    size_t lanes = (size_t)place_lanes(place, depth), p = 2 * (n - 1);
    size_t m = depth == 1 ? p : 2 * (N - 1 + 2 * (g - 1)), w = near ? g - 1 : 0;
    size_t ways, messages;
    lane_count(held, depth, &ways, &messages);
    COUNTED_IS(lanes * ways, lanes * (56 + 8 * n * n));
    COUNTED_IS((1 + w) * lanes * messages, (1 + w) * lanes * (200 + 56 * m + 32 * p + 4 * n));
    assert_int_equal(routes_make(&held->parts.carry.routes, place, 1, depth, near), 0);
    assert_int_equal(made->route[0]->outs + made->route[0]->ins, m);
    assert_int_equal(made->route[0]->parts, p);
    size_t rest = more(held, COUNTED_HOST) - lanes * ways - (1 + w) * lanes * messages;
    COUNTED_IS(rest, 240 * lanes * p + 232 * n + 96 + 8 * lanes * n * (w > 0));
}

static void memory_of_places_and_routes(void **context)
{
    (void)context;
    for (int which = 0; which < TOPOLOGIES; which++) {
        held_t held;
        size_t n = (size_t)rank_counts[which], G = n + (size_t)node_counts[which], l = 2;
        held_open(&held, (int)n);
        assert_int_equal(parts_reserve(&held.parts, (int)n), 0);
        more(&held, COUNTED_HOST);
        place_make(&held, which);
        assert_int_equal(parts_place_set(&held.parts, held.topo, n <= 256), 0);
        assert_int_equal(held.topo->levels, l);
        COUNTED_IS(more(&held, COUNTED_HOST), 172 + 20 * n + 8 * l * n + 4 * l + 8 * G);
        routes_check(&held, which, 1, false);
        routes_check(&held, which, 2, true);
        held_close(&held);
    }
}

/* Looks at r rows of 32 bytes, most of them for the last rank. */
static int rows_look(held_t *held, size_t r)
{
    hm_parts_t *parts = &held->parts;
    size_t n = (size_t)held->comm.ranks;
    const void **send = calloc(n, sizeof *send);
    size_t *bytes = calloc(n, sizeof *bytes);
    char *memory = calloc(r + 1, 32);
    uint32_t *counts = calloc(1 + (size_t)parts->place.group_count, sizeof *counts);
    for (size_t p = 0; p < n; p++) send[p] = memory + (p < r ? 32 * p : 0);
    for (size_t p = 0; p < n; p++) bytes[p] = p + 1 == n ? 32 * (r - p) : 32;
    hm_call_t call = {.comm = &held->comm, .send = send, .send_bytes = bytes};
    int status = rows_identify(&parts->agree.rows, &parts->channel, &parts->place, &call, 32, counts);
    free(send), free(bytes), free(memory), free(counts);
    return status;
}

static void memory_of_rows(void **context)
{
    (void)context;
    for (int which = 0; which < TOPOLOGIES; which++) {
        held_t held;
        size_t n = (size_t)rank_counts[which];
        held_open(&held, (int)n);
        assert_int_equal(parts_reserve(&held.parts, (int)n), 0);
        place_make(&held, which);
        assert_int_equal(parts_place_set(&held.parts, held.topo, false), 0);
        size_t others = counted.held[COUNTED_DEVICE], m = 4 * ((n + 31) / 32);
        for (size_t r = 1024; r <= 6000; r += 1600) {
            assert_int_equal(rows_look(&held, r), 0);
            COUNTED_BELOW(counted.held[COUNTED_DEVICE] - others, 5 * ((64 + m) * r + 2048) / 4);
        }
        held_close(&held);
    }
}

/* Searching takes what equal rows leave of their part of the cap, and gives it back; where that is not enough nothing
 * is searched. */
static void memory_of_searching(void **context)
{
    (void)context;
    size_t bytes[8] = {[1] = 1 << 20}, M = (size_t)24 << 20;
    char *memory = calloc(1, bytes[1]);
    const void *send[8] = {[1] = memory};
    for (int crowded = 0; crowded < 2; crowded++) {
        held_t held;
        uint32_t found[2] = {0, 0};
        doubles_settings.max_scratch = M;
        held_open(&held, 8);
        assert_int_equal(parts_reserve(&held.parts, 8), 0);
        place_make(&held, 0);
        assert_int_equal(parts_place_set(&held.parts, held.topo, false), 0);
        if (crowded) assert_int_equal(rows_look(&held, 40000), 0);
        size_t before = counted.held[COUNTED_DEVICE];
        counted.most[COUNTED_DEVICE] = before;
        hm_call_t call = {.comm = &held.comm, .send = send, .send_bytes = bytes};
        assert_int_equal(search_enqueue(&held.parts.agree.rows, &held.parts.channel, &call, bytes[1], found), 0);
        size_t most = counted.most[COUNTED_DEVICE] - before + held.parts.agree.rows.bytes;
        if (crowded) assert_int_equal(counted.most[COUNTED_DEVICE], before);
        if (!crowded) COUNTED_BELOW(most, M / 8);
        assert_int_equal(found[0] > 0, !crowded);
        assert_int_equal(counted.held[COUNTED_DEVICE], before);
        held_close(&held);
    }
    free(memory);
}

#define CAP ((size_t)8 << 20)

/* Rows and scratch that grow until nothing more is to be had, old memory beside the new one. */
static void growing_stays_under_the_cap(void **context)
{
    (void)context;
    for (int shared = 0; shared < 2; shared++) {
        held_t held;
        bool ready = true;
        hm_scratch_t *scratch = &held.parts.carry.scratch;
        hm_board_t *board = &held.parts.agree.board;
        hm_channel_t *channel = &held.parts.channel;
        doubles_settings.max_scratch = CAP;
        held_open(&held, 8);
        assert_int_equal(parts_reserve(&held.parts, 8), 0);
        place_make(&held, 0);
        assert_int_equal(parts_place_set(&held.parts, held.topo, false), 0);
        size_t others = counted.held[COUNTED_DEVICE], rows = 0;
        for (size_t r = 1000; rows_look(&held, r) == 0; r += r / 3) rows = r;
        assert_true(rows > 5000);
        assert_int_equal(rows_look(&held, 2 * rows), -EDQUOT);
        for (size_t need = CAP / 8; ready; need += need / 8) {
            size_t capacity = scratch_wanted(scratch, need);
            if (shared) assert_int_equal(scratch_share(scratch, channel, board, capacity, &ready), 0);
            if (!shared) assert_int_equal(scratch_grow(scratch, channel, board, need, capacity, &ready), 0);
        }
        assert_true(scratch->capacity + scratch->kept > CAP / 2);
        assert_true(counted.most[COUNTED_DEVICE] - others <= CAP);
        assert_true(counted.most[COUNTED_DEVICE] - others > CAP / 2);
        held_close(&held);
    }
}

/* Windows are tried with memory that stays. */
static void memory_of_trying_windows(void **context)
{
    (void)context;
    held_t held;
    bool ready;
    doubles_settings.windows = true;
    held_open(&held, 8);
    assert_int_equal(parts_reserve(&held.parts, 8), 0);
    place_make(&held, 0);
    assert_int_equal(parts_place_set(&held.parts, held.topo, false), 0);
    more(&held, COUNTED_DEVICE), more(&held, COUNTED_PINNED);
    counted.most[COUNTED_PINNED] = counted.held[COUNTED_PINNED];
    assert_int_equal(windows_scratch_share(&held.parts.carry.windows, &held.parts.carry.scratch, &held.parts.channel,
                                           &held.parts.agree.board, &held.parts.place, 4096, &ready),
                     0);
    assert_int_equal(held.parts.carry.windows.use, HM_WINDOWS_OFF); /* the other ranks show this one's probe */
    COUNTED_IS(more(&held, COUNTED_DEVICE), 2097152);
    COUNTED_IS(counted.most[COUNTED_PINNED] - held.before[COUNTED_PINNED], 8192);
    held_close(&held);
}

/* Measuring takes no more than the cap, and gives it back. */
static void memory_of_measuring(void **context)
{
    (void)context;
    for (int which = 0; which < TOPOLOGIES; which++) {
        held_t held;
        size_t n = (size_t)rank_counts[which], G = n + (size_t)node_counts[which], m = 4 * ((n + 31) / 32);
        size_t a = (size_t)24 << 20, M = 4 * a;
        held_open(&held, (int)n);
        assert_int_equal(parts_reserve(&held.parts, (int)n), 0);
        place_make(&held, which);
        assert_int_equal(parts_place_set(&held.parts, held.topo, false), 0);
        more(&held, COUNTED_DEVICE), more(&held, COUNTED_PINNED);
        counted.most[COUNTED_PINNED] = counted.held[COUNTED_PINNED];
        hm_measure_t measure = {.parts = &held.parts, .bytes = a};
        assert_int_equal(measure_memory_make(&measure), 0);
        size_t device = counted.held[COUNTED_DEVICE] - held.before[COUNTED_DEVICE];
        COUNTED_BELOW(device, 2 * a + (64 + m) * a / 1024 + 4 * G + 4096);
        assert_true(device <= M);
        COUNTED_IS(counted.most[COUNTED_PINNED] - held.before[COUNTED_PINNED], 4194304);
        measure_memory_free(&measure);
        assert_int_equal(more(&held, COUNTED_DEVICE), 0);
        assert_int_equal(more(&held, COUNTED_PINNED), 0);
        held_close(&held);
    }
}

static void memory_of_the_state(void **context)
{
    (void)context;
    COUNTED_BELOW(sizeof(hm_state_t), 20480);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(memory_of_the_state, setup),
        cmocka_unit_test_setup(memory_of_the_first_meeting, setup),
        cmocka_unit_test_setup(memory_of_places_and_routes, setup),
        cmocka_unit_test_setup(memory_of_rows, setup),
        cmocka_unit_test_setup(memory_of_searching, setup),
        cmocka_unit_test_setup(growing_stays_under_the_cap, setup),
        cmocka_unit_test_setup(memory_of_trying_windows, setup),
        cmocka_unit_test_setup(memory_of_measuring, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
