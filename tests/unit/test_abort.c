/* Description: a communicator that another thread aborts while a call on it is inside the library, at each of the
 * library's steps in turn. From the moment at which the abort returns, NCCL must not get the handle any more.
 */
#include "world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define RANKS 4
#define VICTIM 1
#define HOLD_MS 20

static random_t source = {3};
static hm_real_t watched; /* the threads' NCCL, which notices when it gets a handle that is gone */
static world_t world;
static atomic_int steps_left; /* of the victim until it is held; below 0: it will not be */
static atomic_bool held, gone[RANKS];
static atomic_int used_after_end;

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* A step of the calling rank: the victim is held at the chosen one, as if it had lost its core. */
static void step(void)
{
    if (world_rank != VICTIM || atomic_load(&held) || atomic_fetch_sub(&steps_left, 1) != 0) return;
    atomic_store(&held, true);
    for (int ms = 0; ms < HOLD_MS && !atomic_load(&gone[VICTIM]); ms++) pause_ms(1);
}

/* NCCL works with the handle of the calling rank. */
static void use(void)
{
    if (atomic_load(&gone[world_rank])) atomic_fetch_add(&used_after_end, 1);
}

/* What waits for nobody must be over before the handle goes. */
static ncclResult_t watched_send(const void *buffer, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                                 cudaStream_t stream)
{
    use();
    step();
    ncclResult_t result = threads_real()->ncclSend(buffer, count, type, peer, comm, stream);
    use();
    return result;
}

static ncclResult_t watched_recv(void *buffer, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                                 cudaStream_t stream)
{
    use();
    step();
    ncclResult_t result = threads_real()->ncclRecv(buffer, count, type, peer, comm, stream);
    use();
    return result;
}

static ncclResult_t watched_state(ncclComm_t comm, ncclResult_t *state)
{
    (void)comm;
    use();
    step();
    *state = ncclSuccess;
    use();
    return ncclSuccess;
}

/* These may wait for other ranks: an abort ends them. */
static ncclResult_t watched_group_end(void)
{
    use();
    ncclResult_t result = threads_real()->ncclGroupEnd();
    step();
    return result;
}

static ncclResult_t watched_all_gather(const void *send, void *recv, size_t count, ncclDataType_t type, ncclComm_t comm,
                                       cudaStream_t stream)
{
    use();
    ncclResult_t result = threads_real()->ncclAllGather(send, recv, count, type, comm, stream);
    step();
    return result;
}

static void abort_rank(int rank)
{
    atomic_store(&world.comm[rank].cancelled, 1);
    comm_use_wait(&world.comm[rank]);
    atomic_store(&gone[rank], true);
}

/* The other ranks may be inside NCCL, waiting for the victim. */
static void *abort_all(void *nothing)
{
    (void)nothing;
    while (!atomic_load(&held)) pause_ms(1);
    abort_rank(VICTIM);
    threads_world_stop(world.nccl);
    for (int r = 0; r < RANKS; r++)
        if (r != VICTIM) abort_rank(r);
    return NULL;
}

/* One call in which the victim is held at a step, after some calls that go well. false: it has fewer steps. */
static bool call_abort(int calls_before, int at)
{
    pthread_t watchdog;
    world_open(&world, RANKS);
    atomic_store(&steps_left, -1);
    atomic_store(&held, false);
    for (int r = 0; r < RANKS; r++) {
        world.comm[r].real = &watched;
        atomic_store(&gone[r], false);
    }
    for (int call = 0; call < calls_before; call++) assert_true(world_exchange(&source, &world, RANKS, 256));
    exchange_draw(&source, &world.exchange, RANKS, 256);
    assert_int_equal(pthread_create(&watchdog, NULL, abort_all, NULL), 0);
    atomic_store(&steps_left, at);
    world_call(&world);
    bool reached = atomic_exchange(&held, true); /* ends the watchdog too */
    pthread_join(watchdog, NULL);
    exchange_free(&world.exchange);
    for (int r = 0; r < RANKS; r++) {
        if (reached) assert_true(world.replaced[r]); /* a call that was given to NCCL would be one on a dead handle */
        state_destroy(&world.comm[r]);
    }
    threads_world_destroy(world.nccl);
    return reached;
}

static int setup(void **context)
{
    (void)context;
    doubles_reset();
    doubles_settings.topo = "2,2";
    doubles_settings.depth = 2;
    streams_enqueued = step;
    atomic_store(&used_after_end, 0);
    watched = *threads_real();
    watched.ncclSend = watched_send;
    watched.ncclRecv = watched_recv;
    watched.ncclGroupEnd = watched_group_end;
    watched.ncclAllGather = watched_all_gather;
    watched.ncclCommGetAsyncError = watched_state;
    return 0;
}

static void calls_abort(int calls_before)
{
    int at = 0;
    while (call_abort(calls_before, at)) at++;
    assert_int_equal(atomic_load(&used_after_end), 0);
    assert_true(at > 10);
}

static void first_call_uses_no_aborted_handle(void **context)
{
    (void)context;
    calls_abort(0);
}

static void later_call_uses_no_aborted_handle(void **context)
{
    (void)context;
    calls_abort(1);
}

static void later_call_along_rails_uses_no_aborted_handle(void **context)
{
    (void)context;
    doubles_settings.gather = HM_GATHER_RAILS;
    calls_abort(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(first_call_uses_no_aborted_handle, setup),
        cmocka_unit_test_setup(later_call_uses_no_aborted_handle, setup),
        cmocka_unit_test_setup(later_call_along_rails_uses_no_aborted_handle, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
