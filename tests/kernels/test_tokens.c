/* Description: identity from announced tokens on the host: what a plain search by token gives, and the rows that an
 * announcement is wrong about. HM_TEST_SEED=N repeats a run.
 */
#include "../../kernels/kernels.h"
#include "../splitmix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SEGMENTS 5
#define ROWS 60 /* of a segment, at most */
#define MOST (SEGMENTS * ROWS)
#define ROW_BYTES 36

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(splitmix_next(&random_state) % limit);
}

/* A send buffer whose rows are those of their tokens, and where the results go. */
typedef struct trial {
    char row[MOST][ROW_BYTES];
    const void *base[SEGMENTS];
    size_t count[SEGMENTS];
    uint32_t bit[SEGMENTS], n, tokens;
    int32_t token[MOST];
    int64_t wide[MOST];
    uint32_t id[MOST], first[MOST], counts[4];
    uint8_t mask[MOST][4];
    uint32_t wrong, filler;
} trial_t;

static const hm_bits_t groups[3] = {{0, 2}, {2, 4}, {3, 1}};

static void row_write(char *row, int64_t token)
{
    uint64_t state = (uint64_t)token;
    for (int i = 0; i < ROW_BYTES; i++) row[i] = (char)splitmix_next(&state);
}

static void trial_draw(trial_t *trial)
{
    memset(trial, 0, sizeof *trial);
    trial->tokens = below(80);
    for (int p = 0; p < SEGMENTS; p++) {
        trial->base[p] = trial->row[trial->n];
        trial->count[p] = below(4) == 0 ? 0 : below(ROWS);
        trial->bit[p] = (uint32_t)(p + 1) % SEGMENTS;
        for (size_t i = 0; i < trial->count[p]; i++, trial->n++) {
            trial->token[trial->n] = (int32_t)(below(5) == 0 ? trial->tokens : below(trial->tokens + 1));
            row_write(trial->row[trial->n], trial->token[trial->n]);
        }
    }
}

static void trial_run(trial_t *trial, uint32_t bytes, uint32_t each, uint32_t turn)
{
    hm_context_t *kernels = NULL;
    assert_int_equal(hm_kernels_host.context_create(NULL, &kernels), 0);
    for (uint32_t j = 0; j < trial->n; j++) trial->wide[j] = trial->token[j];
    hm_rows_t rows = {SEGMENTS, trial->base, trial->count, ROW_BYTES};
    hm_tokens_t tokens = {bytes == 8 ? (void *)trial->wide : (void *)trial->token, bytes, trial->tokens, each, turn};
    hm_identity_t identity = {trial->id, trial->first, trial->mask[0], trial->counts, 4};
    void *work = malloc(hm_kernels_host.tokens_bytes(trial->n, trial->tokens));
    assert_int_equal(hm_kernels_host.tokens(kernels, NULL, &rows, trial->bit, groups, 3, &tokens, work, &identity,
                                            &(hm_tokens_found_t){&trial->wrong, &trial->filler}),
                     0);
    free(work);
    hm_kernels_host.context_destroy(kernels);
}

/* Distinct rows by first appearance, with all their destinations, counted by group. */
static void trial_check(const trial_t *trial)
{
    uint32_t distinct = 0, counts[4] = {0}, filler = UINT32_MAX, segment = 0, end = (uint32_t)trial->count[0];
    uint8_t mask[MOST] = {0};
    for (uint32_t j = 0; j < trial->n; j++) {
        uint32_t before = 0;
        while (j == end) end += (uint32_t)trial->count[++segment];
        while (before < j && trial->token[before] != trial->token[j]) before++;
        if (before == j) {
            assert_int_equal(trial->first[distinct], j);
            assert_int_equal(trial->id[j], distinct++);
        }
        assert_int_equal(trial->id[j], trial->id[before]);
        mask[trial->id[j]] |= (uint8_t)(1u << trial->bit[segment]);
        if ((uint32_t)trial->token[j] == trial->tokens) filler = trial->id[j];
    }
    counts[0] = distinct;
    for (uint32_t d = 0; d < distinct; d++) {
        assert_int_equal(trial->mask[d][0], mask[d]);
        for (int g = 0; g < 3; g++) counts[1 + g] += (mask[d] >> groups[g].first & ((1u << groups[g].count) - 1)) != 0;
    }
    assert_memory_equal(trial->counts, counts, sizeof counts);
    assert_int_equal(trial->filler, filler);
}

static void identity_is_that_of_the_tokens(void **context)
{
    (void)context;
    trial_t *trial = malloc(sizeof *trial);
    for (int t = 0; t < 300; t++) {
        trial_draw(trial);
        trial_run(trial, t % 2 ? 4 : 8, below(3), below(1000));
        trial_check(trial);
        assert_int_equal(trial->wrong, 0);
    }
    free(trial);
}

/* Rows that differ from their token's first in the last byte: found where they are looked at, and only there. */
static void rows_that_differ_are_found(void **context)
{
    (void)context;
    trial_t *trial = malloc(sizeof *trial);
    for (int t = 0; t < 200; t++) {
        uint32_t each = below(4), turn = below(20), expected = 0;
        trial_draw(trial);
        trial_run(trial, 4, 0, 0);
        for (uint32_t j = 0; j < trial->n; j++) {
            if (trial->first[trial->id[j]] == j || below(3) != 0) continue;
            trial->row[j][ROW_BYTES - 1] ^= 1;
            expected += each > 0 && j % each == turn % each;
        }
        trial_run(trial, 4, each, turn);
        assert_int_equal(trial->wrong, expected);
        trial_check(trial); /* the identity is the tokens', whatever the rows are */
    }
    free(trial);
}

static void tokens_out_of_range_are_found(void **context)
{
    (void)context;
    trial_t *trial = malloc(sizeof *trial);
    do trial_draw(trial);
    while (trial->n < 3);
    trial->token[0] = -1;
    trial->token[trial->n - 1] = (int32_t)trial->tokens + 1;
    trial_run(trial, 4, 0, 0);
    assert_int_equal(trial->wrong, 2);
    trial->token[trial->n / 2] = INT32_MIN;
    trial_run(trial, 8, 0, 0);
    assert_int_equal(trial->wrong, 3);
    free(trial);
}

int main(void)
{
    const char *text = getenv("HM_TEST_SEED");
    random_state = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
    print_message("HM_TEST_SEED=%llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {cmocka_unit_test(identity_is_that_of_the_tokens),
                                       cmocka_unit_test(rows_that_differ_are_found),
                                       cmocka_unit_test(tokens_out_of_range_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
