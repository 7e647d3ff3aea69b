#include "trace_file.h"

#include "command.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TRACE_BYTES_MOST ((size_t)1 << 33)
#define EXPERTS_MOST 65535

static int trace_own_read(const char *path, hm_trace_t *trace)
{
    hm_parse_error_t error;
    size_t length;
    char *data = input_read(path, TRACE_BYTES_MOST, &length);
    if (data == NULL) return HM_EXIT_BAD_INPUT;
    int rc = trace_parse(data, length, trace, &error);
    free(data);
    if (rc == 0) return 0;
    return error.line > 0 ? command_fail("%s: line %d: %s", path, error.line, error.text)
                          : command_fail("%s: %s", path, error.text);
}

static bool token_twice(const uint16_t *ids, int top_k)
{
    for (int k = 1; k < top_k; k++)
        for (int other = 0; other < k; other++)
            if (ids[other] == ids[k]) return true;
    return false;
}

/* Counts the experts, and checks what trace_parse checks of our own format. */
static int trace_complete(const char *path, long experts, hm_trace_t *trace)
{
    size_t tokens = (size_t)trace->ranks * (size_t)trace->layers * trace->tokens;
    for (size_t t = 0; t < tokens; t++) {
        const uint16_t *ids = trace->ids + t * (size_t)trace->top_k;
        if (token_twice(ids, trace->top_k))
            return command_fail("%s: token %zu: an expert twice: expected different experts in a token", path, t);
        for (int k = 0; k < trace->top_k; k++)
            if (ids[k] >= experts) experts = ids[k] + 1L;
    }
    trace->experts = (int)experts;
    return 0;
}

static bool name_ends(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);
    return length >= tail && strcmp(path + length - tail, end) == 0;
}

int trace_file_read(const char *path, long experts, hm_trace_t *trace)
{
    struct stat status;
    int (*read)(const char *path, hm_trace_t *trace) = NULL;
    bool folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    if (folder || name_ends(path, ".jsonl")) read = trace_jsonl_read;
    if (name_ends(path, ".npy")) read = trace_npy_read;
    if (name_ends(path, ".csv")) read = trace_csv_read;
    if (read == NULL) return trace_own_read(path, trace);
    hm_trace_t found = {.ids = NULL};
    int rc = read(path, &found);
    if (rc == 0) rc = trace_complete(path, experts, &found);
    if (rc == 0) *trace = found;
    if (rc != 0) trace_free(&found);
    return rc;
}
