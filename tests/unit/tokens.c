#include "tokens.h"

#include <stdlib.h>
#include <string.h>

void tokens_draw(random_t *random, tokens_t *tokens, int ranks, size_t width, bool quiet)
{
    enum { EXPERTS = 2 }; /* of a rank */
    *tokens = (tokens_t){.ranks = ranks, .tokens = TOKENS_MOST, .width = width};
    for (int s = 0; s < ranks; s++) {
        int64_t *at = tokens->map[s] = malloc(sizeof *at * TOKENS_MOST * EXPERTS * (size_t)ranks);
        tokens->row[s] = malloc(sizeof(float) * TOKENS_MOST * width);
        for (size_t i = 0; i < TOKENS_MOST * width; i++)
            tokens->row[s][i] = (float)random_below(random, 17) - 8; /* small integers add up exactly */
        for (int r = 0; r < ranks; r++)
            for (int expert = 0; expert < EXPERTS; expert++)
                for (int t = 0; t < TOKENS_MOST; t++) {
                    bool chosen = random_below(random, 3) == 0 && !(quiet && (s == 1 || s == 2));
                    if (!chosen) continue;
                    *at++ = t;
                    tokens->rows[s][r]++;
                }
    }
}

void tokens_free(tokens_t *tokens)
{
    for (int s = 0; s < tokens->ranks; s++) {
        free(tokens->map[s]);
        free(tokens->row[s]);
    }
}

size_t tokens_rows_out(const tokens_t *tokens, int rank)
{
    size_t sum = 0;
    for (int r = 0; r < tokens->ranks; r++) sum += tokens->rows[rank][r];
    return sum;
}

void tokens_dispatch(const tokens_t *tokens, exchange_t *exchange)
{
    size_t row_bytes = tokens->width * sizeof(float);
    *exchange = (exchange_t){.ranks = tokens->ranks, .row_bytes = row_bytes};
    memcpy(exchange->rows, tokens->rows, sizeof tokens->rows);
    for (int s = 0; s < tokens->ranks; s++) {
        const int64_t *token = tokens->map[s];
        char *at = exchange->memory[s] = malloc(tokens_rows_out(tokens, s) * row_bytes + 1);
        for (int r = 0; r < tokens->ranks; r++) {
            exchange->send[s][r] = at;
            for (size_t i = 0; i < tokens->rows[s][r]; i++, at += row_bytes)
                memcpy(at, tokens->row[s] + (size_t)*token++ * tokens->width, row_bytes);
        }
    }
    exchange_receive(exchange);
}

hiermoe_announcement_t tokens_announce(const tokens_t *tokens, int rank, bool map)
{
    size_t in = 0;
    for (int s = 0; s < tokens->ranks; s++) in += tokens->rows[s][rank];
    return (hiermoe_announcement_t){.size = sizeof(hiermoe_announcement_t),
                                    .role = HIERMOE_DISPATCH,
                                    .type = HIERMOE_FP32,
                                    .layer = -1,
                                    .width = tokens->width,
                                    .rows_out = tokens_rows_out(tokens, rank),
                                    .rows_in = in,
                                    .map_bytes = map ? 8 : 0,
                                    .map = map ? tokens->map[rank] : NULL,
                                    .tokens = map ? (uint64_t)tokens->tokens : 0};
}
