#include "trace_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)1 << 32)

static int file_read(FILE *file, const char *path, uint8_t **data, size_t *bytes, char *why, size_t why_bytes)
{
    size_t room = 1 << 16, used = 0;
    uint8_t *memory = malloc(room);
    while (memory) {
        size_t got = fread(memory + used, 1, room - used, file);
        used += got;
        if (!got) break;
        if (used < room) continue;
        uint8_t *larger = room < FILE_MAX_BYTES ? realloc(memory, room * 2) : NULL;
        if (!larger) free(memory);
        memory = larger;
        room *= 2;
    }
    if (!memory) {
        snprintf(why, why_bytes, "%s: expected at most %zu bytes, and memory for them", path, FILE_MAX_BYTES);
        return -ENOMEM;
    }
    if (ferror(file)) {
        int status = errno ? -errno : -EIO;
        snprintf(why, why_bytes, "%s: cannot be read: %s", path, strerror(-status));
        free(memory);
        return status;
    }
    *data = memory;
    *bytes = used;
    return 0;
}

static void error_say(const char *path, const hm_parse_error_t *error, char *why, size_t why_bytes)
{
    if (error->line)
        snprintf(why, why_bytes, "%s: line %d: %s", path, error->line, error->text);
    else
        snprintf(why, why_bytes, "%s: %s", path, error->text);
}

int trace_file_read(const char *path, hm_trace_t *trace, char *why, size_t why_bytes)
{
    hm_parse_error_t error;
    uint8_t *data;
    size_t bytes;
    FILE *file = fopen(path, "rb");
    if (!file) {
        int status = -errno;
        snprintf(why, why_bytes, "%s: cannot be opened: %s", path, strerror(-status));
        return status;
    }
    int status = file_read(file, path, &data, &bytes, why, why_bytes);
    fclose(file);
    if (status) return status;
    status = trace_parse(data, bytes, trace, &error);
    if (status) error_say(path, &error, why, why_bytes);
    free(data);
    return status;
}
