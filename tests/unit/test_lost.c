/* Description: a communicator that NCCL has lost, and a rank short of memory: errors must reach the job, and later
 * calls must fail too.
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
    hm_call_t call = {.comm = &world.comm[1], .send = send, .recv = recv, .send_bytes = count, .recv_bytes = count};
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
        assert_true(state->parts.carry.scratch.capacity + state->parts.carry.scratch.kept <=
                    doubles_settings.max_scratch);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
