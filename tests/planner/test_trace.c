/* The trace parser takes what the format allows, and says what it expected of everything else. */
#include "planner_test.h"

#include "experts/trace.h"

#include <errno.h>

#define HEADER "HMTRACE1 ranks=2 layers=1 tokens=3 topk=2 experts=300\n"
static const uint16_t ids[] = {0, 1, 299, 5, 7, 6, 2, 3, 256, 0, 1, 255};

/* A whole file: header, then the ids as little-endian bytes. */
static size_t file_make(uint8_t *file, const char *header)
{
    size_t bytes = strlen(header);
    memcpy(file, header, bytes);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        file[bytes++] = (uint8_t)(ids[i] & 255);
        file[bytes++] = (uint8_t)(ids[i] >> 8);
    }
    return bytes;
}

static void accepts_what_the_format_says(void **state)
{
    (void)state;
    uint8_t file[256];
    hm_parse_error_t error;
    hm_trace_t trace;
    size_t bytes = file_make(file + 1, HEADER); /* read from wherever it lies */
    assert_int_equal(trace_parse(file + 1, bytes, &trace, &error), 0);
    assert_int_equal(trace.ranks, 2);
    assert_int_equal(trace.layers, 1);
    assert_int_equal(trace.tokens, 3);
    assert_int_equal(trace.top_k, 2);
    assert_int_equal(trace.experts, 300);
    assert_memory_equal(trace.ids, ids, sizeof(ids));
    assert_int_equal(trace_source(&trace, 1, 0)[0], 2);
    assert_int_equal(trace_source(&trace, 1, 0)[5], 255);
    assert_ptr_equal(trace_source(&trace, 1, 0), trace.ids + 6);
    trace_free(&trace);
    assert_null(trace.ids);
}

static void refused(const uint8_t *file, size_t bytes, int line, const char *expected)
{
    hm_parse_error_t error = {.line = -1};
    hm_trace_t trace = {.ranks = 77};
    assert_int_equal(trace_parse(file, bytes, &trace, &error), -EINVAL);
    assert_int_equal(error.line, line);
    assert_int_equal(trace.ranks, 77);
    if (!strstr(error.text, expected)) fail_msg("expected '%s' in '%s'", expected, error.text);
}

static void refused_header(const char *header, const char *expected)
{
    uint8_t file[512];
    refused(file, file_make(file, header), 1, expected);
}

static void refuses_headers_that_are_not_exact(void **state)
{
    (void)state;
    refused((const uint8_t *)"", 0, 1, "beginning with HMTRACE1");
    refused_header("HMTRACE2 ranks=2 layers=1 tokens=3 topk=2 experts=300\n", "beginning with HMTRACE1");
    refused((const uint8_t *)"HMTRACE1 ranks=2", 16, 1, "its end within 128 characters");
    refused_header("HMTRACE1 layers=1 ranks=2 tokens=3 topk=2 experts=300\n", "\" ranks=\" and a number from 1 to");
    refused_header("HMTRACE1  ranks=2 layers=1 tokens=3 topk=2 experts=300\n", "\" ranks=\" and a number from 1 to");
    refused_header("HMTRACE1 ranks=02 layers=1 tokens=3 topk=2 experts=300\n", "\" ranks=\" and a number from 1 to");
    refused_header("HMTRACE1 ranks=-2 layers=1 tokens=3 topk=2 experts=300\n", "\" ranks=\" and a number from 1 to");
    refused_header("HMTRACE1 ranks=2 layers=0 tokens=3 topk=2 experts=300\n", "\" layers=\" and a number from 1 to");
    refused_header("HMTRACE1 ranks=2 layers=1 tokens=9999999999999999999 topk=2 experts=300\n",
                   "\" tokens=\" and a number from 1 to");
    refused_header("HMTRACE1 ranks=2 layers=1 tokens=3 topk=2 experts=65536\n", "\" experts=\" and a number from 1 to");
    refused_header("HMTRACE1 ranks=2 layers=1 tokens=3 topk=65536 experts=300\n",
                   "\" topk=\" and a number from 1 to 65535");
    static const char nul[] = "HMTRACE1 ranks=2 layers=1 tokens=3 topk=2 experts=300\0\n";
    refused((const uint8_t *)nul, sizeof(nul) - 1, 1, "expected text");
    char wide[140];
    memset(wide, ' ', sizeof(wide));
    memcpy(wide, "HMTRACE1", 8);
    wide[128] = '\n';
    refused((const uint8_t *)wide, sizeof(wide), 1, "its end within 128 characters");
    wide[127] = '\n';
    refused((const uint8_t *)wide, sizeof(wide), 1, "\" ranks=\"");
    refused_header("HMTRACE1 ranks=2 layers=1 tokens=3 topk=2 experts=300 \n", "its end after");
    refused_header("HMTRACE1 ranks=2 layers=1 tokens=3 topk=2 experts=300\r\n", "not a carriage return before it");
    refused_header("HMTRACE1 ranks=2 layers=1 tokens=3 topk=2 experts=1\n", "topk=2: expected at most experts=1");
}

static void refuses_sizes_that_do_not_fit(void **state)
{
    (void)state;
    uint8_t file[256] = {0};
    size_t bytes = file_make(file, HEADER);
    refused(file, bytes - 1, 0, "23 bytes after line 1: expected 24");
    refused(file, bytes + 1, 0, "25 bytes after line 1: expected 24");
    /* 2^64 bytes are not none. */
    static const char huge[] = "HMTRACE1 ranks=65536 layers=4096 tokens=1048576 topk=32768 experts=65535\n";
    refused((const uint8_t *)huge, sizeof(huge) - 1, 0, "0 bytes after line 1: expected 18446744073709551616");
}

static void refuses_experts_out_of_range_and_twice(void **state)
{
    (void)state;
    uint8_t file[256];
    size_t bytes = file_make(file, HEADER), start = strlen(HEADER);
    file[start + 2 * 8] = 300 & 255;
    file[start + 2 * 8 + 1] = 300 >> 8;
    refused(file, bytes, 0, "rank 1, layer 0, token 1, choice 0: expert 300: expected a number below experts=");
    file_make(file, HEADER);
    file[start + 2 * 3] = 299 & 255;
    file[start + 2 * 3 + 1] = 299 >> 8;
    refused(file, bytes, 0, "rank 0, layer 0, token 1, choice 1: expert 299: expected each once in a token");
    /* The last of 1 x 2 layers, 3 tokens, 2 choices. */
    bytes = file_make(file, "HMTRACE1 ranks=1 layers=2 tokens=3 topk=2 experts=300\n");
    file[start + 2 * 11] = file[start + 2 * 10];
    file[start + 2 * 11 + 1] = file[start + 2 * 10 + 1];
    refused(file, bytes, 0, "rank 0, layer 1, token 2, choice 1: expert 1: expected each once");
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Cuts, extensions and changed bytes: whatever is accepted holds only experts in range, and is the right size. */
static void survives_mutations(void **state)
{
    (void)state;
    uint64_t seed = 1;
    int accepted = 0, refusals = 0;
    for (int i = 0; i < 20000; i++) {
        uint8_t file[256] = {0};
        hm_parse_error_t error;
        hm_trace_t trace;
        size_t bytes = file_make(file, HEADER);
        for (uint32_t n = next_random(&seed) % 4; n; n--)
            file[next_random(&seed) % bytes] ^= (uint8_t)next_random(&seed);
        if (next_random(&seed) % 4 == 0) bytes = next_random(&seed) % sizeof(file);
        uint8_t *exact = malloc(bytes + 1); /* so that a read past the end is seen under a sanitizer */
        memcpy(exact, file, bytes);
        int status = trace_parse(exact, bytes, &trace, &error);
        free(exact);
        if (status) {
            assert_int_equal(status, -EINVAL);
            refusals++;
            continue;
        }
        size_t entries = (size_t)trace.ranks * (size_t)trace.layers * trace.tokens * (size_t)trace.top_k;
        assert_true(2 * entries < bytes);
        for (size_t j = 0; j < entries; j++) assert_true(trace.ids[j] < trace.experts);
        trace_free(&trace);
        accepted++;
    }
    assert_true(accepted > 1000);
    assert_true(refusals > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_the_format_says),
        cmocka_unit_test(refuses_headers_that_are_not_exact),
        cmocka_unit_test(refuses_sizes_that_do_not_fit),
        cmocka_unit_test(refuses_experts_out_of_range_and_twice),
        cmocka_unit_test(survives_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
