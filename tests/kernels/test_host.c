/* Description: what the host back end promises whatever the job and its peers do: lists that a lost peer never filled
 * in let nothing be read or written out of bounds. test_host_streams.c has its streams.
 */
#include "../../kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hm_context_t *context_open(void)
{
    hm_context_t *made = NULL;
    assert_int_equal(hm_kernels_host.context_create(NULL, &made), 0);
    return made;
}

/* Distinct rows that identify finds among `count` different ones that all come twice; fingerprints of one bit. */
static uint32_t distinct_of_colliding(uint32_t count)
{
    hm_context_t *kernels = context_open();
    uint32_t n = 2 * count, bit = 0, *rows = malloc(n * 8 * sizeof *rows), counts[1];
    uint32_t *id = malloc(n * sizeof *id), *first = malloc(n * sizeof *first);
    uint8_t *mask = malloc(4 * (size_t)n);
    void *work = malloc(hm_kernels_host.identify_bytes(n));
    assert_true(rows && id && first && mask && work);
    for (uint32_t i = 0; i < 8 * n; i++) rows[i] = (i / 8 % count) * 2654435761u + i % 8;
    hm_rows_t all = {1, (const void *const[]){rows}, (const size_t[]){n}, 32};
    hm_identity_t identity = {id, first, mask, counts, 4};
    assert_int_equal(hm_kernels_host.identify(kernels, NULL, &all, &bit, NULL, 0, 1, work, &identity), 0);
    for (uint32_t i = 0; i < n; i++) assert_memory_equal(rows + 8 * i, rows + 8 * first[id[i]], 32);
    free(work);
    free(mask);
    free(first);
    free(id);
    free(rows);
    hm_kernels_host.context_destroy(kernels);
    return counts[0];
}

/* A few rows of one fingerprint are told apart and found again; of very many some pass for new, so that rows made to
 * collide cost a bounded number of compares each. */
static void colliding_rows_are_found_among_few(void **context)
{
    (void)context;
    assert_int_equal(distinct_of_colliding(60), 60);
    uint32_t found = distinct_of_colliding(1000);
    assert_true(found > 1000 && found <= 2000);
}

static void pick_stops_at_most(void **context)
{
    (void)context;
    hm_context_t *kernels = context_open();
    uint8_t mask[8], sub[3] = {9, 9, 9};
    uint32_t index[3] = {77, 77, 77};
    memset(mask, 0xFF, sizeof mask);
    hm_pick_job_t job = {
        .mask = mask, .mask_bytes = 1, .rows = 8, .bits = {1, 2}, .most = 2, .index = index, .sub = sub};
    assert_int_equal(hm_kernels_host.pick(kernels, NULL, &job, 1), 0);
    assert_true(index[0] == 0 && index[1] == 1 && index[2] == 77);
    assert_true(sub[0] == 3 && sub[1] == 3 && sub[2] == 9);
    hm_kernels_host.context_destroy(kernels);
}

static void move_skips_rows_that_are_not_there(void **context)
{
    (void)context;
    hm_context_t *kernels = context_open();
    const char *src = "aabbcc";
    uint32_t index[4] = {0, 4000000000u, 1, 2}, via[3] = {2, 4000000000u, 0};
    char dst[9] = "........";
    hm_move_job_t job = {.dst = dst,
                         .src = src,
                         .dst_stride = 2,
                         .src_stride = 2,
                         .width = 2,
                         .rows = 4,
                         .via_entries = 3,
                         .src_rows = 3,
                         .index = index,
                         .via = via};
    assert_int_equal(hm_kernels_host.move(kernels, NULL, &job, 1), 0);
    assert_string_equal(dst, "cc....aa");
    hm_kernels_host.context_destroy(kernels);
}

static void shared_memory_of_an_abandoned_context_stays(void **context)
{
    (void)context;
    unsigned char ticket[HM_TICKET];
    hm_context_t *owner = NULL, *reader = NULL;
    void *memory = NULL, *window = NULL;
    assert_int_equal(hm_kernels_host.context_create(NULL, &owner), 0);
    assert_int_equal(hm_kernels_host.context_create(NULL, &reader), 0);
    assert_int_equal(hm_kernels_host.share(owner, 4096, &memory, ticket), 0);
    memset(memory, 7, 4096);
    assert_int_equal(hm_kernels_host.window_open(reader, ticket, &window), 0);
    hm_kernels_host.abandon(owner);
    hm_kernels_host.context_destroy(owner);
    assert_int_equal(((unsigned char *)window)[4095], 7); /* the address sanitizer knows whether it may be read */
    hm_kernels_host.context_destroy(reader);
    memset(ticket, 0, sizeof ticket);
    assert_int_equal(hm_kernels_host.context_create(NULL, &reader), 0);
    assert_true(hm_kernels_host.window_open(reader, ticket, &window) != 0);
    hm_kernels_host.context_destroy(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colliding_rows_are_found_among_few),
        cmocka_unit_test(pick_stops_at_most),
        cmocka_unit_test(move_skips_rows_that_are_not_there),
        cmocka_unit_test(shared_memory_of_an_abandoned_context_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
