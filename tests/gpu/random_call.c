#include "random_call.h"

#include "../splitmix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROW_BYTES_MOST ((size_t)16 << 10)
#define POISON 0x5a

static size_t below(uint64_t *state, size_t limit)
{
    return (size_t)(splitmix_next(state) % limit);
}

int random_call_alloc(int ranks, int rank, random_call_t *call)
{
    size_t *room = calloc(4 * (size_t)ranks, sizeof(*room));
    *call = (random_call_t){.ranks = ranks, .rank = rank};
    call->send_type = calloc(2 * (size_t)ranks, sizeof(*call->send_type));
    if (!room || !call->send_type) {
        free(room);
        return -ENOMEM;
    }
    call->recv_type = call->send_type + ranks;
    call->send_count = room;
    call->recv_count = room + ranks;
    call->send_at = room + 2 * ranks;
    call->recv_at = room + 3 * ranks;
    return 0;
}

void random_call_free(random_call_t *call)
{
    free(call->send_count);
    free(call->send_type);
    call->send_count = NULL;
    call->send_type = NULL;
}

static void type_draw(random_call_t *call, uint64_t *shared, const random_limits_t *limits)
{
    static const ncclDataType_t types[] = {ncclBfloat16, ncclBfloat16, ncclFloat32,    ncclUint8,
                                           ncclInt8,     ncclInt32,    ncclInt64,      ncclFloat16,
                                           ncclFloat64,  ncclUint64,   ncclFloat8e4m3, ncclFloat8e5m2};
    size_t known = sizeof(types) / sizeof(types[0]) - (limits->has_fp8 ? 0 : 2);
    call->type = types[below(shared, known)];
    call->type_bytes = nccl_type_bytes(call->type);
}

static void row_draw(random_call_t *call, uint64_t *shared)
{
    size_t elements;
    switch (below(shared, 5)) {
    case 0:
        elements = 1 + below(shared, 16);
        break;
    case 1:
        elements = 16 + below(shared, 64);
        break;
    case 2:
        elements = 64 + below(shared, 2000);
        break;
    case 3:
        elements = (size_t)64 << below(shared, 6);
        break;
    default:
        elements = 8 * (4 + below(shared, 250));
        break;
    }
    size_t most = ROW_BYTES_MOST / call->type_bytes;
    call->row_bytes = (elements < most ? elements : most) * call->type_bytes;
}

/* Rows that `source` sends to `peer`, all of one style; at most `most`. */
static size_t rows_draw(int style, uint64_t *shared, size_t most, int source, int peer, int odd, size_t same)
{
    size_t rows = below(shared, most + 1);
    switch (style) {
    case 0:
        return same;
    case 1:
        return rows;
    case 2:
        return rows % 4 ? 0 : rows / 4;
    case 3:
        return peer == odd ? rows : rows / 16;
    case 4:
        return source == odd ? 0 : rows;
    case 5:
        return peer == odd ? 0 : rows;
    default:
        return 0;
    }
}

static void counts_draw(random_call_t *call, uint64_t *shared, const random_limits_t *limits)
{
    static const char *const styles[] = {"equal",
                                         "any",
                                         "sparse",
                                         "one peer gets most",
                                         "one rank sends nothing",
                                         "one rank receives nothing",
                                         "nobody sends anything"};
    size_t ranks = (size_t)call->ranks, elements = call->row_bytes / call->type_bytes;
    size_t span = below(shared, 100) ? (size_t)1 << (10 + below(shared, 12)) : limits->bytes / 2;
    if (span > limits->bytes / 2) span = limits->bytes / 2;
    size_t most = span / ranks / call->row_bytes;
    int style = (int)below(shared, below(shared, 20) ? 6 : 7), odd = (int)below(shared, ranks);
    if (call->by_name) style = 0;
    size_t same = call->by_name ? 1 + below(shared, most + 1) : below(shared, most + 1);
    call->style = styles[style];
    for (int s = 0; s < call->ranks; s++)
        for (int r = 0; r < call->ranks; r++) {
            size_t count = rows_draw(style, shared, most, s, r, odd, same) * elements;
            if (s == call->rank) call->send_count[r] = count;
            if (r == call->rank) call->recv_count[s] = count;
        }
}

/* Peers' rows one after the other; or, scattered, in any order with gaps. Returns the end. */
static size_t places_draw(const random_call_t *call, const size_t *count, size_t *at, bool scattered, uint64_t *own)
{
    size_t end = below(own, 4) ? 0 : (1 + below(own, 9)) * call->type_bytes;
    int turn = scattered ? (int)below(own, (size_t)call->ranks) : 0;
    for (int i = 0; i < call->ranks; i++) {
        int peer = (i + turn) % call->ranks;
        if (scattered) end += below(own, 12) * call->type_bytes;
        at[peer] = end;
        end += count[peer] * call->type_bytes;
    }
    return end;
}

/* A type that fits so many bytes; both ends draw from the same numbers where there is something to send. */
static ncclDataType_t pair_type_draw(const random_call_t *call, uint64_t shared, size_t count, int pair, uint64_t *own)
{
    static const ncclDataType_t types[] = {ncclInt8, ncclUint8, ncclFloat16, ncclFloat32, ncclInt32, ncclInt64};
    uint64_t state = shared + (uint64_t)pair * 0x9e3779b97f4a7c15u, *from = count ? &state : own;
    if (!call->mixed) return call->type;
    for (;;) {
        ncclDataType_t type = types[below(from, sizeof(types) / sizeof(types[0]))];
        if (count * call->type_bytes % nccl_type_bytes(type) == 0) return type;
    }
}

/* What few jobs do: mixed types, messages left out, streams, gates, forks. */
static void oddities_draw(random_call_t *call, uint64_t *shared, uint64_t *own)
{
    call->mixed = !call->by_name && below(shared, 8) == 0;
    call->left_out = !call->by_name && below(shared, 16) == 0;
    for (int p = 0; p < call->ranks; p++) {
        int out = call->rank * call->ranks + p, in = p * call->ranks + call->rank;
        call->send_type[p] = pair_type_draw(call, *shared, call->send_count[p], out, own);
        call->recv_type[p] = pair_type_draw(call, *shared, call->recv_count[p], in, own);
    }
    call->stream = (int)below(own, RANDOM_STREAMS);
    call->second = !call->by_name && below(own, 12) == 0 ? (int)below(own, RANDOM_STREAMS) : -1;
    call->held = below(own, 16) == 0;
    call->forks = !call->by_name && below(own, 200) == 0;
}

/* What repeats is not always a row: where counts are equal the bytes alone tell its size, and they may mislead. */
static void piece_draw(random_call_t *call, uint64_t *shared)
{
    size_t which = below(shared, 12),
           parts = which == 0   ? 4
                   : which == 1 ? 2
                                : 1,
           rows = which == 2   ? 2
                  : which == 3 ? 3
                               : 1;
    call->piece_bytes = call->row_bytes % parts ? call->row_bytes : call->row_bytes / parts * rows;
    call->padded = below(shared, 4) == 0;
}

#define RUN 16

void random_call_draw(random_call_t *call, uint64_t seed, uint32_t index, const random_limits_t *limits)
{
    uint64_t shared = seed * 0x2545f4914f6cdd1du + index, own;
    uint64_t run = seed * 0xd1342543de82ef95u + index / RUN;
    bool alone = below(&run, 2);
    call->seed = seed;
    call->index = index;
    splitmix_next(&shared);
    call->by_name = limits->by_name && below(&shared, 5) == 0;
    call->plain_first = below(&shared, 2);
    call->together = below(&shared, 2);
    type_draw(call, alone ? &shared : &run, limits);
    row_draw(call, alone ? &shared : &run);
    counts_draw(call, &shared, limits);
    own = shared ^ ((uint64_t)call->rank + 1) * 0xd6e8feb86659fd93u;
    bool scattered = !call->by_name && below(&own, 3) == 0;
    call->send_span = places_draw(call, call->send_count, call->send_at, scattered, &own);
    call->recv_span = places_draw(call, call->recv_count, call->recv_at, scattered, &own);
    oddities_draw(call, &shared, &own);
    static const size_t pools[] = {1, 2, 3, 7, 40, 200, 100000};
    piece_draw(call, &shared);
    size_t most = RANDOM_POOL_BYTES / call->piece_bytes;
    call->pool = pools[below(&own, sizeof(pools) / sizeof(pools[0]))];
    if (call->pool > most) call->pool = most;
}

/* Bit patterns that are equal as floats, or equal to nothing, or nearly those of the row before. */
static void piece_write(uint8_t *row, const uint8_t *before, const random_call_t *call, uint64_t *own)
{
    size_t bytes = call->piece_bytes, size = call->type_bytes;
    size_t kind = below(own, before ? 9 : 5);
    if (kind > 5) memcpy(row, before, bytes);
    switch (kind) {
    case 0:
    case 1: /* zeros; minus zeros */
        memset(row, 0, bytes);
        for (size_t i = size - 1; kind && i < bytes; i += size) row[i] = 0x80;
        break;
    case 2: /* NaNs with payloads: all exponent bits, then whatever */
        for (size_t i = 0; i < bytes; i++) row[i] = (uint8_t)splitmix_next(own) | (i % size + 2 >= size ? 0x7f : 1);
        break;
    case 6:
        row[bytes - 1] ^= (uint8_t)(1 + below(own, 255));
        break;
    case 7:
        row[0] ^= (uint8_t)(1 + below(own, 255));
        break;
    case 8:
        row[below(own, bytes)] ^= (uint8_t)(1u << below(own, 8));
        break;
    default:
        for (size_t i = 0; i < bytes; i += 8) {
            uint64_t word = splitmix_next(own);
            memcpy(row + i, &word, bytes - i < 8 ? bytes - i : 8);
        }
    }
}

/* One peer's pieces out of the pool, the last one cut to what is left. */
static void peer_fill(const random_call_t *call, uint8_t *at, size_t bytes, size_t pool, const uint8_t *work,
                      uint64_t *own)
{
    size_t piece = call->piece_bytes, rows = bytes / call->row_bytes;
    size_t filled = call->padded ? below(own, rows + 1) * call->row_bytes : bytes;
    memset(at + filled, 0, bytes - filled);
    for (size_t done = 0; done < filled; done += piece) {
        size_t part = filled - done < piece ? filled - done : piece;
        memcpy(at + done, work + below(own, pool) * piece, part);
    }
}

void random_call_fill(const random_call_t *call, uint8_t *send, uint8_t *work)
{
    uint64_t own = (call->seed ^ 0x632be59bd9b4e019u) + ((uint64_t)call->index << 20) + (uint64_t)call->rank;
    size_t total = 0, piece = call->piece_bytes;
    for (int p = 0; p < call->ranks; p++) total += call->send_count[p] * call->type_bytes;
    size_t pool = call->pool < total / piece + 1 ? call->pool : total / piece + 1;
    for (size_t i = 0; i < pool; i++) piece_write(work + i * piece, i ? work + (i - 1) * piece : NULL, call, &own);
    memset(send, POISON, call->send_span);
    for (int p = 0; p < call->ranks; p++)
        peer_fill(call, send + call->send_at[p], call->send_count[p] * call->type_bytes, pool, work, &own);
}
