/* Description: a communicator that NCCL has lost, a rank short of memory, and lists that a lost peer
 * never filled in: errors must reach the job, later calls must fail too, nothing may be read or written out of bounds.
 */
#include "world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 4
#define ROW 256

static random_t source = {7};
static hm_real_t weak; /* the threads' NCCL with a fault */
static atomic_bool send_fails, comm_is_lost;
static _Thread_local bool no_memory;
static hm_settings_t poor_settings;  /* of a rank that gets no memory ... */
static _Atomic int poor_allocations; /* ... once this has come down to 0 */

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

void *__wrap_calloc(size_t count, size_t bytes)
{
    bool poor = doubles_own == &poor_settings && --poor_allocations == 0;
    return no_memory || poor ? NULL : __real_calloc(count, bytes);
}

static ncclResult_t weak_send(const void *buffer, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                              cudaStream_t stream)
{
    return send_fails ? ncclSystemError : threads_real()->ncclSend(buffer, count, type, peer, comm, stream);
}

static ncclResult_t weak_state(ncclComm_t comm, ncclResult_t *state)
{
    (void)comm;
    *state = comm_is_lost ? ncclRemoteError : ncclSuccess;
    return ncclSuccess;
}

static int setup(void **context)
{
    (void)context;
    doubles_reset();
    doubles_settings.topo = "2,2";
    doubles_settings.depth = 2;
    send_fails = comm_is_lost = false;
    weak = *threads_real();
    weak.ncclSend = weak_send;
    weak.ncclCommGetAsyncError = weak_state;
    return 0;
}

static void weak_world_open(world_t *world)
{
    world_open(world, RANKS);
    for (int r = 0; r < RANKS; r++) world->comm[r].real = &weak;
    assert_true(world_exchange(&source, world, RANKS, ROW));
}

/* Two calls that must end with `result` (ncclSuccess: with any error) on every rank, without being passed on. */
static void calls_fail(world_t *world, ncclResult_t result)
{
    for (int call = 0; call < 2; call++) {
        exchange_draw(&source, &world->exchange, RANKS, ROW);
        world_call(world);
        for (int r = 0; r < RANKS; r++) {
            assert_true(world->replaced[r]);
            /* A rank without rows to send finds out by its receives, with another result. */
            assert_true(result == ncclSuccess ? world->result[r] != ncclSuccess : world->result[r] == result);
            assert_int_equal(world->comm[r].stats.replaced, 1);
        }
        exchange_free(&world->exchange);
    }
    for (int r = 0; r < RANKS; r++) state_destroy(&world->comm[r]);
    threads_world_destroy(world->nccl);
}

/* Part of the call may be on its way: a later call must not be matched with the rest. */
static void failed_enqueue_fails_later_calls(void **context)
{
    (void)context;
    world_t world;
    weak_world_open(&world);
    send_fails = true;
    calls_fail(&world, ncclSuccess);
}

static void failed_rail_fails_later_calls(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.gather = HM_GATHER_RAILS;
    weak_world_open(&world);
    assert_true(world.comm[0].stats.rails > 0);
    send_fails = true;
    calls_fail(&world, ncclUnhandledCudaError);
}

/* The fourth is the topology, after state, context and windows. The rank cannot say so along rails that it has not. */
static void topology_that_one_rank_lacks_is_said_by_all_gather(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.gather = HM_GATHER_RAILS;
    poor_settings = doubles_settings;
    poor_allocations = 4;
    world_open(&world, RANKS);
    world.settings[1] = &poor_settings;
    assert_false(world_exchange(&source, &world, RANKS, ROW));
    assert_true(poor_allocations <= 0);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(comm_closed(&world.comm[r]), HM_REASON_NO_MEMORY);
        assert_int_equal(world.comm[r].state->parts.place.topo == NULL, r == 1);
    }
    world_close(&world, RANKS);
}

/* The stream runs dry when a peer is lost, and the table of the call before is still there. */
static void table_of_a_lost_communicator_is_not_believed(void **context)
{
    (void)context;
    world_t world;
    weak_world_open(&world);
    comm_is_lost = true;
    calls_fail(&world, ncclRemoteError);
}

/* The other ranks wait for this one's word: passing the call on would send them rows instead. */
static void no_memory_for_the_first_word_fails_the_call(void **context)
{
    (void)context;
    world_t world;
    const void *send[2] = {NULL};
    void *recv[2] = {NULL};
    size_t count[2] = {0};
    ncclResult_t result = ncclSuccess;
    world_open(&world, 2);
    hm_call_t call = {.comm = &world.comm[1],
                      .send = send,
                      .recv = recv,
                      .send_bytes = count,
                      .recv_bytes = count};
    no_memory = true;
    hm_answer_t answer = call_run(&call, &result);
    no_memory = false;
    assert_int_equal(answer, HM_ANSWER_DONE);
    assert_int_equal(result, ncclSystemError);
    assert_int_equal(doubles_said, 1);
    /* The other rank still waits for the first word: a later call must not answer in its place. */
    result = ncclSuccess;
    assert_int_equal(call_run(&call, &result), HM_ANSWER_DONE);
    assert_int_equal(result, ncclSystemError);
    assert_null(world.comm[1].state);
    world_close(&world, 2);
}

/* Calls that grow beyond half the cap: what near ranks may read cannot be freed, so later calls are cut into slices,
 * not left alone. */
static void kept_scratch_leaves_room_for_slices(void **context)
{
    (void)context;
    world_t world;
    size_t row_bytes = 512;
    doubles_settings.windows = true;
    doubles_settings.slices = 1;
    doubles_settings.max_scratch = 4 << 20;
    world_open(&world, RANKS);
    int replaced = 0;
    for (int call = 0; call < 8; call++, row_bytes *= 2) {
        replaced += world_exchange(&source, &world, RANKS, row_bytes);
        const hm_state_t *state = world.comm[0].state;
        assert_true(state->parts.carry.scratch.capacity + state->parts.carry.scratch.kept <= doubles_settings.max_scratch);
        for (int r = 1; r < RANKS; r++) {
            assert_int_equal(world.comm[r].state->parts.carry.scratch.kept, state->parts.carry.scratch.kept);
            assert_int_equal(world.comm[r].state->parts.carry.scratch.capacity, state->parts.carry.scratch.capacity);
            assert_int_equal(world.comm[r].state->parts.carry.windows.use, state->parts.carry.windows.use);
        }
    }
    assert_int_equal(replaced, 8);
    assert_true(world.comm[0].stats.windows > 0);
    assert_true(world.comm[0].state->parts.carry.scratch.kept > 0);
    world_close(&world, RANKS);
}

static void shared_memory_of_an_abandoned_context_stays(void **context)
{
    (void)context;
    unsigned char ticket[HM_TICKET];
    hm_context_t *owner = NULL, *reader = NULL;
    void *memory = NULL, *window = NULL;
    assert_int_equal(hm_kernels_host.context_create(NULL, &owner), 0);
    assert_int_equal(hm_kernels_host.context_create(NULL, &reader), 0);
    assert_int_equal(hm_kernels_host.share(owner, 4096, &memory, ticket), 0);
    memset(memory, 7, 4096);
    assert_int_equal(hm_kernels_host.window_open(reader, ticket, &window), 0);
    hm_kernels_host.abandon(owner);
    hm_kernels_host.context_destroy(owner);
    assert_int_equal(((unsigned char *)window)[4095], 7); /* the address sanitizer knows whether it may be read */
    hm_kernels_host.context_destroy(reader);
    memset(ticket, 0, sizeof ticket);
    assert_int_equal(hm_kernels_host.context_create(NULL, &reader), 0);
    assert_true(hm_kernels_host.window_open(reader, ticket, &window) != 0);
    hm_kernels_host.context_destroy(reader);
}

/* Room to grow is taken only below HIERMOE_MAX_SCRATCH. */
static void scratch_stays_under_its_cap(void **context)
{
    (void)context;
    world_t world;
    size_t most = 0;
    doubles_settings.max_scratch = 300000;
    world_open(&world, RANKS);
    for (int call = 0; call < 6; call++) world_exchange(&source, &world, RANKS, 2048);
    for (int r = 0; r < RANKS; r++) {
        size_t capacity = world.comm[r].state->parts.carry.scratch.capacity;
        most = capacity > most ? capacity : most;
        assert_true(capacity <= doubles_settings.max_scratch);
    }
    assert_true(most > 0);
    world_close(&world, RANKS);
}

static hm_context_t *context_open(void)
{
    hm_context_t *made = NULL;
    assert_int_equal(hm_kernels_host.context_create(NULL, &made), 0);
    return made;
}

static int stream_answer;
static void *stream_waited;

static int stream_enqueue(void *stream, void (*run)(void *), void *argument)
{
    (void)stream;
    run(argument);
    return 0;
}

static int stream_wait(void *stream, double seconds)
{
    (void)seconds;
    stream_waited = stream;
    return stream_answer;
}

/* A stream that never comes to its end, one that is no more, and an abort that ends its work without results. */
static void wait_ends_with_time_error_or_abort(void **context)
{
    (void)context;
    const hm_host_stream_t hook = {stream_enqueue, stream_wait};
    atomic_int cancel = 0;
    hm_context_t *kernels = NULL;
    assert_int_equal(hm_kernels_host.context_create(&hook, &kernels), 0);
    stream_answer = 1;
    assert_int_equal(hm_kernels_host.wait(kernels, NULL, 0, NULL), -ETIMEDOUT);
    assert_int_equal(hm_kernels_host.wait(kernels, NULL, 0, &cancel), -ETIMEDOUT);
    cancel = 1;
    assert_int_equal(hm_kernels_host.wait(kernels, NULL, 20, &cancel), -ECANCELED);
    stream_answer = 0;
    assert_int_equal(hm_kernels_host.wait(kernels, NULL, 20, &cancel), -ECANCELED);
    assert_int_equal(hm_kernels_host.wait(kernels, NULL, 20, NULL), 0);
    stream_answer = -1;
    assert_int_equal(hm_kernels_host.wait(kernels, NULL, 20, NULL), -EIO);
    hm_kernels_host.context_destroy(kernels);
}

/* A call on another stream than the one before waits for what that one still does with the scratch. */
static void streams_are_joined(void **context)
{
    (void)context;
    const hm_host_stream_t hook = {stream_enqueue, stream_wait};
    char stream[2], word[4] = "abc";
    hm_context_t *kernels = NULL;
    assert_int_equal(hm_kernels_host.context_create(&hook, &kernels), 0);
    stream_answer = 0;
    stream_waited = NULL;
    assert_int_equal(hm_kernels_host.join(kernels, &stream[0]), 0);
    assert_null(stream_waited);
    assert_int_equal(hm_kernels_host.copy(kernels, &stream[0], word, "abd", 3), 0);
    assert_int_equal(hm_kernels_host.join(kernels, &stream[0]), 0);
    assert_null(stream_waited);
    assert_int_equal(hm_kernels_host.join(kernels, &stream[1]), 0);
    assert_ptr_equal(stream_waited, &stream[0]);
    hm_kernels_host.context_destroy(kernels);
}

/* Distinct rows that identify finds among `count` different ones that all come twice; fingerprints of one bit. */
static uint32_t distinct_of_colliding(uint32_t count)
{
    hm_context_t *kernels = context_open();
    uint32_t n = 2 * count, bit = 0, *rows = malloc(n * 8 * sizeof *rows), counts[1];
    uint32_t *id = malloc(n * sizeof *id), *first = malloc(n * sizeof *first);
    uint8_t *mask = malloc(4 * (size_t)n);
    void *work = malloc(hm_kernels_host.identify_bytes(n));
    assert_true(rows && id && first && mask && work);
    for (uint32_t i = 0; i < 8 * n; i++) rows[i] = (i / 8 % count) * 2654435761u + i % 8;
    hm_rows_t all = {1, (const void *const[]){rows}, (const size_t[]){n}, 32};
    hm_identity_t identity = {id, first, mask, counts, 4};
    assert_int_equal(hm_kernels_host.identify(kernels, NULL, &all, &bit, NULL, 0, 1, work, &identity), 0);
    for (uint32_t i = 0; i < n; i++) assert_memory_equal(rows + 8 * i, rows + 8 * first[id[i]], 32);
    free(work);
    free(mask);
    free(first);
    free(id);
    free(rows);
    hm_kernels_host.context_destroy(kernels);
    return counts[0];
}

/* A few rows of one fingerprint are told apart and found again; of very many some pass for new, so that rows made to
 * collide cost a bounded number of compares each. */
static void colliding_rows_are_found_among_few(void **context)
{
    (void)context;
    assert_int_equal(distinct_of_colliding(60), 60);
    uint32_t found = distinct_of_colliding(1000);
    assert_true(found > 1000 && found <= 2000);
}

static void pick_stops_at_most(void **context)
{
    (void)context;
    hm_context_t *kernels = context_open();
    uint8_t mask[8], sub[3] = {9, 9, 9};
    uint32_t index[3] = {77, 77, 77};
    memset(mask, 0xFF, sizeof mask);
    hm_pick_job_t job = {
        .mask = mask, .mask_bytes = 1, .rows = 8, .bits = {1, 2}, .most = 2, .index = index, .sub = sub};
    assert_int_equal(hm_kernels_host.pick(kernels, NULL, &job, 1), 0);
    assert_true(index[0] == 0 && index[1] == 1 && index[2] == 77);
    assert_true(sub[0] == 3 && sub[1] == 3 && sub[2] == 9);
    hm_kernels_host.context_destroy(kernels);
}

static void move_skips_rows_that_are_not_there(void **context)
{
    (void)context;
    hm_context_t *kernels = context_open();
    const char *src = "aabbcc";
    uint32_t index[4] = {0, 4000000000u, 1, 2}, via[3] = {2, 4000000000u, 0};
    char dst[9] = "........";
    hm_move_job_t job = {.dst = dst,
                         .src = src,
                         .dst_stride = 2,
                         .src_stride = 2,
                         .width = 2,
                         .rows = 4,
                         .via_entries = 3,
                         .src_rows = 3,
                         .index = index,
                         .via = via};
    assert_int_equal(hm_kernels_host.move(kernels, NULL, &job, 1), 0);
    assert_string_equal(dst, "cc....aa");
    hm_kernels_host.context_destroy(kernels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(failed_enqueue_fails_later_calls, setup),
        cmocka_unit_test_setup(failed_rail_fails_later_calls, setup),
        cmocka_unit_test_setup(topology_that_one_rank_lacks_is_said_by_all_gather, setup),
        cmocka_unit_test_setup(table_of_a_lost_communicator_is_not_believed, setup),
        cmocka_unit_test_setup(no_memory_for_the_first_word_fails_the_call, setup),
        cmocka_unit_test_setup(scratch_stays_under_its_cap, setup),
        cmocka_unit_test_setup(kept_scratch_leaves_room_for_slices, setup),
        cmocka_unit_test_setup(shared_memory_of_an_abandoned_context_stays, setup),
        cmocka_unit_test_setup(colliding_rows_are_found_among_few, setup),
        cmocka_unit_test_setup(wait_ends_with_time_error_or_abort, setup),
        cmocka_unit_test_setup(streams_are_joined, setup),
        cmocka_unit_test_setup(pick_stops_at_most, setup),
        cmocka_unit_test_setup(move_skips_rows_that_are_not_there, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
