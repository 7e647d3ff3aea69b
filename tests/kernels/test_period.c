/* Description: the size of a row is found from the bytes alone where equal counts do not tell it: in padded dispatches
 * like DeepSpeed's, and in buffers made to mislead. What is found is held against a plain count of the bytes that each
 * size would save. */
#define _GNU_SOURCE /* qsort_r */
#include "../../kernels/kernels.h"
#include "../splitmix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEGMENTS_MOST 16

/* A send buffer of equal segments, one for each peer. */
typedef struct buffer {
    int segments;
    size_t bytes; /* of one segment */
    unsigned char *memory, *start;
} buffer_t;

static uint64_t state = 1;

static size_t below(size_t limit)
{
    return splitmix_next(&state) % limit;
}

/* `shift` bytes past an aligned address. */
static buffer_t buffer_make(int segments, size_t bytes, size_t shift)
{
    buffer_t buffer = {.segments = segments, .bytes = bytes, .memory = calloc(1, (size_t)segments * bytes + 64)};
    assert_non_null(buffer.memory);
    buffer.start = buffer.memory + shift;
    return buffer;
}

static void token_write(unsigned char *row, size_t bytes, uint64_t token)
{
    uint64_t content = token * 977 + 5;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = splitmix_next(&content);
        memcpy(row + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

/* A dispatch as DeepSpeed makes it: `capacity` slots for each of `experts` experts of each peer, filled from the front
 * in the order of tokens, each of which goes to `top` experts; what is left is zeros, what is too much is dropped. */
static buffer_t dispatch_make(int segments, int experts, size_t capacity, size_t row, int top, size_t tokens)
{
    buffer_t buffer = buffer_make(segments, (size_t)experts * capacity * row, 0);
    int all = segments * experts;
    size_t *used = calloc((size_t)all, sizeof *used);
    assert_non_null(used);
    for (size_t token = 0; token < tokens; token++) {
        int first = (int)below((size_t)all);
        for (int k = 0; k < top; k++) {
            int expert = (first + k * (1 + (int)(token % 3))) % all;
            if (used[expert] == capacity) continue;
            token_write(buffer.start + ((size_t)expert * capacity + used[expert]++) * row, row, token);
        }
    }
    free(used);
    return buffer;
}

/* The sizes in question, descending, as the library asks for them. */
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

typedef struct found {
    uint32_t row_bytes, share;
} found_t;

static found_t look(const buffer_t *buffer)
{
    hm_context_t *context = NULL;
    uint32_t size[HM_PERIOD_SIZES], found[2] = {7, 7};
    const void *base[SEGMENTS_MOST];
    size_t bytes[SEGMENTS_MOST];
    for (int p = 0; p < buffer->segments; p++) {
        base[p] = buffer->start + (size_t)p * buffer->bytes;
        bytes[p] = buffer->bytes;
    }
    hm_period_job_t job = {buffer->segments, sizes_list(buffer->bytes, size), base, bytes, size};
    size_t need = hm_kernels_host.period_bytes(&job);
    assert_true(need > 0);
    void *work = malloc(need); /* the address sanitizer knows its end */
    assert_non_null(work);
    assert_int_equal(hm_kernels_host.context_create(NULL, &context), 0);
    assert_int_equal(hm_kernels_host.period(context, NULL, &job, work, found), 0);
    hm_kernels_host.context_destroy(context);
    free(work);
    assert_in_range(found[1], 0, HM_PERIOD_ONE);
    return (found_t){found[0], found[1]};
}

static int row_compare(const void *left, const void *right, void *bytes)
{
    return memcmp(*(unsigned char *const *)left, *(unsigned char *const *)right, *(size_t *)bytes);
}

/* Bytes that need not be sent with rows of a size, less what lists take, of the whole buffer. */
static double saved(const buffer_t *buffer, size_t row)
{
    size_t rows = (size_t)buffer->segments * buffer->bytes / row, distinct = 0;
    const unsigned char **at = malloc(rows * sizeof *at);
    assert_non_null(at);
    for (size_t i = 0; i < rows; i++) at[i] = buffer->start + i * row;
    qsort_r(at, rows, sizeof *at, row_compare, &row);
    for (size_t i = 0; i < rows; i++) distinct += i == 0 || memcmp(at[i], at[i - 1], row) != 0;
    free(at);
    return (double)((rows - distinct) * row) - (double)HM_PERIOD_LISTS * (double)rows;
}

/* What is found saves nearly as much as the best size does. */
static void expect_saving(buffer_t buffer, const char *what)
{
    uint32_t size[HM_PERIOD_SIZES];
    int sizes = sizes_list(buffer.bytes, size);
    found_t found = look(&buffer);
    double best = 0;
    for (int i = 0; i < sizes; i++) {
        double here = saved(&buffer, size[i]);
        if (here > best) best = here;
    }
    if (best <= 0 && found.row_bytes != 0) fail_msg("%s: %u found, nothing is saved", what, found.row_bytes);
    if (best > 0 && (found.row_bytes == 0 || saved(&buffer, found.row_bytes) < .9 * best))
        fail_msg("%s: %u found, which saves less than the best", what, found.row_bytes);
    free(buffer.memory);
}

static void expect_saving_of(buffer_t buffer, size_t row, const char *what)
{
    uint32_t found = look(&buffer).row_bytes;
    if (found == 0 || saved(&buffer, found) < .9 * saved(&buffer, row))
        fail_msg("%s: %u found, which saves less than %zu", what, found, row);
    free(buffer.memory);
}

static void expect_size(buffer_t buffer, uint32_t row, const char *what)
{
    found_t found = look(&buffer);
    if (found.row_bytes != row) fail_msg("%s: %u found, not %u", what, found.row_bytes, row);
    free(buffer.memory);
}

/* Hidden sizes of models in 1, 2 and 4 bytes. */
static void dispatches_with_copies_show_their_row(void **context)
{
    (void)context;
    static const size_t hidden[] = {512, 2880, 4096, 5120, 7168, 16384};
    static const int top[] = {2, 8};
    char what[80];
    for (size_t h = 0; h < sizeof hidden / sizeof *hidden; h++)
        for (size_t width = 1; width <= 4; width *= 2)
            for (size_t t = 0; t < 2; t++) {
                size_t row = hidden[h] * width, capacity = (row > 16384 ? 8 : 20) + below(20),
                       tokens = capacity * 8 / (size_t)top[t];
                snprintf(what, sizeof what, "rows of %zu bytes, %zu slots, top %d", row, capacity, top[t]);
                buffer_t buffer = dispatch_make(4, 2, capacity, row, top[t], tokens);
                if (4 * buffer.bytes <= 16 << 20)
                    expect_size(buffer, (uint32_t)row, what);
                else
                    expect_saving_of(buffer, row, what); /* a sample */
            }
}

/* With one expert a token there are no copies: padding alone repeats. */
static void padding_alone_shows_a_row_that_saves_it(void **context)
{
    (void)context;
    char what[80];
    for (int i = 0; i < 30; i++) {
        size_t row = (32 + below(150)) * 16, capacity = 8 + below(40);
        int experts = 1 + (int)below(3);
        snprintf(what, sizeof what, "rows of %zu bytes, %zu slots, %d experts, top 1", row, capacity, experts);
        expect_saving(dispatch_make(4, experts, capacity, row, 1, capacity * 3 * (size_t)experts), what);
    }
}

/* More than is looked at. Copies of a token seldom lie in two places that are both looked at. */
static void large_dispatches_are_known_from_a_sample(void **context)
{
    (void)context;
    expect_saving_of(dispatch_make(8, 1, 600, 4096, 8, 600), 4096, "top 8, 20 MB");
    expect_saving_of(dispatch_make(8, 2, 500, 7168, 2, 3900), 7168, "top 2, 57 MB");
    expect_saving_of(dispatch_make(16, 4, 500, 2048, 2, 12000), 2048, "top 2, 65 MB");
    expect_saving_of(dispatch_make(2, 8, 500, 5120, 1, 5500), 5120, "top 1, 41 MB");
}

static void buffers_without_copies_show_nothing(void **context)
{
    (void)context;
    buffer_t buffer = dispatch_make(8, 1, 64, 2048, 1, 0);
    for (size_t i = 0; i < 8 * buffer.bytes; i += 8) memcpy(buffer.start + i, &(uint64_t){splitmix_next(&state)}, 8);
    assert_int_equal(look(&buffer).row_bytes, 0);
    assert_int_equal(look(&buffer).share, 0);
    free(buffer.memory);
    buffer_t none = buffer_make(4, 0, 0);
    assert_int_equal(look(&none).row_bytes, 0);
    free(none.memory);
}

/* Any size saves nearly all of them. */
static void buffers_of_one_byte_value_show_a_large_size(void **context)
{
    (void)context;
    static const unsigned char value[] = {0, 0x3C};
    for (size_t i = 0; i < 2; i++) {
        buffer_t buffer = buffer_make(4, 65536 * 3, 0);
        memset(buffer.start, value[i], 4 * buffer.bytes);
        assert_true(look(&buffer).row_bytes >= 16384);
        expect_saving(buffer, "one value");
    }
}

/* Half of each row is the same in all of them, or zeros: only halves can be saved. */
static void parts_of_rows_that_repeat_show_the_part(void **context)
{
    (void)context;
    for (int zero = 0; zero < 2; zero++) {
        buffer_t buffer = dispatch_make(4, 1, 96, 4096, 1, 2000); /* more tokens than slots: all are filled */
        for (size_t i = 0; i < 4 * 96; i++) memset(buffer.start + i * 4096 + 2048, zero ? 0 : 0x55, 2048);
        expect_size(buffer, 2048, "halves");
    }
}

/* Rows that only ever repeat in pairs are rows of twice the size. */
static void pairs_of_rows_show_the_pair(void **context)
{
    (void)context;
    buffer_t buffer = buffer_make(4, 64 * 2048, 0);
    for (size_t i = 0; i < 4 * 32; i++) token_write(buffer.start + i * 4096, 4096, below(40));
    expect_size(buffer, 4096, "pairs");
}

/* Rows out of a small pool repeat by chance, here and there in runs, in sizes with few or many divisors. */
static void rows_that_repeat_by_chance_show_a_size_that_saves_them(void **context)
{
    (void)context;
    char what[80];
    for (int i = 0; i < 120; i++) {
        static const size_t unit[] = {16, 16, 16, 4, 2, 1};
        size_t row = (64 / unit[i % 6] + below(90)) * unit[i % 6], rows = 12 + below(60), pool = 1 + below(2 * rows);
        int segments = 2 + (int)below(6);
        buffer_t buffer = buffer_make(segments, rows * row, below(16));
        for (size_t r = 0; r < (size_t)segments * rows; r++) {
            size_t token = below(pool);
            if (token % 5 > 0 || below(2) > 0) token_write(buffer.start + r * row, row, token);
        }
        snprintf(what, sizeof what, "case %d: %zu rows of %zu bytes out of %zu", i, rows, row, pool);
        expect_saving(buffer, what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dispatches_with_copies_show_their_row),
        cmocka_unit_test(padding_alone_shows_a_row_that_saves_it),
        cmocka_unit_test(large_dispatches_are_known_from_a_sample),
        cmocka_unit_test(buffers_without_copies_show_nothing),
        cmocka_unit_test(buffers_of_one_byte_value_show_a_large_size),
        cmocka_unit_test(parts_of_rows_that_repeat_show_the_part),
        cmocka_unit_test(pairs_of_rows_show_the_pair),
        cmocka_unit_test(rows_that_repeat_by_chance_show_a_size_that_saves_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
