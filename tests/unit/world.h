/* A communicator whose ranks are threads, and one all-to-all of random rows on it at a time. */
#ifndef WORLD_H
#define WORLD_H

#include "../../shim/door/call.h"
#include "../../shim/guide/announce.h"
#include "../../shim/state.h"
#include "doubles.h"
#include "streams.h"
#include "threads_nccl.h"

#include <stdint.h>

#define RANKS_MAX 12

typedef struct random {
    uint64_t state;
} random_t;

uint64_t random_next(random_t *random);
size_t random_below(random_t *random, size_t limit);
/* HM_TEST_SEED or the clock; printed, so that a run can be repeated. */
uint64_t random_seed(void);

/* One random call: counts in rows and the rows themselves, for all ranks. */
typedef struct exchange {
    int ranks;
    size_t row_bytes;
    size_t rows[RANKS_MAX][RANKS_MAX]; /* [source][rank] */
    char *send[RANKS_MAX][RANKS_MAX];  /* may be NULL where there are no rows */
    char *recv[RANKS_MAX][RANKS_MAX];  /* [rank][source], eight guard bytes behind each */
    char *memory[RANKS_MAX];
    size_t expected_less; /* rows that the last rank expects too few from the one before */
} exchange_t;

typedef struct world {
    threads_world_t *nccl;
    hm_comm_t comm[RANKS_MAX];
    const hm_settings_t *settings[RANKS_MAX]; /* a rank's own, or NULL */
    exchange_t exchange;
    hm_reason_t refusal[RANKS_MAX];                     /* what keeps the rank from having its call replaced */
    test_stream_t *stream[RANKS_MAX];                   /* of each rank's calls; NULL: work is done at once */
    uint64_t adapters[RANKS_MAX];                       /* what each rank has attached */
    const hiermoe_announcement_t *announced[RANKS_MAX]; /* of each rank's next call; NULL: nothing */
    int settled[RANKS_MAX];                             /* what became of it */
    hiermoe_handle_t made[RANKS_MAX];
    void (*returned)(int rank); /* called on the rank's thread when its call has returned; or NULL */
    hm_answer_t answer[RANKS_MAX];
    bool replaced[RANKS_MAX]; /* the answer was DONE */
    ncclResult_t result[RANKS_MAX];
} world_t;

/* Draws rows out of a pool of few different ones; most: rows per pair, at most. */
void exchange_draw(random_t *random, exchange_t *exchange, int ranks, size_t row_bytes);
/* Makes the receive buffers of an exchange whose rows are set. */
void exchange_receive(exchange_t *exchange);
/* Pairs whose receive buffer differs from the sender's rows, or that wrote beyond it. */
size_t exchange_check(const exchange_t *exchange);
void exchange_free(exchange_t *exchange);

/* The rank whose call the calling thread makes, else -1. */
extern _Thread_local int world_rank;

void world_open(world_t *world, int ranks);
/* One call on all ranks at once; calls that are left alone are made on plain NCCL, as the front does. */
void world_call(world_t *world);
/* Draws, calls, and fails the test unless every rank did the same and every byte is right. Returns whether the call was
 * replaced. */
bool world_exchange(random_t *random, world_t *world, int ranks, size_t row_bytes);
/* Fails the test unless all ranks have learned the same of their calls, in step with their clocks; returns from how
 * many times. */
int world_learned(const world_t *world, int ranks);
/* Fails the test if NCCL's rules were broken. */
void world_close(world_t *world, int ranks);

#endif
