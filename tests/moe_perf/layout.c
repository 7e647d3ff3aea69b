#include "layout.h"

#include "layout_rows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Tokens of `source` that chose each expert. */
static void expert_counts(const mp_routing_t *routing, int layer, int source, size_t *count)
{
    for (int e = 0; e < routing->experts; e++) count[e] = 0;
    for (size_t t = 0; t < routing->tokens_of[source]; t++) {
        const uint16_t *expert = routing_token(routing, layer, source, t);
        for (int k = 0; k < routing->topk; k++) count[expert[k]]++;
    }
}

size_t layout_rows_start(const mp_routing_t *routing, int layer, int source, size_t capacity, size_t *start)
{
    size_t at = 0;
    expert_counts(routing, layer, source, start);
    for (int e = 0; e < routing->experts; e++) {
        size_t rows = capacity ? capacity : start[e];
        start[e] = at;
        at += rows;
    }
    start[routing->experts] = at;
    return at;
}

void layout_rows_fill(const mp_routing_t *routing, int layer, int source, const size_t *start, int first, int end,
                      size_t *next, uint32_t *token)
{
    for (int e = first; e < end; e++) next[e] = start[e];
    for (size_t i = 0; i < start[end] - start[first]; i++) token[i] = MP_PAD;
    for (size_t t = 0; t < routing->tokens_of[source]; t++) {
        const uint16_t *expert = routing_token(routing, layer, source, t);
        for (int k = 0; k < routing->topk; k++) {
            int e = expert[k];
            /* A full expert drops the token, as capacity factors do. */
            if (e < first || e >= end || next[e] == start[e + 1]) continue;
            token[next[e]++ - start[first]] = (uint32_t)t;
        }
    }
}

/* The largest number of tokens that any rank has for any expert, or the factor's share of them; at least 1. */
static size_t capacity_choose(const mp_routing_t *routing, int layer, double factor, size_t *count)
{
    size_t most = 1, tokens = 0;
    for (int r = 0; r < routing->ranks; r++) {
        if (routing->tokens_of[r] > tokens) tokens = routing->tokens_of[r];
        if (factor > 0) continue;
        expert_counts(routing, layer, r, count);
        for (int e = 0; e < routing->experts; e++)
            if (count[e] > most) most = count[e];
    }
    if (factor <= 0) return most;
    double rows = ceil(factor * routing->topk * (double)tokens / routing->experts);
    if (rows > (double)tokens) rows = (double)tokens;
    return rows < 1 ? 1 : (size_t)rows;
}

/* Fills counts, and the rows that `layout->rank` receives. start and next have experts + 1 entries. */
static int layout_receive(const mp_routing_t *routing, int layer, mp_layout_t *layout, size_t *start, size_t *next)
{
    int ranks = layout->ranks, per_rank = routing->experts / ranks, me = layout->rank;
    size_t at = 0;
    for (int s = 0; s < ranks; s++) {
        layout_rows_start(routing, layer, s, layout->capacity, start);
        for (int r = 0; r < ranks; r++)
            layout->counts[(size_t)s * (size_t)ranks + (size_t)r] = start[(r + 1) * per_rank] - start[r * per_rank];
        layout->recv_rows += start[(me + 1) * per_rank] - start[me * per_rank];
    }
    layout->recv_token = malloc((layout->recv_rows + 1) * sizeof(uint32_t));
    if (!layout->recv_token) return -ENOMEM;
    for (int s = 0; s < ranks; s++) {
        layout_rows_start(routing, layer, s, layout->capacity, start);
        layout_rows_fill(routing, layer, s, start, me * per_rank, (me + 1) * per_rank, next, layout->recv_token + at);
        at += start[(me + 1) * per_rank] - start[me * per_rank];
    }
    return 0;
}

int layout_create(const mp_routing_t *routing, int layer, int rank, bool padded, double capacity_factor,
                  mp_layout_t *layout)
{
    size_t experts = (size_t)routing->experts, ranks = (size_t)routing->ranks;
    size_t *start = calloc(2 * (experts + 1), sizeof(size_t));
    mp_layout_t made = {.ranks = routing->ranks, .rank = rank};
    int status = -ENOMEM;
    made.counts = calloc(ranks * ranks, sizeof(size_t));
    if (!start || !made.counts) goto out;
    if (padded) made.capacity = capacity_choose(routing, layer, capacity_factor, start);
    status = layout_receive(routing, layer, &made, start, start + experts + 1);
    if (status) goto out;
    made.send_rows = layout_rows_start(routing, layer, rank, made.capacity, start);
    made.send_token = malloc((made.send_rows + 1) * sizeof(uint32_t));
    if (made.send_token)
        layout_rows_fill(routing, layer, rank, start, 0, routing->experts, start + experts + 1, made.send_token);
    else
        status = -ENOMEM;
out:
    free(start);
    if (status)
        layout_free(&made);
    else
        *layout = made;
    return status;
}

void layout_free(mp_layout_t *layout)
{
    free(layout->counts);
    free(layout->send_token);
    free(layout->recv_token);
    *layout = (mp_layout_t){0};
}
