#include "random_data.h"

#include "../splitmix.h"

#include <stdlib.h>
#include <string.h>

uint64_t data_next(data_random_t *random)
{
    return splitmix_next(&random->state);
}

size_t data_below(data_random_t *random, size_t limit)
{
    return limit == 0 ? 0 : data_next(random) % limit;
}

/* A row out of a pool of tokens that differ in few places: the last byte, the sign of a zero, a NaN's payload. */
static void row_fill(data_random_t *random, const data_shape_t *shape, char *row, size_t bytes)
{
    static const uint32_t special[] = {0x80000000u, 0x00000000u, 0x7fc00001u, 0x7fc00000u, 0xffffffffu};
    unsigned token = (unsigned)data_below(random, shape->pool);
    data_random_t content = {shape->salt + (token / 8) * 977};
    for (size_t i = 0; i < bytes; i++) row[i] = (char)data_next(&content);
    if (bytes >= 8) memcpy(row + bytes / 2 / 4 * 4, &special[token % 5], 4);
    if (token % 8 >= 5) row[bytes - 1] = (char)(row[bytes - 1] ^ (char)(token % 8));
    if (token % 32 == 31) memset(row, 0, bytes);
}

static const struct {
    ncclDataType_t type;
    size_t bytes;
} types[] = {{ncclInt8, 1},    {ncclUint8, 1}, {ncclFloat16, 2}, {ncclBfloat16, 2},
             {ncclFloat32, 4}, {ncclInt32, 4}, {ncclInt64, 8},   {ncclFloat64, 8}};
#define TYPES (sizeof types / sizeof types[0])

/* What repeats is not always a row: where counts are equal the bytes alone tell its size, and they may mislead. */
static size_t piece_draw(data_random_t *random, size_t row_bytes)
{
    size_t which = data_below(random, 12), parts = which == 0 ? 4 : which == 1 ? 2 : 1;
    if (row_bytes % parts == 0 && parts > 1) return row_bytes / parts;
    return row_bytes * (which == 2 ? 2 : which == 3 ? 3 : 1);
}

/* Runs of one call, as today's jobs never have, up to long ones. */
static void run_draw(data_random_t *random, data_run_t *run)
{
    static const size_t elements[] = {32, 33, 47, 64, 100, 128, 255, 256, 512, 1000, 7}, most[] = {1, 4, 30};
    size_t which = data_below(random, TYPES);
    data_shape_t *shape = &run->shape;
    run->left = 1 + data_below(random, most[data_below(random, 3)]);
    run->equal = data_below(random, 6) == 0;
    run->slots = data_below(random, 2) == 0 ? 0 : 1 + data_below(random, 60);
    shape->type = types[which].type;
    shape->type_bytes = types[which].bytes;
    shape->row_bytes = elements[data_below(random, sizeof elements / sizeof elements[0])] * shape->type_bytes;
    shape->pool = 1 + (unsigned)data_below(random, data_below(random, 2) ? 6 : 90);
    shape->piece_bytes = piece_draw(random, shape->row_bytes);
}

void data_shape_draw(data_random_t *random, data_run_t *run, size_t most_bytes, int ranks, data_shape_t *shape)
{
    if (run->left == 0) run_draw(random, run);
    run->left--;
    *shape = run->shape;
    shape->salt = data_next(random);
    size_t most = most_bytes / shape->row_bytes / (data_below(random, 3) == 0 ? 1 : 8) + 2;
    if (most > 120) most = 120;
    int empty = data_below(random, 4) == 0 ? (int)data_below(random, (size_t)ranks) : -1;
    int target = data_below(random, 10) == 0 ? (int)data_below(random, (size_t)ranks) : -1;
    bool sparse = data_below(random, 5) == 0;
    size_t same = data_below(random, most);
    shape->equal = run->equal || data_below(random, 5) == 0;
    if (run->equal && run->slots > 0 && run->slots < most) same = run->slots;
    shape->ragged = data_below(random, 15) == 0;
    shape->mixed = data_below(random, 8) == 0;
    shape->left_out = data_below(random, 16) == 0;
    shape->padded = data_below(random, 4) == 0;
    for (int s = 0; s < DATA_RANKS; s++)
        for (int r = 0; r < DATA_RANKS; r++) {
            size_t rows = data_below(random, most), odd = data_below(random, shape->row_bytes / shape->type_bytes);
            bool none = s == empty || (target >= 0 && r != target) || data_below(random, sparse ? 2 : 8) == 0;
            if (shape->equal) {
                rows = same;
            } else if (none) {
                rows = odd = 0;
            }
            shape->count[s][r] =
                rows * (shape->row_bytes / shape->type_bytes) + (shape->ragged && !shape->equal ? odd : 0);
        }
}

/* Both ends of a pair draw the type from the same numbers; of nothing each rank sends any type that it likes. */
static void leg_type(data_random_t *own, const data_shape_t *shape, int source, int rank, data_leg_t *leg)
{
    size_t bytes = shape->count[source][rank] * shape->type_bytes;
    data_random_t pair = {shape->salt + bytes * 31 + (uint64_t)(source * DATA_RANKS + rank)};
    data_random_t *random = bytes == 0 ? own : &pair;
    leg->type = shape->type;
    leg->count = shape->count[source][rank];
    for (size_t which = data_below(random, TYPES); shape->mixed; which = data_below(random, TYPES)) {
        leg->type = types[which].type;
        leg->count = bytes / types[which].bytes;
        if (bytes % types[which].bytes == 0) return;
    }
}

static void legs_draw(data_random_t *own, const data_shape_t *shape, int ranks, int rank, bool split,
                      data_buffers_t *buffers)
{
    bool shuffled = data_below(own, 2);
    for (int i = 0; i < 2 * ranks; i++) {
        data_leg_t leg = {.receives = i % 2, .peer = i / 2, .second = split && data_below(own, 2)};
        if (leg.receives)
            leg_type(own, shape, leg.peer, rank, &leg);
        else
            leg_type(own, shape, rank, leg.peer, &leg);
        if (leg.count > 0 || leg.peer == rank || !shape->left_out) buffers->leg[buffers->legs++] = leg;
    }
    for (int i = buffers->legs - 1; shuffled && i > 0; i--) {
        int j = (int)data_below(own, (size_t)i + 1);
        data_leg_t kept = buffers->leg[i];
        buffers->leg[i] = buffers->leg[j];
        buffers->leg[j] = kept;
    }
}

/* Offsets of the buffers of all peers in one arena: in order and close together, or apart and in any order. Returns the
 * bytes needed. */
static size_t arena_lay(data_random_t *random, int ranks, const size_t *bytes, bool scattered, size_t *at)
{
    int order[2 * DATA_RANKS];
    size_t used = DATA_GUARD + data_below(random, 16);
    for (int p = 0; p < ranks; p++) order[p] = p;
    for (int i = ranks - 1; scattered && i > 0; i--) {
        int j = (int)data_below(random, (size_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    for (int i = 0; i < ranks; i++) {
        at[order[i]] = used;
        used += bytes[order[i]] + (scattered ? DATA_GUARD + data_below(random, 40) : 0);
    }
    return used + DATA_GUARD;
}

static bool send_make(data_random_t *random, const data_shape_t *shape, int ranks, data_buffers_t *buffers)
{
    size_t bytes[DATA_RANKS], at[DATA_RANKS];
    for (int p = 0; p < ranks; p++) bytes[p] = buffers->out[p] * shape->type_bytes;
    buffers->sent_bytes = arena_lay(random, ranks, bytes, !shape->equal && data_below(random, 2), at);
    buffers->sent = calloc(1, buffers->sent_bytes);
    buffers->sent_copy = malloc(buffers->sent_bytes);
    if (buffers->sent == NULL || buffers->sent_copy == NULL) return false;
    size_t piece = shape->piece_bytes > 0 ? shape->piece_bytes : shape->row_bytes;
    for (int p = 0; p < ranks; p++) {
        char *row = buffers->send[p] = buffers->sent + at[p];
        size_t rows = bytes[p] / shape->row_bytes, left = bytes[p];
        if (shape->padded) left = data_below(random, rows + 1) * shape->row_bytes; /* zeros behind */
        while (left > 0) {
            size_t part = left < piece ? left : piece;
            row_fill(random, shape, row, part);
            row += part;
            left -= part;
        }
        if (bytes[p] == 0 && !shape->equal && data_below(random, 2)) buffers->send[p] = NULL;
    }
    memcpy(buffers->sent_copy, buffers->sent, buffers->sent_bytes);
    return true;
}

static bool recv_make(data_random_t *random, const data_shape_t *shape, int ranks, data_buffers_t *buffers)
{
    size_t bytes[DATA_RANKS], at[DATA_RANKS];
    for (int p = 0; p < ranks; p++) bytes[p] = buffers->in[p] * shape->type_bytes;
    buffers->arena_bytes = arena_lay(random, ranks, bytes, !shape->equal && data_below(random, 2), at);
    buffers->arena = malloc(buffers->arena_bytes);
    buffers->expected_arena = malloc(buffers->arena_bytes);
    if (buffers->arena == NULL || buffers->expected_arena == NULL) return false;
    memset(buffers->arena, 0xA5, buffers->arena_bytes);
    memset(buffers->expected_arena, 0xA5, buffers->arena_bytes);
    for (int p = 0; p < ranks; p++) {
        bool null = bytes[p] == 0 && !shape->equal && data_below(random, 2);
        buffers->got[p] = null ? NULL : buffers->arena + at[p];
        buffers->expected[p] = null ? NULL : buffers->expected_arena + at[p];
        buffers->received += bytes[p];
    }
    return true;
}

bool data_buffers_make(data_random_t *random, const data_shape_t *shape, int ranks, int rank, bool split,
                       data_buffers_t *buffers)
{
    memset(buffers, 0, sizeof *buffers);
    for (int p = 0; p < ranks; p++) {
        buffers->out[p] = shape->count[rank][p];
        buffers->in[p] = shape->count[p][rank];
    }
    legs_draw(random, shape, ranks, rank, split, buffers);
    if (send_make(random, shape, ranks, buffers) && recv_make(random, shape, ranks, buffers)) return true;
    data_buffers_free(buffers);
    return false;
}

void data_rows_clear(const data_shape_t *shape, data_buffers_t *buffers)
{
    for (int p = 0; p < DATA_RANKS; p++)
        if (buffers->out[p] != 0) memset(buffers->send[p], 0, buffers->out[p] * shape->type_bytes);
}

long data_buffers_compare(const data_buffers_t *buffers)
{
    for (size_t i = 0; i < buffers->arena_bytes; i++)
        if (buffers->arena[i] != buffers->expected_arena[i]) return (long)i;
    for (size_t i = 0; i < buffers->sent_bytes; i++)
        if (buffers->sent[i] != buffers->sent_copy[i]) return (long)(buffers->arena_bytes + i);
    return -1;
}

void data_buffers_free(data_buffers_t *buffers)
{
    free(buffers->sent);
    free(buffers->sent_copy);
    free(buffers->arena);
    free(buffers->expected_arena);
    memset(buffers, 0, sizeof *buffers);
}
