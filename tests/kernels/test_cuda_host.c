/* Description: what the CUDA back end does on the host, over a driver that answers as told: contexts of GPUs that the
 * kernels do not know, threads without a device, memory that runs short in the middle of a call.
 */
#include "fake_cuda.h"

#include "../../kernels/kernels.h"
#include "../unit/counted.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define JOBS 2000 /* of a move, too many for a kernel's parameters */

static const hm_kernels_t *cuda;
static char said[256];

static void said_note(const char *text)
{
    snprintf(said, sizeof said, "%s", text);
}

static int setup(void **state)
{
    const char *why = NULL;
    (void)state;
    memset(&fake_cuda, 0, sizeof fake_cuda);
    fake_cuda.pool_allocations = -1;
    said[0] = '\0';
    hm_kernels_say = said_note;
    cuda = kernels_cuda_open(&why);
    assert_non_null(cuda);
    return 0;
}

/* Memory that serves for the first meeting is there whatever the GPU is. */
static void unknown_gpu_is_refused_by_prepare_alone(void **state)
{
    hm_context_t *context = NULL;
    void *memory = NULL;
    double ms;
    (void)state;
    fake_cuda.device = 7; /* one for which no other test loads the kernels */
    fake_cuda.module_load = CUDA_ERROR_NO_BINARY_FOR_GPU;
    assert_int_equal(cuda->context_create(NULL, &context), 0);
    assert_string_equal(said, "");
    assert_int_equal(cuda->prepare(context), -EIO);
    assert_non_null(strstr(said, "no kernel image"));
    assert_int_equal(cuda->host_alloc(context, 4096, &memory), 0);
    assert_int_equal(cuda->join(context, NULL), 0);
    assert_int_equal(cuda->mark(context, NULL, HM_MARKS - 1), 0);
    assert_int_equal(cuda->span(context, HM_MARKS - 1, HM_MARKS - 1, &ms), 0);
    assert_int_equal(cuda->wait(context, NULL, 1, NULL), 0);
    assert_int_equal(cuda->capturing(context, NULL), 0);
    cuda->host_free(context, memory);
    cuda->context_destroy(context);
    assert_int_equal(fake_cuda.alive, 0);
}

static void memory_short_at_the_start_is_refused_by_prepare(void **state)
{
    hm_context_t *context = NULL;
    (void)state;
    fake_cuda.pool_allocations = 1;
    assert_int_equal(cuda->context_create(NULL, &context), 0);
    assert_int_equal(cuda->prepare(context), -ENOMEM);
    cuda->context_destroy(context);
    assert_int_equal(fake_cuda.alive, 0);
}

/* NCCL works on its communicator's device, whatever the calling thread is at. */
static void work_is_done_on_the_wanted_device(void **state)
{
    static const struct {
        CUdevice current;
        int wanted, retained;
    } cases[] = {{0, -1, 0}, {2, 2, 0}, {-1, 3, 1}, {0, 1, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hm_context_t *context = NULL;
        CUcontext before, after;
        setup(NULL);
        fake_cuda.device = cases[i].current;
        cuCtxGetCurrent(&before);
        assert_int_equal(cuda->context_create(&cases[i].wanted, &context), 0);
        assert_int_equal(cuda->prepare(context), 0);
        assert_int_equal(cuda->wait(context, NULL, 1, NULL), 0);
        cuda->context_destroy(context);
        cuCtxGetCurrent(&after);
        assert_int_equal(fake_cuda.retained, cases[i].retained);
        assert_ptr_equal(before, after);
        assert_int_equal(fake_cuda.pushed, 0);
        assert_int_equal(fake_cuda.alive, 0);
    }
}

static void no_device_at_all_is_said(void **state)
{
    hm_context_t *context = NULL;
    (void)state;
    fake_cuda.device = -1;
    assert_int_equal(cuda->context_create(NULL, &context), -EIO);
    assert_non_null(strstr(said, "expected a thread with a current CUDA device"));
    assert_int_equal(fake_cuda.alive, 0);
}

/* Other ranks are at work on the call already: it may wait for its own earlier work, but not fail. */
static void tables_that_find_no_memory_wait_for_earlier_ones(void **state)
{
    static char from[16], to[16];
    hm_context_t *context = NULL;
    hm_move_job_t *jobs = calloc(JOBS, sizeof *jobs);
    (void)state;
    for (int i = 0; i < JOBS; i++)
        jobs[i] = (hm_move_job_t){.dst = to, .src = from, .dst_stride = 16, .src_stride = 16, .width = 16, .rows = 1};
    assert_int_equal(cuda->context_create(NULL, &context), 0);
    assert_int_equal(cuda->prepare(context), 0);
    fake_cuda.pool_allocations = 0;
    fake_cuda.busy = 1000; /* questions */
    int launched = fake_cuda.launched, alive = fake_cuda.alive;
    for (int i = 0; i < 20; i++) assert_int_equal(cuda->move(context, NULL, jobs, JOBS), 0);
    assert_int_equal(fake_cuda.launched - launched, 2 * 20); /* a table and its move */
    assert_int_equal(fake_cuda.alive, alive);                /* what is short is not taken bit by bit */
    assert_int_equal(fake_cuda.busy, 0);
    assert_string_equal(said, "");
    cuda->context_destroy(context);
    assert_int_equal(fake_cuda.alive, 0);
    free(jobs);
}

static void *copy_on_own_stream(void *context)
{
    static char from[64], to[64];
    assert_int_equal(cuda->copy(context, CU_STREAM_PER_THREAD, to, from, sizeof to), 0);
    return NULL;
}

/* One handle, but each thread's own stream: what the forward call of one thread left must be over before the backward
 * call of another uses the same scratch. */
static void streams_of_two_threads_are_ordered_though_they_have_one_handle(void **state)
{
    hm_context_t *context = NULL;
    pthread_t thread;
    (void)state;
    assert_int_equal(cuda->context_create(NULL, &context), 0);
    assert_int_equal(cuda->prepare(context), 0);
    copy_on_own_stream(context);
    int before = fake_cuda.waited;
    assert_int_equal(pthread_create(&thread, NULL, copy_on_own_stream, context), 0);
    pthread_join(thread, NULL);
    int waited = fake_cuda.waited - before;
    cuda->context_destroy(context);
    assert_int_equal(waited, 1);
}

/* What a context takes for itself is on the page, and grows by doubling with what a call needs. */
static void memory_of_a_context(void **state)
{
    hm_context_t *context = NULL;
    uint8_t mask = 0;
    hm_pick_job_t pick = {.mask = &mask, .mask_bytes = 4, .rows = 65537u * 2048, .bits = {0, 1}};
    hm_move_job_t *jobs = calloc(3 * JOBS, sizeof *jobs);
    (void)state;
    for (int i = 0; i < 3 * JOBS; i++) jobs[i] = (hm_move_job_t){.dst = jobs, .src = jobs, .width = 16, .rows = 1};
    assert_int_equal(cuda->context_create(NULL, &context), 0);
    assert_int_equal(cuda->prepare(context), 0);
    COUNTED_IS(fake_cuda.pinned_bytes, 1048576);
    COUNTED_IS(fake_cuda.device_bytes - fake_cuda.pinned_bytes, 16 + 8 * 65536);
    size_t device = fake_cuda.device_bytes, pinned = fake_cuda.pinned_bytes;
    assert_int_equal(cuda->pick(context, NULL, &pick, 1), 0);
    assert_int_equal(fake_cuda.device_bytes - device, 16 + 8 * 2 * 65536);
    fake_cuda.busy = 1000; /* earlier tables are still on their way */
    device = fake_cuda.device_bytes;
    for (int i = 0; i < 3; i++) assert_int_equal(cuda->move(context, NULL, jobs, 3 * JOBS), 0);
    assert_int_equal(fake_cuda.device_bytes - device, 2 * 1048576);
    assert_int_equal(fake_cuda.pinned_bytes - pinned, 2 * 1048576);
    cuda->context_destroy(context);
    free(jobs);
}

/* The part of this back end in what the page says of equal rows: id and first take 8 bytes a row, masks m. */
static void memory_of_equal_rows(void **state)
{
    size_t n = 8, m = 4 * ((n + 31) / 32);
    (void)state;
    for (size_t r = 1; r < 100000; r = r * 3 / 2 + 1) {
        size_t most = cuda->identify_bytes(r) + (8 + m) * (r + 1) + 4 * 256, bound = 5 * ((64 + m) * r + 2048) / 4;
        assert_true(5 * most / 4 <= bound);
        if (r > 1000) COUNTED_BELOW(5 * most / 4, 5 * ((64 + m) * r + 2048) / 4);
    }
}

/* What is cleared, which is all that its kernels write to but the words found, lies in the work memory asked for. */
static void period_keeps_to_its_memory(void **state)
{
    enum { SEGMENTS = 70 };
    hm_context_t *context = NULL;
    const void *base[SEGMENTS];
    size_t bytes[SEGMENTS];
    uint32_t size[HM_PERIOD_SIZES], found[2];
    (void)state;
    assert_int_equal(cuda->context_create(NULL, &context), 0);
    assert_int_equal(cuda->prepare(context), 0);
    for (size_t row = 16; row <= 40000; row = row * 3 / 2 / 16 * 16 + 16) {
        for (size_t rows = 1; rows < 20000; rows = rows * 3 + 1) {
            int sizes = 0;
            for (int p = 0; p < SEGMENTS; p++) bytes[p] = rows * row, base[p] = (const void *)(uintptr_t)(1000003 * p);
            for (size_t b = 65536; b >= 64; b -= 16)
                if (rows * row % b == 0 && sizes < HM_PERIOD_SIZES) size[sizes++] = (uint32_t)b;
            hm_period_job_t job = {1 + (int)(rows % SEGMENTS), sizes, base, bytes, size};
            const char *work = (const char *)(uintptr_t)0x100007;
            size_t need = cuda->period_bytes(&job);
            assert_int_equal(cuda->period(context, NULL, &job, (void *)(uintptr_t)work, found), 0);
            if (sizes == 0) continue;
            assert_true((const char *)fake_cuda.zeroed >= work);
            assert_true((const char *)fake_cuda.zeroed + fake_cuda.zeroed_bytes <= work + need);
        }
    }
    cuda->context_destroy(context);
}

/* The words that the host and the stream share reach the kernel, behind earlier work and before later work. */
static void claim_is_one_thread_in_the_order_of_the_stream(void **state)
{
    hm_context_t *context = NULL;
    hm_claim_t claim = {0};
    uint32_t word = 7;
    char other;
    (void)state;
    assert_int_equal(cuda->context_create(NULL, &context), 0);
    assert_int_equal(cuda->prepare(context), 0);
    int recorded = fake_cuda.recorded, waited = fake_cuda.waited;
    assert_int_equal(cuda->claim(context, NULL, &claim, &word, 9), 0);
    assert_int_equal(fake_cuda.claim.blocks * fake_cuda.claim.threads, 1);
    assert_ptr_equal(fake_cuda.claim.claim, &claim);
    assert_ptr_equal(fake_cuda.claim.word, &word);
    assert_int_equal(fake_cuda.claim.value, 9);
    assert_int_equal(fake_cuda.recorded - recorded, 1);
    assert_int_equal(cuda->claim(context, (void *)&other, &claim, &word, 9), 0);
    assert_true(fake_cuda.waited > waited);
    cuda->context_destroy(context);
    assert_int_equal(fake_cuda.alive, 0);
}

/* What another thread puts on the stream meanwhile may wait for this one. */
static void wait_that_is_gone_on_with_is_for_the_same_point(void **state)
{
    hm_context_t *context = NULL;
    (void)state;
    assert_int_equal(cuda->context_create(NULL, &context), 0);
    fake_cuda.busy = 1000;
    int recorded = fake_cuda.recorded;
    assert_int_equal(cuda->wait(context, NULL, 0, NULL), -ETIMEDOUT);
    assert_int_equal(cuda->wait(context, NULL, 0, NULL), -ETIMEDOUT);
    assert_int_equal(fake_cuda.recorded - recorded, 1);
    fake_cuda.busy = 0;
    assert_int_equal(cuda->wait(context, NULL, 0, NULL), 0);
    assert_int_equal(fake_cuda.recorded - recorded, 1);
    assert_int_equal(cuda->wait(context, NULL, 0, NULL), 0);
    assert_int_equal(fake_cuda.recorded - recorded, 2);
    cuda->context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(unknown_gpu_is_refused_by_prepare_alone, setup),
        cmocka_unit_test_setup(memory_short_at_the_start_is_refused_by_prepare, setup),
        cmocka_unit_test_setup(work_is_done_on_the_wanted_device, setup),
        cmocka_unit_test_setup(no_device_at_all_is_said, setup),
        cmocka_unit_test_setup(streams_of_two_threads_are_ordered_though_they_have_one_handle, setup),
        cmocka_unit_test_setup(memory_of_a_context, setup),
        cmocka_unit_test_setup(memory_of_equal_rows, setup),
        cmocka_unit_test_setup(period_keeps_to_its_memory, setup),
        cmocka_unit_test_setup(claim_is_one_thread_in_the_order_of_the_stream, setup),
        cmocka_unit_test_setup(wait_that_is_gone_on_with_is_for_the_same_point, setup),
        cmocka_unit_test_setup(tables_that_find_no_memory_wait_for_earlier_ones, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
