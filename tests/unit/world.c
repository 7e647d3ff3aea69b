#include "world.h"

#include "../splitmix.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

_Thread_local int world_rank = -1;

uint64_t random_next(random_t *random)
{
    return splitmix_next(&random->state);
}

size_t random_below(random_t *random, size_t limit)
{
    return limit == 0 ? 0 : random_next(random) % limit;
}

uint64_t random_seed(void)
{
    const char *text = getenv("HM_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
    print_message("HM_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* A row out of a pool of tokens that differ in few places: the last byte, one bit, the sign of a zero, a NaN's payload.
 */
static void row_draw(random_t *random, char *row, size_t bytes, unsigned pool, uint64_t salt)
{
    unsigned token = (unsigned)random_below(random, pool);
    random_t content = {salt + (token / 4) * 977};
    for (size_t i = 0; i < bytes; i++) row[i] = (char)random_next(&content);
    static const uint32_t special[] = {0x80000000u, 0x00000000u, 0x7fc00001u, 0x7fc00000u};
    if (bytes >= 8) memcpy(row + bytes / 2 / 4 * 4, &special[token % 4], 4);
    if (bytes < 8 || token % 8 >= 4) row[bytes - 1] = (char)(row[bytes - 1] ^ (char)(token % 4));
    if (token % 16 == 15) memset(row, 0, bytes);
}

void exchange_draw(random_t *random, exchange_t *exchange, int ranks, size_t row_bytes)
{
    size_t most = random_below(random, 4) == 0 ? 60 : 12;
    unsigned pool = 1 + (unsigned)random_below(random, 80);
    bool scattered = random_below(random, 2), quiet = random_below(random, 6) == 0;
    int target = random_below(random, 8) == 0 ? (int)random_below(random, (size_t)ranks) : -1;
    uint64_t salt = random_next(random);
    *exchange = (exchange_t){.ranks = ranks, .row_bytes = row_bytes};
    for (int s = 0; s < ranks; s++) {
        size_t total = 0;
        for (int r = 0; r < ranks; r++) {
            bool none = (target >= 0 && r != target) || (quiet && s == 0) || random_below(random, 5) == 0;
            exchange->rows[s][r] = none ? 0 : random_below(random, most);
            total += exchange->rows[s][r] + 2;
        }
        char *at = exchange->memory[s] = malloc(total * row_bytes + 64 * (size_t)ranks);
        at += random_below(random, 16);
        for (int r = 0; r < ranks; r++) {
            size_t rows = exchange->rows[s][r];
            exchange->send[s][r] = rows == 0 && random_below(random, 2) ? NULL : at;
            for (size_t i = 0; i < rows; i++) row_draw(random, at + i * row_bytes, row_bytes, pool, salt);
            at += rows * row_bytes + (scattered ? random_below(random, 40) : 0);
        }
    }
    exchange_receive(exchange);
}

void exchange_receive(exchange_t *exchange)
{
    for (int r = 0; r < exchange->ranks; r++)
        for (int s = 0; s < exchange->ranks; s++) {
            size_t bytes = exchange->rows[s][r] * exchange->row_bytes;
            exchange->recv[r][s] = malloc(bytes + 8);
            memset(exchange->recv[r][s], 0xA5, bytes + 8);
        }
}

size_t exchange_check(const exchange_t *exchange)
{
    static const char guard[8] = "\xA5\xA5\xA5\xA5\xA5\xA5\xA5\xA5";
    size_t wrong = 0;
    for (int r = 0; r < exchange->ranks; r++)
        for (int s = 0; s < exchange->ranks; s++) {
            size_t bytes = exchange->rows[s][r] * exchange->row_bytes;
            if (bytes > 0) wrong += memcmp(exchange->recv[r][s], exchange->send[s][r], bytes) != 0;
            wrong += memcmp(exchange->recv[r][s] + bytes, guard, 8) != 0;
        }
    return wrong;
}

void exchange_free(exchange_t *exchange)
{
    for (int r = 0; r < exchange->ranks; r++) {
        free(exchange->memory[r]);
        for (int s = 0; s < exchange->ranks; s++) free(exchange->recv[r][s]);
    }
}

/* Plain NCCL: what the front does with a call that is left alone. */
static ncclResult_t call_replay(const hm_call_t *call)
{
    const hm_real_t *real = call->comm->real;
    real->ncclGroupStart();
    for (int r = 0; r < call->comm->ranks; r++) {
        real->ncclSend(call->send[r], call->send_bytes[r], ncclUint8, r, call->comm->handle, call->stream);
        real->ncclRecv(call->recv[r], call->recv_bytes[r], ncclUint8, r, call->comm->handle, call->stream);
    }
    return real->ncclGroupEnd();
}

static void rank_run(world_t *world, int rank)
{
    exchange_t *exchange = &world->exchange;
    const void *send[RANKS_MAX];
    void *recv[RANKS_MAX];
    size_t out[RANKS_MAX], in[RANKS_MAX];
    for (int p = 0; p < exchange->ranks; p++) {
        send[p] = exchange->send[rank][p];
        recv[p] = exchange->recv[rank][p];
        out[p] = exchange->rows[rank][p] * exchange->row_bytes;
        in[p] = exchange->rows[p][rank] * exchange->row_bytes;
    }
    if (rank == exchange->ranks - 1) in[rank - 1] -= exchange->expected_less * exchange->row_bytes;
    hm_call_t call = {.comm = &world->comm[rank],
                      .stream = (cudaStream_t)world->stream[rank],
                      .send = send,
                      .recv = recv,
                      .send_bytes = out,
                      .recv_bytes = in,
                      .refusal = world->refusal[rank]};
    ncclResult_t result = ncclSuccess;
    doubles_own = world->settings[rank];
    doubles_adapters = world->adapters[rank];
    world_rank = rank;
    if (world->announced[rank] != NULL) announce_make(world->announced[rank]); /* settled says more */
    world->answer[rank] = call_run(&call, &result);
    announce_pass(call.comm->handle); /* as group_run does */
    world->settled[rank] = announce_settle(&world->made[rank]);
    world->replaced[rank] = world->answer[rank] == HM_ANSWER_DONE;
    if (!world->replaced[rank]) result = call_replay(&call);
    if (world->answer[rank] == HM_ANSWER_LEAVE_AND_TELL) call_replayed(call.comm, call.stream);
    world->result[rank] = result;
    threads_world_away(world->nccl, rank, world->stream[rank] == NULL);
    if (world->returned != NULL) world->returned(rank);
}

/* One thread for each rank that any world has had, to the end of the process: making new ones for each call takes
 * longer than the calls. */
static struct crew {
    pthread_mutex_t lock;
    pthread_cond_t go, done;
    world_t *world;
    unsigned round;
    int ranks, threads, working; /* ranks: of the world, which may be gone when the others look */
} crew = {.lock = PTHREAD_MUTEX_INITIALIZER, .go = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static void *crew_run(void *argument)
{
    int rank = (int)(intptr_t)argument;
    pthread_mutex_lock(&crew.lock);
    for (unsigned seen = crew.round - 1;; seen = crew.round) {
        while (crew.round == seen) pthread_cond_wait(&crew.go, &crew.lock);
        if (rank >= crew.ranks) continue;
        world_t *world = crew.world;
        pthread_mutex_unlock(&crew.lock);
        rank_run(world, rank);
        pthread_mutex_lock(&crew.lock);
        if (--crew.working == 0) pthread_cond_signal(&crew.done);
    }
    return NULL;
}

static void crew_add(int rank)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, crew_run, (void *)(intptr_t)rank), 0);
    pthread_detach(thread);
}

void world_call(world_t *world)
{
    int ranks = world->exchange.ranks;
    for (int r = 0; r < ranks; r++) threads_world_away(world->nccl, r, false);
    pthread_mutex_lock(&crew.lock);
    crew.world = world;
    crew.ranks = crew.working = ranks;
    crew.round++;
    for (; crew.threads < ranks; crew.threads++) crew_add(crew.threads);
    pthread_cond_broadcast(&crew.go);
    while (crew.working > 0) pthread_cond_wait(&crew.done, &crew.lock);
    pthread_mutex_unlock(&crew.lock);
    for (int r = 0; r < ranks; r++) threads_world_away(world->nccl, r, false);
}

void world_open(world_t *world, int ranks)
{
    memset(world, 0, sizeof *world);
    world->nccl = threads_world_create(ranks);
    for (int r = 0; r < ranks; r++)
        world->comm[r] = (hm_comm_t){.handle = threads_world_comm(world->nccl, r),
                                     .real = threads_real(),
                                     .ranks = ranks,
                                     .rank = r,
                                     .blocking = true};
}

bool world_exchange(random_t *random, world_t *world, int ranks, size_t row_bytes)
{
    exchange_draw(random, &world->exchange, ranks, row_bytes);
    world_call(world);
    for (int r = 0; r < ranks; r++) {
        assert_int_equal(world->result[r], ncclSuccess);
        assert_int_equal(world->replaced[r], world->replaced[0]);
    }
    assert_int_equal(exchange_check(&world->exchange), 0);
    exchange_free(&world->exchange);
    return world->replaced[0];
}

int world_learned(const world_t *world, int ranks)
{
    const hm_policy_t *first = &world->comm[0].state->parts.know.policy;
    int times = 0;
    for (int r = 0; r < ranks; r++) {
        const hm_know_t *know = &world->comm[r].state->parts.know;
        assert_int_equal(know->clock.calls, know->policy.looks.count); /* each time is held against its own look */
    }
    for (int r = 1; r < ranks; r++) {
        const hm_policy_t *other = &world->comm[r].state->parts.know.policy;
        assert_memory_equal(&other->tape, &first->tape, sizeof first->tape);
        assert_memory_equal(&other->kind, &first->kind, sizeof first->kind);
        assert_memory_equal(&other->looks, &first->looks, sizeof first->looks);
        assert_memory_equal(&other->trial, &first->trial, sizeof first->trial);
    }
    for (int k = 0; k < HM_KINDS; k++)
        for (int d = 0; d <= HM_MAX_LEVELS; d++) times += first->kind[k].arms.arm[d].ratio.kept;
    return times;
}

void world_close(world_t *world, int ranks)
{
    assert_int_equal(threads_world_errors(world->nccl), 0);
    assert_int_equal(threads_world_unmatched(world->nccl), 0);
    for (int r = 0; r < ranks; r++) state_destroy(&world->comm[r]);
    threads_world_destroy(world->nccl);
}
