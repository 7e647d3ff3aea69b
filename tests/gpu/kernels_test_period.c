/* period finds the same size and share on the GPU as on the host: sizes with many divisors and few, rows that repeat by
 * chance, rows of zeros, buffers larger than the sample, segments that lie badly. */
#include "kernels_side.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct period_case {
    int segments;
    size_t row_bytes, bytes, misalign; /* bytes: of a segment */
    unsigned char *data;
} period_case_t;

/* Rows out of `pool` kinds, every `zero`-th of which is zeros (0: none). */
static void period_make(period_case_t *c, int segments, size_t rows, size_t row_bytes, size_t misalign, uint32_t pool,
                        uint32_t zero)
{
    *c = (period_case_t){segments, row_bytes, rows * row_bytes, misalign, NULL};
    size_t total = (size_t)segments * rows;
    c->data = must_alloc(misalign + total * row_bytes);
    unsigned char *kinds = must_alloc(pool * row_bytes);
    fill(kinds, pool * row_bytes);
    for (uint32_t k = 0; zero > 0 && k < pool; k += zero) memset(kinds + k * row_bytes, 0, row_bytes);
    for (size_t i = 0; i < total; i++)
        memcpy(c->data + misalign + i * row_bytes, kinds + below(pool) * row_bytes, row_bytes);
    free(kinds);
}

static int sizes_list(size_t bytes, uint32_t *size)
{
    int count = 0;
    size_t step = bytes & -bytes, most = bytes < 65536 ? bytes : 65536;
    if (bytes == 0) return 0;
    if (step > 16) step = 16;
    for (size_t b = most / step * step; b >= 64 && count < HM_PERIOD_SIZES; b -= step)
        if (bytes % b == 0) size[count++] = (uint32_t)b;
    return count;
}

/* All host memory is spoilt behind the call: only what was enqueued may be needed. */
static void period_run(const period_case_t *c, side_t *side, uint32_t *found)
{
    uint32_t size[HM_PERIOD_SIZES];
    int sizes = sizes_list(c->bytes, size);
    const void **base = must_alloc((size_t)c->segments * sizeof *base);
    size_t *bytes = must_alloc((size_t)c->segments * sizeof *bytes);
    unsigned char *data = upload(side, c->data, c->misalign + (size_t)c->segments * c->bytes);
    for (int p = 0; p < c->segments; p++) {
        base[p] = c->bytes == 0 ? NULL : data + c->misalign + (size_t)p * c->bytes;
        bytes[p] = c->bytes;
    }
    hm_period_job_t job = {c->segments, sizes, base, bytes, size};
    void *work = device_alloc(side, side->kernels->period_bytes(&job));
    uint32_t *device = upload(side, (uint32_t[2]){7, 7}, 2 * sizeof *found);
    for (int again = 0; again < 2; again++) /* what a call leaves in its memory is nothing to the next one */
        must(side->kernels->period(side->context, side->stream, &job, work, device), "period");
    memset(size, 0xEE, sizeof size);
    memset(base, 0xEE, (size_t)c->segments * sizeof *base);
    memset(bytes, 0xEE, (size_t)c->segments * sizeof *bytes);
    device_free(side, work), device_free(side, data);
    download(side, device, found, 2 * sizeof *found);
    device_free(side, device);
    free(base), free(bytes);
}

static void test_period_one(int segments, size_t rows, size_t row_bytes, size_t misalign, uint32_t pool, uint32_t zero)
{
    period_case_t c;
    char what[160];
    uint32_t found[2][2];
    period_make(&c, segments, rows, row_bytes, misalign, pool, zero);
    period_run(&c, &host, found[0]);
    period_run(&c, &cuda, found[1]);
    snprintf(what, sizeof what,
             "period: %d segments of %zu rows of %zu bytes (+%zu), %u kinds: host %u, %u, CUDA %u, %u", segments, rows,
             row_bytes, misalign, pool, found[0][0], found[0][1], found[1][0], found[1][1]);
    check(found[0][0] == found[1][0], what, "size");
    check(found[0][1] == found[1][1], what, "share");
    free(c.data);
}

static void test_period_arguments(void)
{
    hm_period_job_t job = {.sizes = HM_PERIOD_SIZES + 1};
    check(cuda.kernels->period(cuda.context, cuda.stream, &job, NULL, NULL) == -EINVAL, "period",
          "too many sizes are refused");
}

void test_period(bool small)
{
    static const size_t units[] = {16, 16, 16, 8, 4, 2, 1};
    test_period_arguments();
    test_period_one(3, 0, 64, 0, 1, 0);     /* nothing at all */
    test_period_one(2, 7, 61, 0, 3, 0);     /* 61 is too small to be in question */
    test_period_one(4, 12, 65536, 0, 1, 1); /* zeros */
    test_period_one(4, 12, 65536, 3, 1, 0); /* one row */
    for (int i = 0; i < (small ? 6 : 80); i++) {
        size_t unit = units[below(sizeof units / sizeof *units)];
        size_t row_bytes = (64 / unit + below(i % 4 == 0 ? 1500 : 200)) * unit, rows = 1 + below(small ? 20 : 150);
        uint32_t pool = 1 + below(below(2) ? 6 : (uint32_t)(4 * rows));
        test_period_one(1 + (int)below(12), rows, row_bytes, below(2) ? 0 : below(16), pool, below(3) ? 5 : 0);
    }
    if (small) return;
    test_period_one(8, 1250, 4096, 0, 3000, 7); /* 41 MB: a sample */
    test_period_one(100, 64, 7168, 0, 4000, 0); /* more segments than stretches of the sample */
    test_period_one(3, 2003, 5120, 0, 900, 9);
    test_period_one(600, 3, 2880, 8, 100, 4);
}
