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
        for (int r = 0; r < ranks; r++)
            for (int expert = 0; expert < EXPERTS; expert++)
                for (int t = 0; t < TOKENS_MOST; t++) {
                    bool chosen = random_below(random, 3) == 0 && !(quiet && (s == 1 || s == 2));
                    if (!chosen) continue;
                    *at++ = t;
                    tokens->rows[s][r]++;
                }
    }
    tokens_redraw(random, tokens);
}

/* Small integers add up exactly. */
static float element_draw(random_t *random)
{
    return (float)random_below(random, 17) - 8;
}

void tokens_redraw(random_t *random, tokens_t *tokens)
{
    for (int s = 0; s < tokens->ranks; s++)
        for (size_t i = 0; i < TOKENS_MOST * tokens->width; i++) tokens->row[s][i] = element_draw(random);
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

void tokens_back(random_t *random, const tokens_t *tokens, exchange_t *exchange)
{
    size_t row_bytes = tokens->width * sizeof(float);
    *exchange = (exchange_t){.ranks = tokens->ranks, .row_bytes = row_bytes};
    for (int r = 0; r < tokens->ranks; r++) {
        size_t rows = 0;
        for (int s = 0; s < tokens->ranks; s++) rows += exchange->rows[r][s] = tokens->rows[s][r];
        float *at = malloc(rows * row_bytes + 1);
        exchange->memory[r] = (char *)at;
        for (size_t i = 0; i < rows * tokens->width; i++) at[i] = element_draw(random);
        for (int s = 0; s < tokens->ranks; s++) {
            exchange->send[r][s] = (char *)at;
            at += exchange->rows[r][s] * tokens->width;
        }
    }
    exchange_receive(exchange);
}

/* Adds the rows that belong to a token up, as sent or as received; *first: the first of these rows. */
static void rows_add(const tokens_t *tokens, const exchange_t *exchange, int rank, int token, bool sent, float *sum,
                     const float **first)
{
    const int64_t *map = tokens->map[rank];
    for (size_t i = 0; i < tokens->width; i++) sum[i] = 0;
    *first = NULL;
    for (int r = 0; r < tokens->ranks; r++) {
        const float *at = (const float *)(void *)(sent ? exchange->send[r][rank] : exchange->recv[rank][r]);
        for (size_t row = 0; row < tokens->rows[rank][r]; row++, at += tokens->width) {
            if (*map++ != token) continue;
            if (*first == NULL) *first = at;
            for (size_t i = 0; i < tokens->width; i++) sum[i] += at[i];
        }
    }
}

size_t tokens_sums_wrong(const tokens_t *tokens, const exchange_t *exchange, bool alone)
{
    float *got = malloc(2 * tokens->width * sizeof *got), *wanted = got + tokens->width;
    size_t wrong = 0, bytes = tokens->width * sizeof *got;
    const float *first;
    for (int s = 0; s < tokens->ranks; s++)
        for (int t = 0; t < tokens->tokens; t++) {
            rows_add(tokens, exchange, s, t, true, wanted, &first);
            rows_add(tokens, exchange, s, t, false, got, &first);
            wrong += memcmp(got, wanted, bytes) != 0 || (alone && first != NULL && memcmp(first, wanted, bytes) != 0);
        }
    free(got);
    return wrong;
}

hiermoe_announcement_t tokens_announce_after(const tokens_t *tokens, int rank, uint32_t role, hiermoe_handle_t handle)
{
    hiermoe_announcement_t what = tokens_announce(tokens, rank, false);
    uint64_t out = what.rows_out;
    what.role = role;
    what.handle = handle;
    what.flags = role == HIERMOE_COMBINE_BACKWARD ? HIERMOE_COPIES : HIERMOE_SUM;
    if (role == HIERMOE_COMBINE_BACKWARD) return what;
    what.rows_out = what.rows_in;
    what.rows_in = out;
    return what;
}
