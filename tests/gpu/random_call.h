/* All-to-alls drawn at random: who sends how many rows of what size to whom, where the rows lie, and what they hold. */
#ifndef HM_TESTS_RANDOM_CALL_H
#define HM_TESTS_RANDOM_CALL_H

#include "door/nccl_abi.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct random_limits {
    size_t bytes; /* most that a buffer may span, guards included */
    bool by_name; /* ncclAlltoAll may be drawn */
    bool has_fp8; /* NCCL knows 8-bit floats */
} random_limits_t;

typedef struct random_call {
    uint64_t seed;
    uint32_t index;
    int ranks, rank;
    bool by_name, plain_first, together; /* which way goes first; both enqueued before the first wait */
    ncclDataType_t type;
    size_t type_bytes, row_bytes;
    const char *style;                     /* of the counts */
    size_t pool;                           /* different pieces that the sender draws from */
    size_t piece_bytes;                    /* of a piece: a row, mostly; else a part of one, or some rows */
    bool padded;                           /* what each rank gets ends in zeros, from any row on */
    size_t *send_count, *recv_count;       /* [ranks] elements */
    size_t *send_at, *recv_at;             /* [ranks] where each peer's rows begin, bytes */
    bool mixed;                            /* each pair has a type of its own, and empty messages any */
    bool left_out;                         /* nothing is sent where there are no rows */
    ncclDataType_t *send_type, *recv_type; /* [ranks] of the pairs */
    int stream;                            /* which one, of RANDOM_STREAMS: this rank's own affair, as are the next */
    int second;                            /* stream of odd peers; -1: the same */
    bool held, forks;                      /* the stream is held back for a while; the process forks in the midst */
    size_t send_span, recv_span;           /* bytes from the buffers' starts to the ends of the last rows */
} random_call_t;

#define RANDOM_STREAMS 3

/* Room for calls between `ranks`. 0 or -ENOMEM. */
int random_call_alloc(int ranks, int rank, random_call_t *call);
void random_call_free(random_call_t *call);

/* Draws call number `index`. Types and row sizes come in runs, since the library learns from what comes again. All
 * ranks draw the same counts, type and order; where a rank's rows lie, and what they hold, is its own affair. */
void random_call_draw(random_call_t *call, uint64_t seed, uint32_t index, const random_limits_t *limits);

/* Writes this rank's rows, and poison between them. work: room for RANDOM_POOL_BYTES. */
#define RANDOM_POOL_BYTES ((size_t)4 << 20)
void random_call_fill(const random_call_t *call, uint8_t *send, uint8_t *work);

#endif
