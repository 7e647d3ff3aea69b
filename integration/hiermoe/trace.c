#define _DEFAULT_SOURCE
#include "trace.h"

#include "command.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "HMTRACE1"
#define HEADER_MOST 128

static const struct {
    const char *name;
    unsigned long most;
} fields[] = {{"ranks", 65536}, {"layers", 4096}, {"tokens", 1 << 20}, {"topk", 64}, {"experts", 65535}};
enum { RANKS, LAYERS, TOKENS, TOPK, EXPERTS, FIELDS };

/* Reads " name=number" from *at, which ends in a NUL. */
static int field_read(const char **at, const char *name, unsigned long most, unsigned long *value)
{
    size_t length = strlen(name);
    const char *text = *at;
    if (*text++ != ' ' || strncmp(text, name, length) != 0 || text[length] != '=') return 0;
    text += length + 1;
    if (*text < '1' || *text > '9') return 0;
    for (*value = 0; *text >= '0' && *text <= '9'; text++) {
        *value = *value * 10 + (unsigned long)(*text - '0');
        if (*value > most) return 0;
    }
    *at = text;
    return 1;
}

static int header_read(const char *path, const char *data, size_t length, unsigned long value[FIELDS], size_t *header)
{
    char line[HEADER_MOST + 1];
    const char *end = memchr(data, '\n', length < HEADER_MOST ? length : HEADER_MOST), *at = line + strlen(MAGIC);
    if (length < strlen(MAGIC) || memcmp(data, MAGIC, strlen(MAGIC)) != 0)
        return command_fail("%s: line 1: expected a trace, beginning with " MAGIC, path);
    if (end == NULL) return command_fail("%s: line 1: expected its end within %d characters", path, HEADER_MOST);
    memcpy(line, data, (size_t)(end - data));
    line[end - data] = '\0';
    for (int i = 0; i < FIELDS; i++)
        if (!field_read(&at, fields[i].name, fields[i].most, &value[i]))
            return command_fail("%s: line 1: expected \" %s=\" and a number from 1 to %lu after \"%.*s\"", path,
                                fields[i].name, fields[i].most, (int)(at - line), line);
    if (at != line + (end - data)) return command_fail("%s: line 1: expected its end after experts=", path);
    *header = (size_t)(end - data) + 1;
    return 0;
}

/* Ids in memory order, each below experts and none twice in a token. */
static int ids_check(const char *path, const unsigned long value[FIELDS], uint16_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ids[i] = le16toh(ids[i]);
        if (ids[i] >= value[EXPERTS])
            return command_fail("%s: entry %zu: expert %u: expected a number below %lu", path, i, ids[i],
                                value[EXPERTS]);
        for (size_t j = i - i % value[TOPK]; j < i; j++)
            if (ids[j] == ids[i])
                return command_fail("%s: entry %zu: expert %u twice in one token: expected different ones", path, i,
                                    ids[i]);
    }
    return 0;
}

int trace_load(const char *path, hm_trace_t *trace, void **memory)
{
    unsigned long value[FIELDS];
    size_t length, header = 0;
    char *data = input_read(path, (size_t)1 << 33, &length);
    if (data == NULL) return EXIT_BAD_INPUT;
    int rc = header_read(path, data, length, value, &header);
    if (rc != 0) goto fail;
    size_t count = (size_t)value[RANKS] * value[LAYERS] * value[TOKENS] * value[TOPK];
    if (length - header != count * sizeof(uint16_t)) {
        rc = command_fail("%s: %zu bytes after line 1: expected %zu of expert ids", path, length - header, count * 2);
        goto fail;
    }
    memmove(data, data + header, count * sizeof(uint16_t));
    rc = ids_check(path, value, (uint16_t *)data, count);
    if (rc != 0) goto fail;
    *trace = (hm_trace_t){.ranks = (int)value[RANKS],
                          .layers = (int)value[LAYERS],
                          .tokens = value[TOKENS],
                          .top_k = (int)value[TOPK],
                          .experts = (int)value[EXPERTS],
                          .ids = (const uint16_t *)data};
    *memory = data;
    return 0;

fail:
    free(data);
    return rc;
}
