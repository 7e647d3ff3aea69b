/* Random calls of an MoE layer for tests of sums: who sends which token where, and what the sums must be. */
#ifndef BACK_CALLS_H
#define BACK_CALLS_H

#include "world.h"

#define TOKENS_MOST 24
#define COPIES_MOST 4 /* rows of one token for one rank */
#define PAIR_MOST (TOKENS_MOST * COPIES_MOST)

typedef struct layer {
    const hm_topo_t *topo;
    int ranks;
    size_t rows[RANKS_MAX][RANKS_MAX];               /* [source][rank] */
    uint16_t token[RANKS_MAX][RANKS_MAX][PAIR_MOST]; /* of each row */
    int filler[RANKS_MAX];                           /* token that is a source's filler, or -1 */
} layer_t;

/* Rows for one way of a layer: those that each rank sends and room for those that each gets, guard bytes behind. */
typedef struct transfer {
    int ranks;
    size_t row_bytes;
    size_t rows[RANKS_MAX][RANKS_MAX];                             /* [sender][receiver] */
    char *send[RANKS_MAX][RANKS_MAX], *recv[RANKS_MAX][RANKS_MAX]; /* [sender][receiver], [receiver][sender] */
} transfer_t;

typedef enum filling { FILL_ONES, FILL_INTEGERS, FILL_REALS, FILL_ANY } filling_t;

void layer_draw(random_t *random, layer_t *layer, const hm_topo_t *topo);

/* back: rows of the layer's ranks for its sources. Sent rows are unset. */
void transfer_open(const layer_t *layer, transfer_t *transfer, size_t row_bytes, bool back);
void transfer_close(transfer_t *transfer);

/* Rows that are the same bytes for one token of one source, and differ otherwise. */
void transfer_fill_tokens(const layer_t *layer, transfer_t *transfer, uint64_t salt);
/* Elements of a way back; ANY: NaN, Inf, zeros of both signs and tiny numbers among them. */
void transfer_fill(random_t *random, transfer_t *transfer, hm_element_t type, filling_t filling);

/* What plain NCCL would deliver. */
void transfer_plain(transfer_t *transfer);

/* Rows that are not what plain NCCL delivers, and guards that were written to. */
size_t transfer_wrong(const transfer_t *transfer);

/* The same for sums of a way back, held against the tree added up number by number. */
size_t sums_wrong(const layer_t *layer, const transfer_t *transfer, hm_element_t type, bool filler_unread);

/* Whether all numbers are the sums of integers that fit. */
size_t integers_wrong(const layer_t *layer, const transfer_t *transfer, hm_element_t type);

/* Distinct number that the filler of a source gets: its tokens by first appearance in the order of rows. */
uint32_t layer_filler(const layer_t *layer, int source);

#endif
