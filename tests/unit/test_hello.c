/* Description: the first meeting where NCCL refuses the exchange: the calls fail, and what the ranks wrote to each
 * other has an owner.
 */
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define RANKS 4

static ncclResult_t send_refused(const void *buffer, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                                 cudaStream_t stream)
{
    (void)buffer, (void)count, (void)type, (void)peer, (void)comm, (void)stream;
    return ncclSystemError;
}

/* NCCL may still hold the words, so they are not freed before the communicator, but then. */
static void words_of_a_failed_meeting_have_an_owner(void **context)
{
    (void)context;
    world_t world;
    random_t source = {1};
    hm_real_t refusing = *threads_real();
    refusing.ncclSend = send_refused;
    doubles_reset();
    world_open(&world, RANKS);
    for (int r = 0; r < RANKS; r++) world.comm[r].real = &refusing;
    exchange_draw(&source, &world.exchange, RANKS, 256);
    world_call(&world);
    for (int r = 0; r < RANKS; r++) {
        assert_true(world.replaced[r]);
        assert_int_equal(world.result[r], ncclRemoteError);
        assert_non_null(world.comm[r].state->parts.meeting.words);
    }
    exchange_free(&world.exchange);
    world_close(&world, RANKS); /* AddressSanitizer sees what is not freed */
}

static void words_go_when_the_ranks_have_met(void **context)
{
    (void)context;
    world_t world;
    random_t source = {1};
    doubles_reset();
    world_open(&world, RANKS);
    world_exchange(&source, &world, RANKS, 256);
    for (int r = 0; r < RANKS; r++) assert_null(world.comm[r].state->parts.meeting.words);
    world_close(&world, RANKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_a_failed_meeting_have_an_owner),
        cmocka_unit_test(words_go_when_the_ranks_have_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
