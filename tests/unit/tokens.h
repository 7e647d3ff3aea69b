/* All-to-alls of a MoE layer: ranks with tokens that choose ranks with experts, so that it is known which row is which
 * token, and what adapters would announce of each call. */
#ifndef TOKENS_H
#define TOKENS_H

#include "world.h"

#define TOKENS_MOST 64

/* Who sends which token where. A token goes to a rank at most `experts` times. */
typedef struct tokens {
    int ranks, tokens;
    size_t width; /* elements of a row, fp32 */
    size_t rows[RANKS_MAX][RANKS_MAX];
    int64_t *map[RANKS_MAX]; /* [rows of the rank] token of each row, in the order in which they are sent */
    float *row[RANKS_MAX];   /* [tokens][width] */
} tokens_t;

/* Draws the choices and the tokens; quiet: ranks 1 and 2, if there are, have none. */
void tokens_draw(random_t *random, tokens_t *tokens, int ranks, size_t width, bool quiet);
void tokens_free(tokens_t *tokens);

/* Rows that a rank sends in a dispatch. */
size_t tokens_rows_out(const tokens_t *tokens, int rank);

/* The dispatch. */
void tokens_dispatch(const tokens_t *tokens, exchange_t *exchange);

/* A way back: for each row of the dispatch one of small integers, from the rank that got it. */
void tokens_back(random_t *random, const tokens_t *tokens, exchange_t *exchange);

/* Tokens whose rows, added up, are not what was sent back for them; alone: those too that are not in the first row of
 * the token with zeros in the others. */
size_t tokens_sums_wrong(const tokens_t *tokens, const exchange_t *exchange, bool alone);

/* Other bytes for all tokens, as in the next layer or for gradients. */
void tokens_redraw(random_t *random, tokens_t *tokens);

/* What a rank announces of a call after the dispatch: COMBINE_BACKWARD as copies, the others as sums. */
hiermoe_announcement_t tokens_announce_after(const tokens_t *tokens, int rank, uint32_t role, hiermoe_handle_t handle);

/* What a rank announces of the dispatch, with or without its map. The map's entries are 8 bytes. */
hiermoe_announcement_t tokens_announce(const tokens_t *tokens, int rank, bool map);

#endif
