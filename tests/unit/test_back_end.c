/* Description: a GPU that the kernels do not know, or a driver that lacks what they need, must leave a job as it was:
 * on one rank as on all, whatever plain NCCL can do there.
 */
#include "world.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RANKS 4

static random_t source;
static hm_settings_t lacking; /* of the rank that cannot prepare */
static hm_kernels_t table;    /* what stands for the CUDA back end */
static hm_real_t elsewhere;   /* the threads' NCCL, in an image without host streams */
static int refusal;

const hm_kernels_t *kernels_cuda_open(const char **why)
{
    *why = NULL;
    return &table;
}

static ncclResult_t comm_device(const ncclComm_t comm, int *device)
{
    (void)comm;
    *device = 5;
    return ncclSuccess;
}

/* Whatever device the calling thread is at. */
static int context_create(const void *hook, hm_context_t **context)
{
    static const hm_host_stream_t streams = {hostncclStreamEnqueue};
    return *(const int *)hook == 5 ? hm_kernels_host.context_create(&streams, context) : -EINVAL;
}

static int prepare(hm_context_t *context)
{
    (void)context;
    return doubles_own == &lacking ? refusal : 0;
}

static int setup(void **context)
{
    (void)context;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "2,2";
    doubles_settings.depth = 2;
    lacking = doubles_settings;
    table = hm_kernels_host;
    table.context_create = context_create;
    table.prepare = prepare;
    elsewhere = *threads_real();
    elsewhere.ncclCommCuDevice = comm_device;
    elsewhere.handle = dlopen("libm.so.6", RTLD_NOW);
    return 0;
}

/* The last `ranks` ranks lack something. */
static void world_lack(int ranks, hm_reason_t reason)
{
    world_t world;
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) {
        world.comm[r].real = &elsewhere;
        if (r >= RANKS - ranks) world.settings[r] = &lacking;
    }
    for (int call = 0; call < 3; call++) assert_int_equal(world_exchange(&source, &world, RANKS, 256), ranks == 0);
    for (int r = 0; r < RANKS && ranks > 0; r++) assert_int_equal(world.comm[r].stats.left[reason], 3);
    world_close(&world, RANKS);
}

static void what_ranks_lack_is_left_alone_by_all(void **context)
{
    (void)context;
    world_lack(0, HM_REASON_NONE);
    for (int ranks = 1; ranks <= RANKS; ranks += RANKS - 1) {
        refusal = -EIO;
        world_lack(ranks, HM_REASON_NO_BACK_END);
        refusal = -ENOMEM;
        world_lack(ranks, HM_REASON_NO_MEMORY);
    }
}

static world_t world_held;

/* The other ranks would wait for ever for the one whose call has failed. */
static void others_abort(int rank)
{
    if (rank != RANKS - 1) return;
    for (int r = 0; r < RANKS - 1; r++) atomic_store(&world_held.comm[r].cancelled, 1);
    threads_world_stop(world_held.nccl);
}

/* Without its back end a rank cannot take its word back. It does not blame the other ranks for that. */
static void rank_that_lacks_the_back_end_knows_that_its_stream_is_held(void **context)
{
    (void)context;
    world_t *world = &world_held;
    atomic_bool open = false;
    refusal = -EIO;
    doubles_settings.timeout = 1000000;
    lacking.timeout = 1;
    world_open(world, RANKS);
    world->settings[RANKS - 1] = &lacking;
    world->returned = others_abort;
    for (int r = 0; r < RANKS; r++) {
        world->comm[r].real = &elsewhere;
        world->stream[r] = stream_open();
    }
    stream_hold(world->stream[RANKS - 1], &open);
    exchange_draw(&source, &world->exchange, RANKS, 256);
    world_call(world);
    for (int r = 0; r < RANKS; r++) assert_int_not_equal(world->result[r], ncclSuccess);
    assert_int_equal(doubles_said, 1);
    assert_non_null(strstr(doubles_text, "this rank's stream was held back by the job"));
    atomic_store(&open, true);
    for (int r = 0; r < RANKS; r++) stream_close(world->stream[r]);
    exchange_free(&world->exchange);
    for (int r = 0; r < RANKS; r++) state_destroy(&world->comm[r]);
    threads_world_destroy(world->nccl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_ranks_lack_is_left_alone_by_all, setup),
        cmocka_unit_test_setup(rank_that_lacks_the_back_end_knows_that_its_stream_is_held, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
