#include "back_calls.h"

#include "../../kernels/element.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void layer_draw(random_t *random, layer_t *layer, const hm_topo_t *topo)
{
    bool crowded = random_below(random, 3) == 0;
    *layer = (layer_t){.topo = topo, .ranks = topo->ranks};
    for (int s = 0; s < topo->ranks; s++) {
        size_t tokens = random_below(random, 5) == 0 ? 0 : random_below(random, TOKENS_MOST + 1);
        layer->filler[s] = tokens > 0 && random_below(random, 3) == 0 ? (int)random_below(random, tokens) : -1;
        for (int r = 0; r < topo->ranks; r++) {
            if (random_below(random, 6) == 0) continue;
            for (size_t copy = 0; copy < COPIES_MOST; copy++) /* an expert's rows lie by token */
                for (size_t t = 0; t < tokens; t++)
                    if (random_below(random, crowded ? 2 : 5) == 0)
                        layer->token[s][r][layer->rows[s][r]++] = (uint16_t)t;
        }
    }
}

void transfer_open(const layer_t *layer, transfer_t *transfer, size_t row_bytes, bool back)
{
    *transfer = (transfer_t){.ranks = layer->ranks, .row_bytes = row_bytes};
    for (int a = 0; a < layer->ranks; a++)
        for (int b = 0; b < layer->ranks; b++) {
            size_t bytes = (back ? layer->rows[b][a] : layer->rows[a][b]) * row_bytes;
            transfer->rows[a][b] = back ? layer->rows[b][a] : layer->rows[a][b];
            transfer->send[a][b] = calloc(bytes + 8, 1);
            transfer->recv[b][a] = malloc(bytes + 8);
            memset(transfer->recv[b][a], 0xA5, bytes + 8);
        }
}

void transfer_close(transfer_t *transfer)
{
    for (int a = 0; a < transfer->ranks; a++)
        for (int b = 0; b < transfer->ranks; b++) free(transfer->send[a][b]), free(transfer->recv[a][b]);
}

void transfer_fill_tokens(const layer_t *layer, transfer_t *transfer, uint64_t salt)
{
    for (int s = 0; s < layer->ranks; s++)
        for (int r = 0; r < layer->ranks; r++)
            for (size_t i = 0; i < layer->rows[s][r]; i++) {
                random_t content = {salt + (uint64_t)s * 1000 + layer->token[s][r][i]};
                char *row = transfer->send[s][r] + i * transfer->row_bytes;
                for (size_t b = 0; b < transfer->row_bytes; b++) row[b] = (char)random_next(&content);
            }
}

static uint32_t element_of(float value, hm_element_t type)
{
    return type == HM_ELEMENT_FP32 ? fp32_bits(value) : type == HM_ELEMENT_BF16 ? bf16_round(value) : fp16_round(value);
}

static float value_of(uint32_t bits, hm_element_t type)
{
    return type == HM_ELEMENT_FP32   ? fp32_of_bits(bits)
           : type == HM_ELEMENT_BF16 ? bf16_read((uint16_t)bits)
                                     : fp16_read((uint16_t)bits);
}

static uint32_t element_draw(random_t *random, hm_element_t type, filling_t filling)
{
    static const float special[] = {INFINITY, -INFINITY, 0.0f, -0.0f, 1e-41f, -6e-8f, NAN, 60000.0f};
    if (filling == FILL_ONES) return element_of(1, type);
    if (filling == FILL_INTEGERS) return element_of((float)random_below(random, 3) - 1, type);
    if (filling == FILL_ANY && random_below(random, 8) == 0) {
        if (random_below(random, 4) == 0) return type == HM_ELEMENT_FP32 ? 0xFF812345u : 0xFF85u; /* a NaN of its own */
        return element_of(special[random_below(random, 8)], type);
    }
    return element_of(((float)random_below(random, 20001) - 10000) / (float)(1 + random_below(random, 400)), type);
}

void transfer_fill(random_t *random, transfer_t *transfer, hm_element_t type, filling_t filling)
{
    size_t element = hm_element_bytes(type);
    for (int a = 0; a < transfer->ranks; a++)
        for (int b = 0; b < transfer->ranks; b++)
            for (size_t i = 0; i < transfer->rows[a][b] * transfer->row_bytes / element; i++) {
                uint32_t bits = element_draw(random, type, filling);
                memcpy(transfer->send[a][b] + i * element, &bits, element);
            }
}

void transfer_plain(transfer_t *transfer)
{
    for (int a = 0; a < transfer->ranks; a++)
        for (int b = 0; b < transfer->ranks; b++)
            memcpy(transfer->recv[b][a], transfer->send[a][b], transfer->rows[a][b] * transfer->row_bytes);
}

static size_t guards_wrong(const transfer_t *transfer)
{
    static const char guard[8] = "\xA5\xA5\xA5\xA5\xA5\xA5\xA5\xA5";
    size_t wrong = 0;
    for (int a = 0; a < transfer->ranks; a++)
        for (int b = 0; b < transfer->ranks; b++)
            wrong += memcmp(transfer->recv[b][a] + transfer->rows[a][b] * transfer->row_bytes, guard, 8) != 0;
    return wrong;
}

size_t transfer_wrong(const transfer_t *transfer)
{
    size_t wrong = guards_wrong(transfer);
    for (int a = 0; a < transfer->ranks; a++)
        for (int b = 0; b < transfer->ranks; b++)
            wrong +=
                memcmp(transfer->recv[b][a], transfer->send[a][b], transfer->rows[a][b] * transfer->row_bytes) != 0;
    return wrong;
}

/* A column of the rows of one token. */
typedef struct column {
    const layer_t *layer;
    const transfer_t *transfer;
    int source, token;
    size_t at; /* element */
    hm_element_t type;
} column_t;

static uint32_t column_bits(const column_t *column, int rank, size_t row)
{
    size_t element = hm_element_bytes(column->type);
    uint32_t bits = 0;
    memcpy(&bits,
           column->transfer->send[rank][column->source] + row * column->transfer->row_bytes + column->at * element,
           element);
    return bits;
}

static void node_add(const column_t *column, uint32_t bits, int *children, float *sum, uint32_t *result)
{
    float value = value_of(bits, column->type);
    *sum = (*children)++ == 0 ? value : *sum + value;
    *result = bits;
}

/* The node of a group of a level: its groups of the next one, or the rows of its only rank. false: no rows. */
static bool model_node(const column_t *column, int level, int group, uint32_t *result)
{
    const hm_topo_t *topo = column->layer->topo;
    int children = 0;
    float sum = 0;
    uint32_t bits;
    if (level < topo->levels) {
        for (int g = 0; g < topo->groups[level + 1]; g++) {
            int member = topo->order[topo->start[level + 1][g]];
            if (topo->group[level][member] == group && model_node(column, level + 1, g, &bits))
                node_add(column, bits, &children, &sum, result);
        }
    } else {
        int rank = topo->order[group];
        for (size_t i = 0; i < column->layer->rows[column->source][rank]; i++)
            if (column->layer->token[column->source][rank][i] == column->token)
                node_add(column, column_bits(column, rank, i), &children, &sum, result);
    }
    if (children > 1)
        *result =
            isnan(sum) ? (column->type == HM_ELEMENT_FP32 ? 0x7FFFFFFFu : 0x7FFFu) : element_of(sum, column->type);
    return children > 0;
}

/* Whether a row is the first of its token in the order of a source's rows. */
static bool row_first(const layer_t *layer, int source, int rank, size_t row)
{
    for (int r = 0; r <= rank; r++)
        for (size_t i = 0; i < (r == rank ? row : layer->rows[source][r]); i++)
            if (layer->token[source][r][i] == layer->token[source][rank][row]) return false;
    return true;
}

size_t sums_wrong(const layer_t *layer, const transfer_t *transfer, hm_element_t type, bool filler_unread)
{
    size_t wrong = guards_wrong(transfer), element = hm_element_bytes(type);
    for (int s = 0; s < layer->ranks; s++)
        for (int r = 0; r < layer->ranks; r++)
            for (size_t i = 0; i < layer->rows[s][r]; i++) {
                int token = layer->token[s][r][i];
                bool sum = row_first(layer, s, r, i) && !(filler_unread && token == layer->filler[s]);
                for (size_t at = 0; at < transfer->row_bytes / element; at++) {
                    column_t column = {layer, transfer, s, token, at, type};
                    uint32_t expected = 0, bits = 0;
                    if (sum) model_node(&column, 0, 0, &expected);
                    memcpy(&bits, transfer->recv[s][r] + i * transfer->row_bytes + at * element, element);
                    wrong += bits != expected;
                }
            }
    return wrong;
}

size_t integers_wrong(const layer_t *layer, const transfer_t *transfer, hm_element_t type)
{
    size_t wrong = 0, element = hm_element_bytes(type);
    for (int s = 0; s < layer->ranks; s++)
        for (int t = 0; t < TOKENS_MOST; t++)
            for (size_t at = 0; at < transfer->row_bytes / element; at++) {
                float sum = 0, got = 0;
                for (int r = 0; r < layer->ranks; r++)
                    for (size_t i = 0; i < layer->rows[s][r]; i++) {
                        uint32_t bits = 0;
                        if (layer->token[s][r][i] != t) continue;
                        column_t column = {layer, transfer, s, t, at, type};
                        sum += value_of(column_bits(&column, r, i), type);
                        memcpy(&bits, transfer->recv[s][r] + i * transfer->row_bytes + at * element, element);
                        got += value_of(bits, type);
                    }
                wrong += sum != got;
            }
    return wrong;
}

uint32_t layer_filler(const layer_t *layer, int source)
{
    uint32_t number = 0;
    for (int r = 0; r < layer->ranks; r++)
        for (size_t i = 0; i < layer->rows[source][r]; i++) {
            if (!row_first(layer, source, r, i)) continue;
            if (layer->token[source][r][i] == layer->filler[source]) return number;
            number++;
        }
    return UINT32_MAX;
}
