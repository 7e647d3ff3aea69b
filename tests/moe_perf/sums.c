#include "sums.h"

#include "element.h"
#include "say.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Eight numbers' worth of noise. */
static uint64_t noise(mp_name_t name, size_t word)
{
    uint64_t x = ((uint64_t)name.iteration << 48 | (uint64_t)name.rank << 36 | name.row) * 0x9e3779b97f4a7c15u + word;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static bool integers(int iteration)
{
    return iteration % 2 == 0;
}

/* Number i of a row, from its eight numbers' noise. All types hold it exactly. */
static double number_of(int iteration, uint64_t word, size_t i)
{
    static const double steps[] = {1.0 / 128, 1.0 / 64, 1.0 / 32, 1.0 / 16};
    int byte = (int)(word >> i % 8 * 8 & 0xff);
    return integers(iteration) ? byte % 17 - 8 : (byte - 128) * steps[i % 4];
}

static void numbers_make(double *number, size_t columns, mp_name_t name)
{
    uint64_t word = 0;
    for (size_t i = 0; i < columns; i++) {
        if (i % 8 == 0) word = noise(name, i / 8);
        number[i] = number_of(name.iteration, word, i);
    }
}

void sums_write(uint8_t *row, size_t columns, mp_dtype_t dtype, mp_name_t name)
{
    uint64_t word = 0;
    size_t bytes = options_dtype_bytes(dtype);
    for (size_t i = 0; i < columns; i++) {
        if (i % 8 == 0) word = noise(name, i / 8);
        element_write(dtype, (float)number_of(name.iteration, word, i), row + i * bytes);
    }
}

/* Work memory: of one token by columns, and of all rows by token. */
typedef struct work {
    double *wanted, *size, *number; /* [columns] sum, sum of absolute values, one row */
    float *got;                     /* [columns] */
    size_t *start, *row;            /* [tokens + 1], [rows]: row start[t] .. start[t + 1] are token t's */
    size_t tokens;
} work_t;

static int work_make(const mp_sums_t *sums, work_t *work)
{
    const mp_layout_t *layout = sums->layout;
    size_t rows = layout->send_rows;
    for (size_t i = 0; i < rows; i++)
        if (layout->send_token[i] != MP_PAD && layout->send_token[i] >= work->tokens)
            work->tokens = layout->send_token[i] + 1u;
    work->wanted = calloc(3 * sums->columns, sizeof(double));
    work->got = calloc(sums->columns, sizeof(float));
    work->start = calloc(work->tokens + 2 + rows, sizeof(size_t));
    if (!work->wanted || !work->got || !work->start) return -ENOMEM;
    work->size = work->wanted + sums->columns;
    work->number = work->size + sums->columns;
    work->row = work->start + work->tokens + 2;
    for (size_t i = 0; i < rows; i++)
        if (layout->send_token[i] != MP_PAD) work->start[layout->send_token[i] + 2]++;
    for (size_t t = 0; t <= work->tokens; t++) work->start[t + 1] += work->start[t];
    for (size_t i = 0; i < rows; i++)
        if (layout->send_token[i] != MP_PAD) work->row[work->start[layout->send_token[i] + 1]++] = i;
    return 0;
}

static void work_free(work_t *work)
{
    free(work->wanted);
    free(work->got);
    free(work->start);
}

/* Who sent row `at` of this rank's receive buffer, and which of the sender's rows it was. */
static mp_name_t sender_find(const mp_sums_t *sums, size_t at)
{
    const mp_layout_t *layout = sums->layout;
    size_t ranks = (size_t)layout->ranks, me = (size_t)layout->rank, source = 0;
    while (at >= layout->counts[me * ranks + source]) at -= layout->counts[me * ranks + source++];
    for (size_t q = 0; q < me; q++) at += layout->counts[q * ranks + source];
    return (mp_name_t){MP_COMBINE, sums->iteration, (int)source, (uint32_t)at};
}

static void token_add(const mp_sums_t *sums, work_t *work, size_t row)
{
    size_t bytes = options_dtype_bytes(sums->dtype);
    const uint8_t *at = sums->recv + row * sums->columns * bytes;
    numbers_make(work->number, sums->columns, sender_find(sums, row));
    for (size_t i = 0; i < sums->columns; i++) {
        work->wanted[i] += work->number[i];
        work->size[i] += fabs(work->number[i]);
        work->got[i] = element_round(sums->dtype, work->got[i] + element_read(sums->dtype, at + i * bytes));
    }
}

/* The largest error that sums of so many rows may have; size: the sum of absolute values. */
static double error_most(const mp_sums_t *sums, size_t rows, double size)
{
    int bits = element_bits(sums->dtype);
    if (integers(sums->iteration) && size <= ldexp(1, bits)) return 0;
    return ((double)rows - 1) * ldexp(size, -bits) + (double)rows * ldexp(size, -24);
}

static void token_check(const mp_sums_t *sums, const work_t *work, size_t token, size_t rows, mp_wrong_t *wrong,
                        double *error_ulp)
{
    for (size_t i = 0; i < sums->columns; i++) {
        double error = fabs((double)work->got[i] - work->wanted[i]), size = work->size[i];
        if (error <= error_most(sums, rows, size)) {
            double ulps = error > 0 ? error / ldexp(1, ilogb(size) + 1 - element_bits(sums->dtype)) : 0;
            if (ulps > *error_ulp) *error_ulp = ulps;
            continue;
        }
        if (!wrong->said)
            say("iteration %d, token %zu, column %zu: expected a sum of %.9g, got %.9g", sums->iteration, token, i,
                work->wanted[i], (double)work->got[i]);
        wrong->said = true;
        wrong->bytes += options_dtype_bytes(sums->dtype);
    }
}

int sums_check(const mp_sums_t *sums, mp_wrong_t *wrong, double *error_ulp)
{
    work_t work = {0};
    int status = work_make(sums, &work);
    for (size_t t = 0; !status && t < work.tokens; t++) {
        size_t rows = work.start[t + 1] - work.start[t];
        memset(work.wanted, 0, 2 * sums->columns * sizeof(double));
        memset(work.got, 0, sums->columns * sizeof(float));
        for (size_t k = 0; k < rows; k++) token_add(sums, &work, work.row[work.start[t] + k]);
        token_check(sums, &work, t, rows, wrong, error_ulp);
    }
    if (status) say("out of memory");
    work_free(&work);
    return status;
}
