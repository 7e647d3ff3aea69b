/* Tokens, invert and sum give what they give on the host, bit for bit: all types, rows of all sizes and places, long
 * lists, receive buffers, sums in place. */
#include "kernels_side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES 12
#define PARTINGS 7

static side_t *const sides[2] = {&host, &cuda};

/* Compares what both sides wrote, and frees it. */
static void same(void *const memory[2], size_t bytes, const char *what, const char *detail)
{
    void *plain[2];
    for (int s = 0; s < 2; s++) {
        plain[s] = must_alloc(bytes);
        download(sides[s], memory[s], plain[s], bytes);
        device_free(sides[s], memory[s]);
    }
    check(memcmp(plain[0], plain[1], bytes) == 0, what, detail);
    free(plain[0]), free(plain[1]);
}

/* The same poisoned memory on both sides. */
static void poisoned(size_t bytes, void *memory[2])
{
    void *poison = must_alloc(bytes);
    memset(poison, 0xC3, bytes);
    for (int s = 0; s < 2; s++) memory[s] = upload(sides[s], poison, bytes);
    free(poison);
}

typedef struct sums_case {
    int pieces;
    uint32_t sums, rows, partings, count[PIECES];
    uint32_t *list[PIECES];
    hm_children_t piece[PIECES];
    void *offset[2], *child[2];
} sums_case_t;

/* Pieces of random lists; crowded: one sum has most of the children. */
static void case_make(sums_case_t *c, uint32_t most_rows, bool crowded)
{
    *c = (sums_case_t){.pieces = 1 + (int)below(PIECES), .sums = 1 + below(400), .partings = below(PARTINGS + 1)};
    for (int p = 0; p < c->pieces; p++) {
        uint32_t rows = c->count[p] = below(4) == 0 ? 0 : below(most_rows + 1);
        c->list[p] = must_alloc(rows * (size_t)4);
        for (uint32_t k = 0; k < rows; k++) {
            c->list[p][k] = below(20) == 0 ? 0x80000000u + below(9) : below(c->sums);
            if (crowded && below(4) != 0) c->list[p][k] = 0;
        }
        c->piece[p] = (hm_children_t){.rows = rows, .sums = c->sums, .first_row = c->rows};
        c->piece[p].parting = below(c->partings + 1);
        c->rows += rows;
    }
}

static void case_invert(sums_case_t *c)
{
    poisoned((c->sums + (size_t)1) * 4, c->offset);
    poisoned(c->rows * (size_t)4, c->child);
    for (int s = 0; s < 2; s++) {
        const hm_kernels_t *kernels = sides[s]->kernels;
        void *work = device_alloc(sides[s], kernels->invert_bytes(c->sums));
        for (int p = 0; p < c->pieces; p++) c->piece[p].sum = upload(sides[s], c->list[p], c->count[p] * (size_t)4);
        hm_invert_job_t job = {c->piece, c->pieces, c->sums, c->offset[s], c->child[s], work};
        must(kernels->invert(sides[s]->context, sides[s]->stream, &job), "invert");
        must(kernels->wait(sides[s]->context, sides[s]->stream, 60, NULL), "wait");
        for (int p = 0; p < c->pieces; p++) device_free(sides[s], (void *)c->piece[p].sum);
        device_free(sides[s], work);
    }
}

/* The rows that are added: the same on both sides, `skew` bytes behind an address that suits any access. */
typedef struct rows_case {
    void *memory[PIECES][2];
    const void *base[PIECES];
    size_t count[PIECES], stride, skew;
} rows_case_t;

static void rows_make(const sums_case_t *c, size_t stride, size_t skew, rows_case_t *rows)
{
    *rows = (rows_case_t){.stride = stride, .skew = skew};
    for (int p = 0; p < c->pieces; p++) {
        size_t bytes = skew + c->count[p] * stride;
        unsigned char *plain = must_alloc(bytes);
        rows->count[p] = c->count[p];
        fill(plain, bytes); /* all numbers there are, NaN and Inf among them */
        for (int s = 0; s < 2; s++) rows->memory[p][s] = upload(sides[s], plain, bytes);
        free(plain);
    }
}

static hm_rows_t rows_table(const sums_case_t *c, rows_case_t *rows, int side)
{
    for (int p = 0; p < c->pieces; p++) rows->base[p] = (char *)rows->memory[p][side] + rows->skew;
    return (hm_rows_t){c->pieces, rows->base, rows->count, rows->stride};
}

static void test_sum_one(uint32_t most_rows, uint32_t most_width, bool crowded)
{
    sums_case_t c;
    rows_case_t rows;
    hm_element_t type = HM_ELEMENT_BF16 + below(3);
    size_t element = hm_element_bytes(type), unit = below(2) ? 16 : element, skew = below(3) ? 0 : below(16);
    size_t width = (1 + below(most_width)) * unit, from = below(2) * unit, gap = below(2) * unit;
    char what[160];
    void *to[2];
    case_make(&c, most_rows, crowded);
    case_invert(&c);
    rows_make(&c, from + width + gap, skew, &rows);
    poisoned(c.sums * (width + gap) + 16, to);
    snprintf(what, sizeof what, "sum: type %d, %u sums of %u rows, %zu bytes of %zu (+%zu), partings %u", (int)type,
             c.sums, c.rows, width, rows.stride, skew, c.partings);
    for (int s = 0; s < 2; s++) {
        hm_rows_t sources = rows_table(&c, &rows, s);
        hm_sum_job_t job = {.offset = c.offset[s], .child = c.child[s], .sums = c.sums, .partings = c.partings};
        job.type = type, job.width = width, job.sources = &sources, job.src_offset = from;
        job.dst = (char *)to[s] + skew, job.dst_stride = width + gap;
        must(sides[s]->kernels->sum(sides[s]->context, sides[s]->stream, &job, 1), "sum");
        must(sides[s]->kernels->wait(sides[s]->context, sides[s]->stream, 60, NULL), "wait");
    }
    same(to, c.sums * (width + gap) + 16, what, "sums");
    same(c.offset, (c.sums + (size_t)1) * 4, what, "offset");
    for (int p = 0; p < c.pieces; p++) same(rows.memory[p], skew + c.count[p] * rows.stride, what, "sources");
    for (int s = 0; s < 2; s++) device_free(sides[s], c.child[s]);
    for (int p = 0; p < c.pieces; p++) free(c.list[p]);
}

/* Lists alone: where one names no sum, the entries behind the last list stay as they were. */
static void test_invert_one(uint32_t most_rows, bool crowded)
{
    sums_case_t c;
    case_make(&c, most_rows, crowded);
    case_invert(&c);
    same(c.offset, (c.sums + (size_t)1) * 4, "invert", "offset");
    same(c.child, c.rows * (size_t)4, "invert", "child");
    for (int p = 0; p < c.pieces; p++) free(c.list[p]);
}

/* A receive buffer, from elsewhere or in place: pieces are peers, sums their tokens. */
static void test_into_one(uint32_t most_rows, size_t width, bool in_place)
{
    sums_case_t c;
    rows_case_t sources, to;
    void *id[2], *first[2], *filler[2];
    case_make(&c, most_rows, false);
    uint32_t *ids = must_alloc(c.rows * (size_t)4), *firsts = must_alloc(c.sums * (size_t)4), read = below(c.sums),
             j = 0;
    for (uint32_t i = 0; i < c.sums; i++) firsts[i] = UINT32_MAX;
    for (int p = 0; p < c.pieces; p++)
        for (uint32_t k = 0; k < c.count[p]; k++, j++) {
            ids[j] = c.list[p][k] = below(c.sums);
            if (firsts[ids[j]] == UINT32_MAX) firsts[ids[j]] = j;
        }
    for (uint32_t i = 0; i < c.sums; i++) /* sums without rows are no tokens */
        while (firsts[i] == UINT32_MAX && i < c.sums) {
            c.sums--;
            firsts[i] = firsts[c.sums];
            for (uint32_t k = 0; k < c.rows; k++) ids[k] = ids[k] == c.sums ? i : ids[k];
        }
    j = 0;
    for (int p = 0; p < c.pieces; p++)
        for (uint32_t k = 0; k < c.count[p]; k++) c.list[p][k] = ids[j++];
    for (int p = 0; p < c.pieces; p++) c.piece[p].sums = c.sums;
    case_invert(&c);
    rows_make(&c, width, 0, &sources);
    rows_make(&c, width, 0, &to);
    for (int s = 0; s < 2; s++) {
        id[s] = upload(sides[s], ids, c.rows * (size_t)4);
        first[s] = upload(sides[s], firsts, c.sums * (size_t)4);
        filler[s] = upload(sides[s], &read, 4);
        hm_rows_t from = rows_table(&c, &sources, s), into = in_place ? from : rows_table(&c, &to, s);
        hm_sum_job_t job = {.offset = c.offset[s], .child = c.child[s], .sums = c.sums, .partings = c.partings};
        job.type = HM_ELEMENT_BF16, job.width = width, job.sources = &from;
        job.into = (hm_sum_into_t){&into, 0, c.rows, id[s], first[s], filler[s], in_place};
        must(sides[s]->kernels->sum(sides[s]->context, sides[s]->stream, &job, 1), "sum");
        must(sides[s]->kernels->wait(sides[s]->context, sides[s]->stream, 60, NULL), "wait");
        device_free(sides[s], id[s]), device_free(sides[s], first[s]), device_free(sides[s], filler[s]);
        device_free(sides[s], c.offset[s]), device_free(sides[s], c.child[s]);
    }
    for (int p = 0; p < c.pieces; p++) {
        same(sources.memory[p], c.count[p] * width, in_place ? "sum in place" : "sum scattered", "sources");
        same(to.memory[p], c.count[p] * width, in_place ? "sum in place" : "sum scattered", "rows");
        free(c.list[p]);
    }
    free(ids), free(firsts);
}

/* Rows of tokens, some of them wrong. */
static void test_tokens_one(uint32_t most_rows, size_t row_bytes, uint32_t tokens, uint32_t each)
{
    enum { SEGMENTS = 6, GROUPS = 2 };
    size_t rows[SEGMENTS], n = 0;
    uint32_t bit[SEGMENTS], bytes = below(2) ? 4 : 8, turn = below(100);
    const hm_bits_t group[GROUPS] = {{0, 3}, {30, 10}};
    for (int p = 0; p < SEGMENTS; p++) {
        n += rows[p] = below(4) == 0 ? 0 : below(most_rows + 1);
        bit[p] = below(40);
    }
    unsigned char *plain = must_alloc(n * row_bytes), *map = must_alloc(n * bytes);
    for (size_t j = 0; j < n; j++) {
        int64_t token = below(50) == 0 ? -(int64_t)below(3) : below(3) == 0 ? (int64_t)tokens : below(tokens + 1);
        memset(plain + j * row_bytes, (int)token, row_bytes);
        if (below(30) == 0) plain[j * row_bytes + below((uint32_t)row_bytes)] ^= 1;
        memcpy(map + j * bytes, &token, bytes); /* little-endian */
    }
    void *id[2], *first[2], *mask[2], *counts[2], *found[2];
    poisoned(n * 4, id), poisoned(n * 4, first), poisoned(n * 8, mask), poisoned(4 * (1 + GROUPS), counts);
    poisoned(8, found);
    for (int s = 0; s < 2; s++) {
        void *at = upload(sides[s], plain, n * row_bytes), *token = upload(sides[s], map, n * bytes);
        const void *base[SEGMENTS];
        for (size_t p = 0, before = 0; p < SEGMENTS; before += rows[p++]) base[p] = (char *)at + before * row_bytes;
        hm_rows_t table = {SEGMENTS, base, rows, row_bytes};
        hm_identity_t identity = {id[s], first[s], mask[s], counts[s], 8};
        hm_tokens_t what = {token, bytes, tokens, each, turn};
        hm_tokens_found_t result = {found[s], (uint32_t *)found[s] + 1};
        void *work = device_alloc(sides[s], sides[s]->kernels->tokens_bytes(n, tokens));
        must(sides[s]->kernels->tokens(sides[s]->context, sides[s]->stream, &table, bit, group, GROUPS, &what, work,
                                       &identity, &result),
             "tokens");
        must(sides[s]->kernels->wait(sides[s]->context, sides[s]->stream, 60, NULL), "wait");
        device_free(sides[s], work), device_free(sides[s], at), device_free(sides[s], token);
    }
    char text[96];
    snprintf(text, sizeof text, "tokens: %zu rows of %zu bytes, %u tokens, one of %u checked", n, row_bytes, tokens,
             each);
    same(id, n * 4, text, "id"), same(first, n * 4, text, "first"), same(mask, n * 8, text, "mask");
    same(counts, 4 * (1 + GROUPS), text, "counts"), same(found, 8, text, "found");
    free(plain), free(map);
}

void test_sums(bool small)
{
    for (int i = 0; i < (small ? 4 : 40); i++) test_invert_one(small ? 60 : 6000, i % 3 == 0);
    for (int i = 0; i < (small ? 10 : 150); i++) test_sum_one(small ? 30 : 400, i % 4 == 0 ? 300 : 20, i % 5 == 0);
    for (int i = 0; i < (small ? 4 : 30); i++) test_into_one(small ? 30 : 400, 16 + 16 * below(100), i % 2 == 1);
    for (int i = 0; i < (small ? 6 : 60); i++)
        test_tokens_one(i % 4 == 3 ? 0 : small ? 60 : 6000, 1 + below(i % 3 == 0 ? 2000 : 64), below(i % 4 == 0 ? 4 : 5000), below(4));
}
