#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 128
#define FILE_MAX_BYTES ((size_t)1 << 32)

static const struct trace_field {
    const char *name;
    uint32_t high;
} fields[] = {{"ranks", 4096}, {"layers", 4096}, {"tokens", 1 << 20}, {"topk", 65535}, {"experts", 65535}};
enum { FIELD_RANKS, FIELD_LAYERS, FIELD_TOKENS, FIELD_TOPK, FIELD_EXPERTS, FIELDS };

/* Reads " name=number" at *text and moves it behind. */
static int field_parse(const char **text, const struct trace_field *field, uint32_t *value)
{
    size_t length = strlen(field->name);
    const char *at = *text;
    uint32_t read = 0;
    if (*at++ != ' ' || strncmp(at, field->name, length) || at[length] != '=') return -EINVAL;
    at += length + 1;
    if (*at < '1' || *at > '9') return -EINVAL;
    for (; *at >= '0' && *at <= '9'; at++) {
        read = read * 10 + (uint32_t)(*at - '0');
        if (read > field->high) return -EINVAL;
    }
    *text = at;
    *value = read;
    return 0;
}

static int header_parse(const char *data, size_t bytes, const char *name, uint32_t *value, size_t *header, char *why,
                        size_t why_bytes)
{
    char line[HEADER_MAX + 1];
    const char *at = line + 8;
    size_t window = bytes < HEADER_MAX ? bytes : HEADER_MAX;
    const char *end = memchr(data, '\n', window);
    if (window < 8 || memcmp(data, "HMTRACE1", 8)) {
        snprintf(why, why_bytes, "%s: not a routing trace: expected it to begin with 'HMTRACE1'", name);
        return -EINVAL;
    }
    if (!end || memchr(data, 0, (size_t)(end - data))) {
        snprintf(why, why_bytes, "%s: expected a header line of at most %d characters of text", name, HEADER_MAX);
        return -EINVAL;
    }
    memcpy(line, data, (size_t)(end - data));
    line[end - data] = 0;
    for (int i = 0; i < FIELDS; i++) {
        if (!field_parse(&at, &fields[i], &value[i])) continue;
        snprintf(why, why_bytes, "%s: header: expected ' %s=' and a number from 1 to %u after '%.*s'", name,
                 fields[i].name, fields[i].high, (int)(at - line), line);
        return -EINVAL;
    }
    if (*at) {
        snprintf(why, why_bytes, "%s: header: expected the line to end after '%.*s'", name, (int)(at - line), line);
        return -EINVAL;
    }
    if (value[FIELD_TOPK] > value[FIELD_EXPERTS]) {
        snprintf(why, why_bytes, "%s: header: expected topk to be at most experts, got topk=%u experts=%u", name,
                 value[FIELD_TOPK], value[FIELD_EXPERTS]);
        return -EINVAL;
    }
    *header = (size_t)(end - data) + 1;
    return 0;
}

/* Experts in range and different within each token. seen[expert] holds the last token that chose it. */
static int experts_check(const mp_trace_t *trace, const char *name, size_t *seen, char *why, size_t why_bytes)
{
    size_t rows = (size_t)trace->ranks * (size_t)trace->layers * trace->tokens;
    for (size_t i = 0; i < rows; i++) {
        for (int k = 0; k < trace->topk; k++) {
            uint16_t expert = trace->expert[i * (size_t)trace->topk + (size_t)k];
            const char *wrong = NULL;
            if (expert >= trace->experts)
                wrong = "expected expert ids below experts=";
            else if (seen[expert] == i + 1)
                wrong = "the same expert twice in one token; experts=";
            else
                seen[expert] = i + 1;
            if (!wrong) continue;
            snprintf(why, why_bytes, "%s: %s%d, got %d at rank %zu, layer %zu, token %zu, choice %d", name, wrong,
                     trace->experts, expert, i / trace->tokens / (size_t)trace->layers,
                     i / trace->tokens % (size_t)trace->layers, i % trace->tokens, k);
            return -EINVAL;
        }
    }
    return 0;
}

int trace_parse(const void *data, size_t bytes, const char *name, mp_trace_t *trace, char *why, size_t why_bytes)
{
    uint32_t value[FIELDS];
    size_t header;
    int status = header_parse(data, bytes, name, value, &header, why, why_bytes);
    if (status) return status;
    unsigned __int128 wanted =
        (unsigned __int128)value[FIELD_RANKS] * value[FIELD_LAYERS] * value[FIELD_TOKENS] * value[FIELD_TOPK] * 2;
    if (wanted != bytes - header) {
        snprintf(why, why_bytes,
                 "%s: expected %.0f bytes after the header (ranks * layers * tokens * topk * 2), got %zu", name,
                 (double)wanted, bytes - header);
        return -EINVAL;
    }
    mp_trace_t read = {.ranks = (int)value[FIELD_RANKS],
                       .layers = (int)value[FIELD_LAYERS],
                       .topk = (int)value[FIELD_TOPK],
                       .experts = (int)value[FIELD_EXPERTS],
                       .tokens = value[FIELD_TOKENS]};
    size_t *seen = calloc((size_t)read.experts, sizeof(*seen));
    read.expert = malloc((size_t)wanted);
    if (!seen || !read.expert) {
        snprintf(why, why_bytes, "%s: out of memory for %.0f bytes", name, (double)wanted);
        status = -ENOMEM;
    } else {
        const uint8_t *from = (const uint8_t *)data + header;
        for (size_t i = 0; i < (size_t)wanted / 2; i++) read.expert[i] = (uint16_t)(from[2 * i] | from[2 * i + 1] << 8);
        status = experts_check(&read, name, seen, why, why_bytes);
    }
    free(seen);
    if (status)
        free(read.expert);
    else
        *trace = read;
    return status;
}

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

int trace_read(const char *path, mp_trace_t *trace, char *why, size_t why_bytes)
{
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
    status = trace_parse(data, bytes, path, trace, why, why_bytes);
    free(data);
    return status;
}

void trace_free(mp_trace_t *trace)
{
    free(trace->expert);
    trace->expert = NULL;
}
