/* Random all-to-alls for tests: counts that all ranks draw alike, rows that repeat and differ in odd places, buffers
 * that lie as badly as NCCL allows. */
#ifndef RANDOM_DATA_H
#define RANDOM_DATA_H

#include "hostnccl.h"

#include <stdbool.h>

#define DATA_RANKS 16
#define DATA_GUARD 24 /* bytes around each receive buffer that nobody may touch */

typedef struct data_random {
    uint64_t state;
} data_random_t;

uint64_t data_next(data_random_t *random);
size_t data_below(data_random_t *random, size_t limit); /* 0 for limit 0 */

/* Drawn alike by all ranks of all communicators. */
typedef struct data_shape {
    bool equal; /* ncclAlltoAll: the same count for all */
    ncclDataType_t type;
    size_t type_bytes, row_bytes;
    size_t count[DATA_RANKS][DATA_RANKS]; /* [source][rank] elements; whole rows unless `ragged` */
    bool ragged;
    bool mixed;         /* each pair has a type of its own, and empty legs any; else all have `type` */
    bool left_out;      /* who has nothing for another rank makes no send, and that one no receive */
    unsigned pool;      /* different pieces there are, of: */
    size_t piece_bytes; /* a row, mostly; else a part of one, or some rows; 0: a row */
    bool padded;        /* what each rank gets ends in zeros, from any row on */
    uint64_t salt;
} data_shape_t;

/* Kinds of calls come in runs in real jobs, and the library learns from that: type, row size and number of different
 * rows stay for as many calls as `left` says. All zero before the first call. */
typedef struct data_run {
    size_t left;
    bool equal;   /* all its calls have equal counts: */
    size_t slots; /* rows, the same in all of them; 0: other ones in each */
    data_shape_t shape;
} data_run_t;

/* A send or a receive of a call, as it is made. */
typedef struct data_leg {
    bool receives, second; /* second: on the rank's other stream */
    int peer;
    ncclDataType_t type;
    size_t count; /* elements of this type */
} data_leg_t;

/* One rank's memory for one call. Arrays by peer; counts in elements. `got` and `expected` lie alike in two arenas. */
typedef struct data_buffers {
    char *send[DATA_RANKS], *got[DATA_RANKS], *expected[DATA_RANKS];
    size_t out[DATA_RANKS], in[DATA_RANKS], received;
    data_leg_t leg[2 * DATA_RANKS]; /* in the order in which they are made */
    int legs;
    char *sent, *sent_copy, *arena, *expected_arena;
    size_t sent_bytes, arena_bytes;
} data_buffers_t;

/* most_bytes: most that a rank sends to another, about. */
void data_shape_draw(data_random_t *random, data_run_t *run, size_t most_bytes, int ranks, data_shape_t *shape);

/* split: legs are spread over two streams. false: no memory. */
bool data_buffers_make(data_random_t *random, const data_shape_t *shape, int ranks, int rank, bool split,
                       data_buffers_t *buffers);

/* Forgets the rows that are sent; sent_copy still has them. */
void data_rows_clear(const data_shape_t *shape, data_buffers_t *buffers);

/* First byte at which the two receive arenas differ, guards included; one at which the send memory was written to is
 * counted behind them. -1: none. */
long data_buffers_compare(const data_buffers_t *buffers);
void data_buffers_free(data_buffers_t *buffers);

#endif
