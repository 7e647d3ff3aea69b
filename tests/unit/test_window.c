/* Description: ranks of a node read each other's messages through windows only where that is allowed and shows the
 * right bytes, and not longer than the sender waits for.
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define RANKS 6
#define ROW 256

static random_t source;

static int setup(void **context)
{
    (void)context;
    source.state = 1;
    doubles_reset();
    doubles_settings.topo = "3,2";
    doubles_settings.depth = 2;
    doubles_settings.windows = true;
    doubles_settings.slices = 1;
    return 0;
}

static int calls_replaced(world_t *world, int calls, size_t row_bytes)
{
    int replaced = 0;
    for (int i = 0; i < calls; i++) replaced += world_exchange(&source, world, RANKS, row_bytes);
    return replaced;
}

static bool windows_open_after_a_call(void)
{
    world_t world;
    world_open(&world, RANKS);
    assert_int_equal(calls_replaced(&world, 2, ROW), 2);
    for (int r = 1; r < RANKS; r++)
        assert_int_equal(world.comm[r].state->parts.carry.windows.use, world.comm[0].state->parts.carry.windows.use);
    bool open = world.comm[0].state->parts.carry.windows.use == HM_WINDOWS_ON;
    assert_int_equal(world.comm[0].stats.windows, open ? 2 : 0);
    world_close(&world, RANKS);
    return open;
}

/* Who keeps NCCL from reading other GPUs' memory keeps us from it. */
static void nccl_s_own_settings_shut_windows(void **context)
{
    (void)context;
    unsetenv("NCCL_P2P_DISABLE");
    unsetenv("NCCL_P2P_LEVEL");
    assert_true(windows_open_after_a_call());
    setenv("NCCL_P2P_DISABLE", "0", 1);
    assert_true(windows_open_after_a_call());
    setenv("NCCL_P2P_DISABLE", "1", 1);
    assert_false(windows_open_after_a_call());
    unsetenv("NCCL_P2P_DISABLE");
    setenv("NCCL_P2P_LEVEL", "SYS", 1);
    assert_false(windows_open_after_a_call());
    unsetenv("NCCL_P2P_LEVEL");
}

static hm_kernels_t blurred;

/* Reads of other ranks' memory come out wrong on rank 1; the probe is one row of 4096 bytes. */
static int move_blurred(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count)
{
    int status = hm_kernels_host.move(context, stream, jobs, count);
    if (doubles_own != NULL && count == 1 && jobs->rows == 1 && jobs->width == 4096) ((char *)jobs->dst)[4095] ^= 1;
    return status;
}

static void windows_that_show_other_bytes_stay_shut(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.min_bytes = 1 << 30; /* the first call only brings the ranks together */
    hm_settings_t own = doubles_settings;
    world_open(&world, RANKS);
    world.settings[1] = &own;
    assert_int_equal(calls_replaced(&world, 1, ROW), 0);
    blurred = hm_kernels_host;
    blurred.move = move_blurred;
    for (int r = 0; r < RANKS; r++) world.comm[r].state->parts.channel.kernels = &blurred;
    doubles_settings.min_bytes = own.min_bytes = 0;
    assert_int_equal(calls_replaced(&world, 2, ROW), 2);
    for (int r = 0; r < RANKS; r++) assert_int_equal(world.comm[r].state->parts.carry.windows.use, HM_WINDOWS_OFF);
    world_close(&world, RANKS);
}

static hm_kernels_t losing;
static hm_real_t lost;
static _Atomic int shared;

/* The communicator is lost once all ranks have a probe to show and before they have shown it. */
static int share_and_lose(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket)
{
    int status = hm_kernels_host.share(context, bytes, memory, ticket);
    shared++;
    return status;
}

static ncclResult_t state_when_shared(ncclComm_t comm, ncclResult_t *state)
{
    (void)comm;
    *state = shared == RANKS ? ncclRemoteError : ncclSuccess;
    return ncclSuccess;
}

static void loss_while_trying_windows_fails_the_call(void **context)
{
    (void)context;
    world_t world;
    doubles_settings.min_bytes = 1 << 30; /* the first call only brings the ranks together */
    world_open(&world, RANKS);
    lost = *threads_real();
    lost.ncclCommGetAsyncError = state_when_shared;
    for (int r = 0; r < RANKS; r++) world.comm[r].real = &lost;
    assert_int_equal(calls_replaced(&world, 1, ROW), 0);
    losing = hm_kernels_host;
    losing.share = share_and_lose;
    for (int r = 0; r < RANKS; r++) world.comm[r].state->parts.channel.kernels = &losing;
    doubles_settings.min_bytes = 0;
    exchange_draw(&source, &world.exchange, RANKS, ROW);
    world_call(&world);
    assert_int_equal(shared, RANKS);
    for (int r = 0; r < RANKS; r++) assert_int_equal(world.result[r], ncclRemoteError);
    exchange_free(&world.exchange);
    world_close(&world, RANKS); /* AddressSanitizer sees what is not freed */
}

static hm_kernels_t late;
static hm_settings_t reader, sender; /* of ranks 1 and 0 */
static const char *sent_from, *sent_to;
static _Atomic int reads, reads_at_end;

/* The reader takes its time with what the sender wrote. */
static int move_late(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count)
{
    const char *src = jobs->src;
    bool near = doubles_own == &reader && src >= sent_from && src < sent_to;
    if (near) nanosleep(&(struct timespec){0, 50000000}, NULL);
    int status = hm_kernels_host.move(context, stream, jobs, count);
    if (near) reads++;
    return status;
}

/* The end of a call. */
static int merge_watched(hm_context_t *context, void *stream)
{
    if (doubles_own == &sender) reads_at_end = reads;
    return hm_kernels_host.merge(context, stream);
}

/* As with NCCL, a call of the sender ends no sooner than its bytes have been read. */
static void sender_waits_until_its_window_was_read(void **context)
{
    (void)context;
    world_t world;
    int calls = 0;
    reader = sender = doubles_settings;
    world_open(&world, RANKS);
    world.settings[0] = &sender;
    world.settings[1] = &reader;
    assert_int_equal(calls_replaced(&world, 2, 16 * ROW), 2); /* makes scratch that is large enough */
    late = hm_kernels_host;
    late.move = move_late;
    late.merge = merge_watched;
    for (int r = 0; r < RANKS; r++) world.comm[r].state->parts.channel.kernels = &late;
    sent_from = world.comm[0].state->parts.carry.scratch.memory;
    sent_to = sent_from + world.comm[0].state->parts.carry.scratch.capacity;
    for (int i = 0; i < 4; i++) {
        reads = reads_at_end = 0;
        exchange_draw(&source, &world.exchange, RANKS, ROW);
        world_call(&world);
        assert_true(world.replaced[0]);
        if (world.exchange.rows[0][1] > 0) {
            assert_true(reads > 0);
            assert_int_equal(reads_at_end, reads);
            calls++;
        }
        assert_int_equal(exchange_check(&world.exchange), 0);
        exchange_free(&world.exchange);
    }
    assert_true(calls > 0);
    world_close(&world, RANKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nccl_s_own_settings_shut_windows, setup),
        cmocka_unit_test_setup(windows_that_show_other_bytes_stay_shut, setup),
        cmocka_unit_test_setup(loss_while_trying_windows_fails_the_call, setup),
        cmocka_unit_test_setup(sender_waits_until_its_window_was_read, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
