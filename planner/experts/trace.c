#include "trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "HMTRACE1"
#define HEADER_MOST 128

static const struct {
    const char *name;
    uint32_t most;
} fields[] = {{"ranks", 65536}, {"layers", 4096}, {"tokens", 1 << 20}, {"topk", 65535}, {"experts", 65535}};
enum { RANKS, LAYERS, TOKENS, TOPK, EXPERTS, FIELDS };

typedef struct header {
    uint32_t value[FIELDS];
    size_t length; /* its line end included */
} header_t;

__attribute__((format(printf, 3, 4))) static int trace_fail(hm_parse_error_t *error, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error->line = line;
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return -EINVAL;
}

/* Reads " name=number" from *at, which ends in a NUL, and moves it behind. */
static bool field_read(const char **at, int field, uint32_t *value)
{
    const char *text = *at, *name = fields[field].name;
    size_t length = strlen(name);
    uint32_t read = 0;
    if (*text++ != ' ' || strncmp(text, name, length) != 0 || text[length] != '=') return false;
    text += length + 1;
    if (*text < '1' || *text > '9') return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        read = read * 10 + (uint32_t)(*text - '0');
        if (read > fields[field].most) return false;
    }
    *at = text;
    *value = read;
    return true;
}

static int header_parse(const char *data, size_t length, header_t *header, hm_parse_error_t *error)
{
    char line[HEADER_MOST + 1];
    const char *at = line + strlen(MAGIC);
    const char *end = memchr(data, '\n', length < HEADER_MOST ? length : HEADER_MOST);
    if (length < strlen(MAGIC) || memcmp(data, MAGIC, strlen(MAGIC)) != 0)
        return trace_fail(error, 1, "expected a trace, beginning with " MAGIC);
    if (end == NULL || memchr(data, '\0', (size_t)(end - data)) != NULL)
        return trace_fail(error, 1, "expected text, and its end within %d characters", HEADER_MOST);
    memcpy(line, data, (size_t)(end - data));
    line[end - data] = '\0';
    for (int i = 0; i < FIELDS; i++)
        if (!field_read(&at, i, &header->value[i]))
            return trace_fail(error, 1, "expected \" %s=\" and a number from 1 to %u after \"%.*s\"", fields[i].name,
                              fields[i].most, (int)(at - line), line);
    if (strcmp(at, "\r") == 0)
        return trace_fail(error, 1,
                          "expected a line feed at its end, not a carriage return before it, as in text files");
    if (*at != '\0') return trace_fail(error, 1, "expected its end after \"%.*s\"", (int)(at - line), line);
    if (header->value[TOPK] > header->value[EXPERTS])
        return trace_fail(error, 1, "topk=%u: expected at most experts=%u", header->value[TOPK],
                          header->value[EXPERTS]);
    header->length = (size_t)(end - data) + 1;
    return 0;
}

/* Copies the ids: each below experts and none twice in a token. seen[id] is the last token that chose it. */
static int ids_read(const uint8_t *from, const hm_trace_t *trace, uint16_t *ids, size_t *seen, hm_parse_error_t *error)
{
    size_t top_k = (size_t)trace->top_k, layers = (size_t)trace->layers;
    size_t count = (size_t)trace->ranks * layers * trace->tokens * top_k;
    for (size_t i = 0; i < count; i++) {
        size_t token = i / top_k;
        uint16_t id = (uint16_t)(from[2 * i] | from[2 * i + 1] << 8);
        if (id < trace->experts && seen[id] != token + 1) {
            seen[id] = token + 1;
            ids[i] = id;
            continue;
        }
        return trace_fail(error, 0, "rank %zu, layer %zu, token %zu, choice %zu: expert %u: expected %s",
                          token / trace->tokens / layers, token / trace->tokens % layers, token % trace->tokens,
                          i % top_k, id, id < trace->experts ? "each once in a token" : "a number below experts=");
    }
    return 0;
}

int trace_parse(const void *data, size_t length, hm_trace_t *trace, hm_parse_error_t *error)
{
    header_t header = {.length = 0};
    int rc = header_parse(data, length, &header, error);
    if (rc != 0) return rc;
    const uint32_t *value = header.value;
    size_t entries = (length - header.length) / sizeof(uint16_t);
    unsigned __int128 wanted = (unsigned __int128)value[RANKS] * value[LAYERS] * value[TOKENS] * value[TOPK];
    if (2 * wanted != length - header.length)
        return trace_fail(error, 0, "%zu bytes after line 1: expected %.0f (ranks * layers * tokens * topk * 2)",
                          length - header.length, 2 * (double)wanted);
    hm_trace_t read = {.ranks = (int)value[RANKS],
                       .layers = (int)value[LAYERS],
                       .top_k = (int)value[TOPK],
                       .experts = (int)value[EXPERTS],
                       .tokens = value[TOKENS]};
    size_t *seen = calloc((size_t)read.experts, sizeof *seen);
    read.ids = malloc(entries * sizeof *read.ids);
    if (seen == NULL || read.ids == NULL) {
        trace_fail(error, 0, "expected memory for %zu expert ids", entries);
        rc = -ENOMEM;
    } else {
        rc = ids_read((const uint8_t *)data + header.length, &read, read.ids, seen, error);
    }
    free(seen);
    if (rc != 0)
        trace_free(&read);
    else
        *trace = read;
    return rc;
}

void trace_free(hm_trace_t *trace)
{
    free(trace->ids);
    trace->ids = NULL;
}

const uint16_t *trace_source(const hm_trace_t *trace, int rank, int layer)
{
    size_t at = (size_t)rank * (size_t)trace->layers + (size_t)layer;
    return trace->ids + at * trace->tokens * (size_t)trace->top_k;
}
