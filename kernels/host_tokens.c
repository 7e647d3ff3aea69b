/* Identity from announced tokens, on the host. */
#include "host_context.h"
#include "host_rows.h"
#include "host_sums.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define UNSEEN UINT32_MAX
#define MOST_TOKENS ((uint64_t)INT32_MAX)

typedef struct tokens_call {
    hm_host_identify_t *rows; /* and the caller's arrays */
    hm_tokens_t tokens;
    hm_tokens_found_t found;
} tokens_call_t;

/* Work memory: the distinct number of each token, fillers last; then the bytes of each distinct row. */
typedef struct token_table {
    uint32_t *id;
    const char **place;
    uint32_t distinct, wrong;
} token_table_t;

static size_t place_at(uint64_t tokens)
{
    return ((tokens + 1) * sizeof(uint32_t) + 15) / 16 * 16;
}

size_t host_tokens_bytes(size_t n, uint64_t tokens)
{
    if (n >= UINT32_MAX / 4 || tokens >= MOST_TOKENS) return 0;
    return place_at(tokens) + (n + 1) * sizeof(char *);
}

/* The token of a row; the filler for one that is out of range. */
static uint64_t token_read(const hm_tokens_t *tokens, size_t number, bool *known)
{
    int64_t token =
        tokens->bytes == 8 ? ((const int64_t *)tokens->token)[number] : ((const int32_t *)tokens->token)[number];
    *known = token >= 0 && (uint64_t)token <= tokens->tokens;
    return *known ? (uint64_t)token : tokens->tokens;
}

static bool row_checked(const hm_tokens_t *tokens, uint32_t number)
{
    return tokens->check_each > 0 && number % tokens->check_each == tokens->check_turn % tokens->check_each;
}

/* One row: its distinct number, and what is wrong with it. */
static uint32_t row_take(const tokens_call_t *call, token_table_t *table, const char *row, uint32_t number)
{
    bool known, wrong;
    const hm_identity_t *identity = &call->rows->identity;
    uint32_t *id = &table->id[token_read(&call->tokens, number, &known)];
    wrong = !known;
    if (*id == UNSEEN) {
        *id = table->distinct++;
        table->place[*id] = row;
        identity->first[*id] = number;
        memset(identity->mask + *id * identity->mask_bytes, 0, identity->mask_bytes);
    } else if (row_checked(&call->tokens, number)) {
        wrong = wrong || memcmp(row, table->place[*id], call->rows->rows.row_bytes) != 0;
    }
    table->wrong += wrong;
    return *id;
}

static int tokens_run(const void *memory)
{
    const tokens_call_t *call = memory;
    hm_host_identify_t *rows = call->rows;
    const hm_identity_t *identity = &rows->identity;
    token_table_t table = {.id = rows->work,
                           .place = (const char **)((char *)rows->work + place_at(call->tokens.tokens))};
    uint32_t number = 0;
    for (uint64_t t = 0; t <= call->tokens.tokens; t++) table.id[t] = UNSEEN;
    for (int p = 0; p < rows->rows.segments; p++) {
        const char *row = rows->rows.base[p];
        for (size_t i = 0; i < rows->rows.rows[p]; i++, number++, row += rows->rows.row_bytes) {
            uint32_t id = row_take(call, &table, row, number), bit = rows->bit[p];
            identity->mask[id * identity->mask_bytes + bit / 8] |= (uint8_t)(1u << bit % 8);
            identity->id[number] = id;
        }
    }
    host_rows_groups_count(rows, table.distinct);
    *call->found.wrong = table.wrong;
    *call->found.filler = table.id[call->tokens.tokens];
    free(rows);
    return 0;
}

int host_tokens(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                const hm_bits_t *groups, int group_count, const hm_tokens_t *tokens, void *work,
                const hm_identity_t *identity, const hm_tokens_found_t *found)
{
    if ((tokens->bytes != 4 && tokens->bytes != 8) || tokens->tokens >= MOST_TOKENS) return -EINVAL;
    hm_host_identify_t *packed = host_rows_pack(rows, bit, groups, group_count);
    if (packed == NULL) return -ENOMEM;
    packed->work = work;
    packed->identity = *identity;
    tokens_call_t call = {packed, *tokens, *found};
    int status = host_submit(context, stream, tokens_run, &call, sizeof call);
    if (status != 0) free(packed);
    return status;
}
