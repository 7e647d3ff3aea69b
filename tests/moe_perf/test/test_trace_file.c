/* Traces come from files, and what is wrong with one is said with its name. */
#include "../trace_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/moe_perf_trace_XXXXXX";

static void file_write(const char *text, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* Larger than what is read at first. */
static void reads_a_whole_file(void **state)
{
    (void)state;
    char why[256];
    hm_trace_t trace;
    size_t length = (size_t)snprintf(NULL, 0, "HMTRACE1 ranks=1 layers=1 tokens=400000 topk=1 experts=8\n");
    char *text = calloc(length + 800000 + 1, 1);
    assert_non_null(text);
    snprintf(text, length + 1, "HMTRACE1 ranks=1 layers=1 tokens=400000 topk=1 experts=8\n");
    text[length + 799998] = 7;
    file_write(text, length + 800000);
    free(text);
    assert_int_equal(trace_file_read(path, &trace, why, sizeof(why)), 0);
    assert_int_equal(trace.tokens, 400000);
    assert_int_equal(trace.ids[399999], 7);
    trace_free(&trace);
}

static void refused(int status, const char *name, const char *expected)
{
    char why[256] = "", want[256];
    hm_trace_t trace;
    assert_int_equal(trace_file_read(name, &trace, why, sizeof(why)), status);
    snprintf(want, sizeof(want), "%s: %s", name, expected);
    if (strstr(why, want) != why) fail_msg("expected '%s' in '%s'", want, why);
}

static void says_which_file_is_wrong(void **state)
{
    (void)state;
    static const char short_one[] = "HMTRACE1 ranks=1 layers=1 tokens=1 topk=1 experts=8\n\0";
    refused(-ENOENT, "/nonexistent/some.trace", "cannot be opened: ");
    refused(-EISDIR, "/", "cannot be read: ");
    file_write("PNG", 3);
    refused(-EINVAL, path, "line 1: expected a trace");
    file_write(short_one, sizeof(short_one) - 1);
    refused(-EINVAL, path, "1 bytes after line 1: expected 2");
}

static int path_make(void **state)
{
    (void)state;
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int path_remove(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_whole_file),
        cmocka_unit_test(says_which_file_is_wrong),
    };
    return cmocka_run_group_tests(tests, path_make, path_remove);
}
