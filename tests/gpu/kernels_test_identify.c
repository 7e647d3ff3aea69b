/* identify gives what a plain search gives: rows of all sizes and places, fingerprints so narrow that they collide. */
#include "kernels_side.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct identify_case {
    char text[160];
    int segments, groups, fingerprint_bits;
    size_t row_bytes, n, misalign, mask_bytes, bytes;
    size_t *rows, *offset; /* of each segment */
    uint32_t *bit;
    hm_bits_t *group;
    unsigned char *data;
} identify_case_t;

/* Rows of `classes` kinds. Some kinds differ from kind 0 in one byte only, so that samples often miss it. */
static void identify_make(identify_case_t *c, int segments, size_t most_rows, size_t row_bytes, size_t misalign,
                          uint32_t classes, uint32_t bits, int fingerprint_bits)
{
    *c = (identify_case_t){.segments = segments, .row_bytes = row_bytes, .misalign = misalign};
    c->fingerprint_bits = fingerprint_bits;
    c->mask_bytes = (hm_mask_bytes(bits) + 3) / 4 * 4;
    c->rows = must_alloc((size_t)segments * sizeof *c->rows);
    c->offset = must_alloc((size_t)segments * sizeof *c->offset);
    c->bit = must_alloc((size_t)segments * sizeof *c->bit);
    for (int p = 0; p < segments; p++) {
        c->rows[p] = below(4) == 0 ? 0 : below((uint32_t)most_rows + 1);
        c->offset[p] = c->bytes + misalign;
        c->bit[p] = below(bits);
        c->n += c->rows[p];
        c->bytes += misalign + c->rows[p] * row_bytes;
        c->bytes = misalign % 16 == 0 ? (c->bytes + 15) / 16 * 16 : c->bytes;
    }
    c->groups = (int)below(9);
    c->group = must_alloc(((size_t)c->groups + 1) * sizeof *c->group);
    for (int g = 0; g < c->groups; g++) {
        uint32_t first = below(bits);
        c->group[g] = (hm_bits_t){first, 1 + below(bits - first)};
    }
    unsigned char *kinds = must_alloc(classes * row_bytes);
    fill(kinds, classes * row_bytes);
    for (uint32_t k = 1; k < classes; k++) {
        if (below(2)) continue;
        memcpy(kinds + k * row_bytes, kinds, row_bytes);
        kinds[k * row_bytes + below((uint32_t)row_bytes)] ^= (unsigned char)(1 + below(255));
    }
    c->data = must_alloc(c->bytes);
    fill(c->data, c->bytes);
    for (int p = 0; p < segments; p++)
        for (size_t i = 0; i < c->rows[p]; i++)
            memcpy(c->data + c->offset[p] + i * row_bytes, kinds + below(classes) * row_bytes, row_bytes);
    free(kinds);
    snprintf(c->text, sizeof c->text,
             "identify: %d segments, %zu rows of %zu bytes (+%zu), %u kinds, %u bits, print %d", segments, c->n,
             row_bytes, misalign, classes, bits, fingerprint_bits);
}

static void identify_drop(identify_case_t *c)
{
    free(c->rows), free(c->offset), free(c->bit), free(c->group), free(c->data);
}

typedef struct identify_result {
    uint32_t *id, *first, *counts;
    uint8_t *mask;
} identify_result_t;

static identify_result_t result_make(const identify_case_t *c)
{
    identify_result_t r = {must_alloc(c->n * 4), must_alloc(c->n * 4), must_alloc(((size_t)c->groups + 1) * 4),
                           must_alloc(c->n * c->mask_bytes)};
    return r;
}

static void result_drop(identify_result_t *r)
{
    free(r->id), free(r->first), free(r->counts), free(r->mask);
}

static void identify_run(side_t *side, const identify_case_t *c, identify_result_t *r)
{
    const hm_kernels_t *k = side->kernels;
    size_t counts = ((size_t)c->groups + 1) * 4;
    unsigned char *data = upload(side, c->data, c->bytes);
    const void **base = must_alloc((size_t)c->segments * sizeof *base);
    for (int p = 0; p < c->segments; p++) base[p] = c->rows[p] == 0 ? NULL : data + c->offset[p];
    hm_rows_t rows = {c->segments, base, c->rows, c->row_bytes};
    void *work = device_alloc(side, k->identify_bytes(c->n));
    hm_identity_t identity = {.id = device_alloc(side, c->n * 4),
                              .first = device_alloc(side, c->n * 4),
                              .mask = device_alloc(side, c->n * c->mask_bytes),
                              .counts = device_alloc(side, counts),
                              .mask_bytes = c->mask_bytes};
    must(k->identify(side->context, side->stream, &rows, c->bit, c->group, c->groups, c->fingerprint_bits, work,
                     &identity),
         "identify");
    memset(base, 0xEE, (size_t)c->segments * sizeof *base); /* the caller may reuse its arrays at once */
    free(base);
    must(k->wait(side->context, side->stream, 60, NULL), "wait");
    download(side, identity.id, r->id, c->n * 4);
    download(side, identity.counts, r->counts, counts);
    if (c->n > 0) download(side, identity.first, r->first, r->counts[0] * (size_t)4);
    if (c->n > 0) download(side, identity.mask, r->mask, r->counts[0] * c->mask_bytes);
    device_free(side, identity.id), device_free(side, identity.first), device_free(side, identity.mask);
    device_free(side, identity.counts), device_free(side, work), device_free(side, data);
}

/* What identify must give, by comparing each row with all distinct ones before it. */
static void identify_search(const identify_case_t *c, identify_result_t *r)
{
    const unsigned char **place = must_alloc(c->n * sizeof *place);
    uint32_t number = 0, distinct = 0;
    for (int p = 0; p < c->segments; p++) {
        for (size_t i = 0; i < c->rows[p]; i++, number++) {
            const unsigned char *row = c->data + c->offset[p] + i * c->row_bytes;
            uint32_t id = 0;
            while (id < distinct && memcmp(place[id], row, c->row_bytes) != 0) id++;
            if (id == distinct) {
                place[id] = row;
                r->first[id] = number;
                memset(r->mask + id * c->mask_bytes, 0, c->mask_bytes);
                distinct++;
            }
            r->id[number] = id;
            r->mask[id * c->mask_bytes + c->bit[p] / 8] |= (uint8_t)(1u << c->bit[p] % 8);
        }
    }
    r->counts[0] = distinct;
    for (int g = 0; g < c->groups; g++) {
        r->counts[1 + g] = 0;
        for (uint32_t id = 0; id < distinct; id++) {
            bool hit = false;
            for (uint32_t b = c->group[g].first; b < c->group[g].first + c->group[g].count; b++)
                hit |= r->mask[id * c->mask_bytes + b / 8] >> b % 8 & 1;
            r->counts[1 + g] += hit;
        }
    }
    free(place);
}

static void identify_compare(const identify_case_t *c, const identify_result_t *got, const identify_result_t *want,
                             const char *side)
{
    char what[200];
    snprintf(what, sizeof what, "%s [%s]", c->text, side);
    check(got->counts[0] == want->counts[0], what, "distinct rows");
    if (got->counts[0] != want->counts[0]) {
        fprintf(stderr, "  %u instead of %u\n", got->counts[0], want->counts[0]);
        return;
    }
    check(memcmp(got->id, want->id, c->n * 4) == 0, what, "ids");
    check(memcmp(got->first, want->first, want->counts[0] * (size_t)4) == 0, what, "first rows");
    check(memcmp(got->mask, want->mask, want->counts[0] * c->mask_bytes) == 0, what, "masks");
    check(memcmp(got->counts, want->counts, ((size_t)c->groups + 1) * 4) == 0, what, "counts");
}

static void identify_one(int segments, size_t most_rows, size_t row_bytes, size_t misalign, uint32_t classes,
                         uint32_t bits, int fingerprint_bits)
{
    identify_case_t c;
    identify_make(&c, segments, most_rows, row_bytes, misalign, classes, bits, fingerprint_bits);
    identify_result_t want = result_make(&c), got = result_make(&c);
    identify_search(&c, &want);
    identify_run(&cuda, &c, &got);
    identify_compare(&c, &got, &want, "cuda");
    if (fingerprint_bits == 64 && classes < 50) { /* the host gives up on rows with many of one fingerprint */
        identify_run(&host, &c, &got);
        identify_compare(&c, &got, &want, "host");
    }
    result_drop(&want), result_drop(&got);
    identify_drop(&c);
}

void test_identify(bool small)
{
    static const size_t sizes[] = {1,   2,   3,   4,   7,   8,   15,  16,  17,  24,   31,   32,   48,   64,   100,
                                   127, 128, 129, 130, 144, 160, 256, 511, 512, 1000, 1024, 4096, 4098, 7168, 8192};
    static const int prints[] = {64, 1, 2, 5, 16, 32, 63};
    int cases = small ? 12 : 240;
    identify_one(1, 0, 64, 0, 2, 8, 64);
    identify_one(1, 1, 4096, 0, 1, 1, 64);
    for (int i = 0; i < cases; i++) {
        size_t row_bytes = i < 30 && !small ? sizes[i] : below(3) ? sizes[below(30)] : 1 + below(8192);
        size_t misalign = below(2) ? 0 : below(33);
        int segments = below(4) == 0 ? 1 : 1 + (int)below(below(8) == 0 ? 1000 : 9);
        uint32_t bits = below(3) == 0 ? 1 + below(1000) : 1 + below(64);
        size_t budget = (small ? 200000u : 4000000u) / row_bytes / (size_t)segments;
        size_t most = budget < 2 ? 2 : budget > 700 ? 700 : budget;
        identify_one(segments, most, row_bytes, misalign, 1 + below(small ? 20 : 300), bits, prints[below(7)]);
    }
    identify_one(3, 5000, 16, 0, 40, 3, 64); /* a few tiles of the look-back */
    identify_one(3, 3000, 12, 0, 40, 70, 3); /* and again, with strays */
    if (!small) {
        identify_one(3, 150000, 16, 0, 40, 3, 64);   /* many tiles of the look-back */
        identify_one(2, 200000, 4, 0, 1, 2, 64);     /* one class of all rows */
        identify_one(2, 3000, 4096, 0, 3000, 2, 64); /* hardly any repeats */
        identify_one(2, 1500, 640, 0, 3000, 64, 1);  /* all strays, hardly any repeats */
    }
}
