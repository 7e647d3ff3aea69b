/* Description: lists of children and sums along trees on the host, held against a model that adds one number at a time
 * and knows the tree by the paths of its leaves. HM_TEST_SEED=N repeats a run.
 */
#include "../../kernels/element.h"
#include "../../kernels/kernels.h"
#include "../splitmix.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PIECES_MOST 9
#define ROWS_MOST 12
#define SUMS_MOST 20
#define LEVELS 3
#define WIDTH_MOST 700 /* elements: more than the host adds at a time */

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    return limit == 0 ? 0 : (uint32_t)(splitmix_next(&random_state) % limit);
}

/* Numbers of the types, told apart by arithmetic alone. */
static double half_value(hm_element_t type, uint16_t bits)
{
    int fraction = type == HM_ELEMENT_BF16 ? 7 : 10, bias = type == HM_ELEMENT_BF16 ? 127 : 15;
    int exponent = bits >> fraction & (2 * bias + 1), part = bits & ((1 << fraction) - 1);
    double sign = bits >> 15 ? -1 : 1;
    if (exponent == 2 * bias + 1) return part != 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(part, 1 - bias - fraction);
    return sign * ldexp(part + (1 << fraction), exponent - bias - fraction);
}

static float half_read(hm_element_t type, uint16_t bits)
{
    return type == HM_ELEMENT_BF16 ? bf16_read(bits) : fp16_read(bits);
}

static uint16_t half_round(hm_element_t type, float value)
{
    return type == HM_ELEMENT_BF16 ? bf16_round(value) : fp16_round(value);
}

static void halves_become_fp32_and_back(void **context)
{
    (void)context;
    for (hm_element_t type = HM_ELEMENT_BF16; type <= HM_ELEMENT_FP16; type++)
        for (uint32_t bits = 0; bits < 65536; bits++) {
            double value = half_value(type, (uint16_t)bits);
            float read = half_read(type, (uint16_t)bits);
            assert_true(isnan(value) ? isnan(read) : value == (double)read && !signbit(read) == !signbit(value));
            assert_int_equal(half_round(type, read), bits);
        }
}

/* Next to a finite value, away from zero; Inf passes for what would come next if exponents went on. */
static double half_next(hm_element_t type, uint16_t bits)
{
    double next = half_value(type, (uint16_t)(bits + 1));
    return isinf(next) ? ldexp(bits >> 15 ? -1 : 1, type == HM_ELEMENT_BF16 ? 128 : 16) : next;
}

static void fp32_is_rounded_to_nearest_even(void **context)
{
    (void)context;
    for (hm_element_t type = HM_ELEMENT_BF16; type <= HM_ELEMENT_FP16; type++)
        for (int i = 0; i < 400000; i++) {
            uint16_t bits = (uint16_t)below(65536);
            double low = half_value(type, bits), value;
            if (!isfinite(low)) continue;
            double high = half_next(type, bits), middle = low + (high - low) / 2;
            float at = (float)(i % 3 == 0 ? middle : low + (high - low) * (below(1000) / 1000.0));
            value = (double)at;
            if (fabs(value) < fabs(low) || fabs(value) > fabs(high)) continue;
            uint16_t upper = (uint16_t)(bits + 1), even = bits % 2 == 0 ? bits : upper;
            uint16_t expected = fabs(value) < fabs(middle) ? bits : fabs(value) > fabs(middle) ? upper : even;
            assert_int_equal(half_round(type, at), expected);
        }
    assert_int_equal(half_round(HM_ELEMENT_FP16, 1e30f), 0x7C00);
    assert_int_equal(half_round(HM_ELEMENT_FP16, -65520.0f), 0xFC00);
    assert_int_equal(half_round(HM_ELEMENT_BF16, INFINITY), 0x7F80);
}

/* One random call: pieces of children, each at a leaf of a tree, and the lists that they make. */
typedef struct trial {
    hm_element_t type;
    int pieces;
    uint32_t sums, rows, path[PIECES_MOST][LEVELS];
    uint32_t list[PIECES_MOST][ROWS_MOST];
    hm_children_t piece[PIECES_MOST];
    size_t elements, stride, offset; /* stride and offset in bytes */
    char *source[PIECES_MOST];
    size_t source_rows[PIECES_MOST];
    uint32_t *first, *child;
} trial_t;

static uint32_t bits_draw(hm_element_t type)
{
    static const uint32_t bf16[] = {0x8000, 0, 0x7F80, 0xFF80, 0x7FC1, 0xFF81, 1, 0x8001, 0x7F7F};
    static const uint32_t fp16[] = {0x8000, 0, 0x7C00, 0xFC00, 0x7E01, 0xFC01, 1, 0x83FF, 0x7BFF};
    static const uint32_t fp32[] = {0x80000000, 0,          0x7F800000, 0xFF800000, 0x7FC00001,
                                    0xFF800001, 0x00000001, 0x807FFFFF, 0x7F7FFFFF};
    const uint32_t *special = type == HM_ELEMENT_BF16 ? bf16 : type == HM_ELEMENT_FP16 ? fp16 : fp32;
    if (below(12) == 0) return special[below(9)];
    float value = ((float)below(2000001) - 1000000.0f) / (float)(1 + below(1000));
    return type == HM_ELEMENT_FP32 ? fp32_bits(value) : half_round(type, value / 8);
}

static uint32_t element_at(const char *row, size_t i, hm_element_t type)
{
    uint32_t word;
    uint16_t half;
    if (type == HM_ELEMENT_FP32) return memcpy(&word, row + 4 * i, 4), word;
    return memcpy(&half, row + 2 * i, 2), half;
}

static void trial_draw(trial_t *trial)
{
    *trial = (trial_t){.type = HM_ELEMENT_BF16 + below(3), .pieces = 1 + (int)below(PIECES_MOST)};
    size_t bytes = hm_element_bytes(trial->type);
    trial->sums = 1 + below(SUMS_MOST);
    trial->elements = below(6) == 0 ? 1 + below(WIDTH_MOST) : 1 + below(40);
    trial->offset = below(3) * bytes;
    trial->stride = trial->elements * bytes + trial->offset + below(3) * bytes;
    for (int p = 0; p < trial->pieces; p++) {
        uint32_t rows = below(ROWS_MOST), parting = 0;
        for (int l = 0; l < LEVELS; l++) {
            trial->path[p][l] = p == 0 ? 0 : trial->path[p - 1][l];
            if (parting > 0 || (p > 0 && below(3) == 0))
                trial->path[p][l]++, parting = parting > 0 ? parting : (uint32_t)(LEVELS - l);
        }
        for (uint32_t k = 0; k < rows; k++)
            trial->list[p][k] = below(8) == 0 ? UINT32_MAX - below(3) : below(trial->sums);
        trial->piece[p] = (hm_children_t){trial->list[p], rows, 0, trial->sums, trial->rows, parting};
        trial->source_rows[p] = rows;
        trial->source[p] = malloc(rows * trial->stride + 1);
        for (size_t i = 0; i < rows * trial->stride / bytes; i++) {
            uint32_t bits = bits_draw(trial->type);
            memcpy(trial->source[p] + i * bytes, &bits, bytes);
        }
        trial->rows += rows;
    }
    trial->first = malloc((trial->sums + 1) * sizeof *trial->first);
    trial->child = malloc((trial->rows + 1) * sizeof *trial->child);
}

static void trial_free(trial_t *trial)
{
    for (int p = 0; p < trial->pieces; p++) free(trial->source[p]);
    free(trial->first);
    free(trial->child);
}

static uint32_t model_round(hm_element_t type, float value)
{
    if (isnan(value)) return type == HM_ELEMENT_FP32 ? 0x7FFFFFFF : 0x7FFF;
    return type == HM_ELEMENT_FP32 ? fp32_bits(value) : half_round(type, value);
}

static float model_value(hm_element_t type, uint32_t bits)
{
    return type == HM_ELEMENT_FP32 ? fp32_of_bits(bits) : half_read(type, (uint16_t)bits);
}

/* Column `at` of sum i of the node whose leaves' paths begin as that of piece `like` does, for `level` levels. */
static bool model_node(const trial_t *trial, uint32_t i, size_t at, int like, int level, uint32_t *bits)
{
    float sum = 0;
    int children = 0;
    for (int p = 0; p < trial->pieces; p++) {
        uint32_t one;
        if (memcmp(trial->path[p], trial->path[like], (size_t)level * sizeof(uint32_t)) != 0) continue;
        bool known = p > 0 && level < LEVELS &&
                     memcmp(trial->path[p], trial->path[p - 1], ((size_t)level + 1) * sizeof(uint32_t)) == 0;
        if (known) continue; /* the child that an earlier piece has brought already */
        if (level < LEVELS) {
            if (!model_node(trial, i, at, p, level + 1, &one)) continue;
            sum = children++ == 0 ? model_value(trial->type, one) : sum + model_value(trial->type, one);
            *bits = one;
            continue;
        }
        for (uint32_t k = 0; k < trial->source_rows[p]; k++) {
            if (trial->list[p][k] != i) continue;
            one = element_at(trial->source[p] + k * trial->stride + trial->offset, at, trial->type);
            sum = children++ == 0 ? model_value(trial->type, one) : sum + model_value(trial->type, one);
            *bits = one;
        }
    }
    if (children > 1) *bits = model_round(trial->type, sum);
    if (children == 0) *bits = 0;
    return children > 0;
}

/* A child's number has room for so many rows. */
static void rows_beyond_what_a_list_can_name_are_refused(void **context)
{
    static uint32_t sum[1], offset[3], child[1], work[4];
    hm_children_t piece = {.sum = sum, .rows = 1, .sums = 2, .first_row = HM_CHILD_ROWS};
    hm_invert_job_t job = {&piece, 1, 2, offset, child, work};
    hm_context_t *kernels = NULL;
    (void)context;
    assert_int_equal(hm_kernels_host.context_create(NULL, &kernels), 0);
    assert_int_equal(hm_kernels_host.invert(kernels, NULL, &job), -EINVAL);
    hm_kernels_host.context_destroy(kernels);
}

static void trial_invert(trial_t *trial, hm_context_t *kernels)
{
    void *work = malloc(hm_kernels_host.invert_bytes(trial->sums));
    hm_invert_job_t job = {trial->piece, trial->pieces, trial->sums, trial->first, trial->child, work};
    assert_int_equal(hm_kernels_host.invert(kernels, NULL, &job), 0);
    free(work);
}

static void sums_are_the_models(void **context)
{
    (void)context;
    hm_context_t *kernels = NULL;
    assert_int_equal(hm_kernels_host.context_create(NULL, &kernels), 0);
    for (int t = 0; t < 400; t++) {
        trial_t trial;
        trial_draw(&trial);
        trial_invert(&trial, kernels);
        size_t bytes = hm_element_bytes(trial.type), width = trial.elements * bytes, gap = below(3) * bytes;
        char *to = malloc(trial.sums * (width + gap) + 1);
        hm_rows_t sources = {trial.pieces, (const void *const *)trial.source, trial.source_rows, trial.stride};
        hm_sum_job_t job = {.offset = trial.first, .child = trial.child, .sums = trial.sums, .type = trial.type};
        job.partings = LEVELS, job.width = width, job.sources = &sources, job.src_offset = trial.offset, job.dst = to;
        job.dst_stride = width + gap;
        assert_int_equal(hm_kernels_host.sum(kernels, NULL, &job, 1), 0);
        for (uint32_t i = 0; i < trial.sums; i++)
            for (size_t at = 0; at < trial.elements; at++) {
                uint32_t expected;
                model_node(&trial, i, at, 0, 0, &expected);
                assert_int_equal(element_at(to + i * (width + gap), at, trial.type), expected);
            }
        free(to);
        trial_free(&trial);
    }
    hm_kernels_host.context_destroy(kernels);
}

/* The receive buffer of a few tokens: first rows get sums, others and fillers' zeros, from elsewhere or in place. */
static void sums_go_to_the_first_rows(void **context)
{
    (void)context;
    hm_context_t *kernels = NULL;
    assert_int_equal(hm_kernels_host.context_create(NULL, &kernels), 0);
    for (int in_place = 0; in_place < 2; in_place++) {
        float row[5] = {1, 2, 4, 8, 16}, to[5] = {-1, -1, -1, -1, -1};
        uint32_t id[5] = {0, 1, 0, 2, 1}, first[3] = {0, 1, 3}, filler = 2;
        uint32_t offset[4] = {0, 2, 4, 5}, child[5] = {0, 2, 1, 4, 3};
        hm_rows_t from = {2, (const void *const[]){row, row + 2}, (const size_t[]){2, 3}, 4};
        hm_rows_t into = {3, (const void *const[]){to, to + 1, to + 4}, (const size_t[]){1, 3, 1}, 4};
        hm_sum_job_t job = {.offset = offset, .child = child, .sums = 3, .type = HM_ELEMENT_FP32, .width = 4};
        job.sources = &from;
        job.into = (hm_sum_into_t){in_place ? &from : &into, 0, 5, id, first, &filler, in_place};
        assert_int_equal(hm_kernels_host.sum(kernels, NULL, &job, 1), 0);
        const float expected[5] = {5, 18, 0, 0, 0};
        assert_memory_equal(in_place ? row : to, expected, sizeof expected);
    }
    hm_kernels_host.context_destroy(kernels);
}

int main(void)
{
    const char *text = getenv("HM_TEST_SEED");
    random_state = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
    print_message("HM_TEST_SEED=%llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_become_fp32_and_back), cmocka_unit_test(fp32_is_rounded_to_nearest_even),
        cmocka_unit_test(rows_beyond_what_a_list_can_name_are_refused), cmocka_unit_test(sums_are_the_models),
        cmocka_unit_test(sums_go_to_the_first_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
