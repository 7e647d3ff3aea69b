/* Traces as arrays of expert ids: comma-separated text, and NumPy's .npy (format 1 to 3: a header in Python's words).
 */
#include "command.h"
#include "trace_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_BYTES_MOST ((size_t)1 << 33)
#define IDS_MOST 65535 /* one more than the largest id */
#define TOP_K_MOST 64
#define NPY_MAGIC "\x93NUMPY"

/* The ids of one line, from `at` to its end, behind those that are there. Returns how many; -1 for something else. */
static int line_read(const char *at, const char *end, uint16_t *ids)
{
    int count = 0;
    while (at < end) {
        char *rest;
        long id = strtol(at, &rest, 10);
        if (rest == at || rest > end || id < 0 || id >= IDS_MOST || count == TOP_K_MOST) return -1;
        ids[count++] = (uint16_t)id;
        while (rest < end && (*rest == ' ' || *rest == '\r')) rest++;
        if (rest < end && *rest != ',') return -1;
        at = rest < end ? rest + 1 : rest;
        if (rest < end && at == end) return -1;
    }
    return count;
}

static int csv_parse(const char *path, const char *data, size_t length, hm_trace_t *trace)
{
    long line = 1;
    /* An id needs a digit and a comma or line end. */
    uint16_t *ids = malloc((length / 2 + TOP_K_MOST + 1) * sizeof(*ids));
    *trace = (hm_trace_t){.ranks = 1, .layers = 1, .ids = ids};
    if (ids == NULL) return command_fail("out of memory");
    for (const char *at = data, *all = data + length; at < all; line++) {
        const char *end = memchr(at, '\n', (size_t)(all - at));
        if (end == NULL) end = all;
        bool header = line == 1 && at < end && !isdigit((unsigned char)*at);
        int count = header ? 0 : line_read(at, end, ids + trace->tokens * (size_t)trace->top_k);
        if (count < 0 || (trace->top_k > 0 && count != trace->top_k && count != 0))
            return command_fail("%s: line %ld: expected %s expert ids from 0 to 65534 and commas between", path, line,
                                trace->top_k > 0 ? "as many as before" : "1 to 64");
        if (count > 0) {
            trace->top_k = count;
            trace->tokens++;
        }
        at = end + 1;
    }
    return trace->tokens > 0 ? 0 : command_fail("%s: expected a line of expert ids for each token", path);
}

int trace_csv_read(const char *path, hm_trace_t *trace)
{
    size_t length;
    char *data = input_read(path, ARRAY_BYTES_MOST - 1, &length);
    if (data == NULL) return HM_EXIT_BAD_INPUT;
    char *text = realloc(data, length + 1);
    int rc = text == NULL ? command_fail("out of memory") : 0;
    if (rc == 0) {
        text[length] = '\0'; /* strtol stops there */
        rc = csv_parse(path, text, length, trace);
    }
    free(text != NULL ? text : data);
    return rc;
}

typedef struct npy {
    char kind; /* 'i' or 'u' */
    int bytes;
    size_t shape[4];
    int dimensions;
} npy_t;

/* Finds "'key': " in the header; the value's first character, or NULL. */
static const char *npy_value(const char *header, const char *key)
{
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "'%s':", key);
    const char *at = strstr(header, wanted);
    if (at == NULL) return NULL;
    at += strlen(wanted);
    return at + strspn(at, " ");
}

static bool npy_shape(const char *at, npy_t *npy)
{
    if (at == NULL || *at++ != '(') return false;
    for (;;) {
        char *end;
        at += strspn(at, " ");
        if (*at == ')') return npy->dimensions >= 2;
        unsigned long size = strtoul(at, &end, 10);
        if (end == at || npy->dimensions == 4 || size == 0 || size > 1UL << 32) return false;
        npy->shape[npy->dimensions++] = size;
        at = end + strspn(end, " ");
        if (*at == ',') at++;
    }
}

/* The header's text; *body is where the array begins. NULL where this is no such file. */
static char *npy_header(char *data, size_t length, const unsigned char **body)
{
    const unsigned char *byte = (const unsigned char *)data;
    if (length < 12 || memcmp(data, NPY_MAGIC, 6) != 0) return NULL;
    size_t start = byte[6] == 1 ? 10 : 12, size = byte[8] | (size_t)byte[9] << 8;
    if (byte[6] > 1) size |= (size_t)byte[10] << 16 | (size_t)byte[11] << 24;
    if (size == 0 || size > length - start || data[start + size - 1] != '\n') return NULL;
    data[start + size - 1] = '\0';
    *body = byte + start + size;
    return data + start;
}

static int npy_describe(const char *path, const char *header, npy_t *npy)
{
    const char *type = npy_value(header, "descr"), *order = npy_value(header, "fortran_order");
    *npy = (npy_t){.dimensions = 0};
    if (type == NULL || type[0] != '\'' || (type[1] != '<' && type[1] != '|') || (type[2] != 'i' && type[2] != 'u') ||
        strchr("1248", type[3]) == NULL || type[3] == '\0')
        return command_fail("%s: expected whole numbers, little-endian (int64, uint16, ...)", path);
    if (order == NULL || strncmp(order, "False", 5) != 0) return command_fail("%s: expected C order", path);
    npy->kind = type[2];
    npy->bytes = type[3] - '0';
    if (npy_shape(npy_value(header, "shape"), npy) && npy->shape[npy->dimensions - 1] <= TOP_K_MOST) return 0;
    return command_fail("%s: expected an array of tokens x top-k, of layers of these, or of ranks of layers, top-k at "
                        "most 64",
                        path);
}

/* One number; -1 where it is no expert id. */
static long npy_id(const npy_t *npy, const unsigned char *at)
{
    uint64_t value = 0;
    for (int b = 0; b < npy->bytes; b++) value |= (uint64_t)at[b] << (8 * b);
    bool negative = npy->kind == 'i' && (at[npy->bytes - 1] & 0x80) != 0;
    return negative || value >= IDS_MOST ? -1 : (long)value;
}

static int npy_copy(const char *path, const npy_t *npy, const unsigned char *body, size_t left, hm_trace_t *trace)
{
    const size_t *shape = npy->shape + npy->dimensions - 2;
    size_t ranks = npy->dimensions == 4 ? npy->shape[0] : 1;
    size_t layers = npy->dimensions > 2 ? npy->shape[npy->dimensions - 3] : 1;
    if (ranks > 65536 || layers > 4096 || shape[0] > 1 << 20)
        return command_fail("%s: expected at most 65536 ranks, 4096 layers and 1048576 tokens", path);
    size_t count = ranks * layers * shape[0] * shape[1];
    if (count * (size_t)npy->bytes != left)
        return command_fail("%s: %zu bytes behind the header: expected %zu", path, left, count * (size_t)npy->bytes);
    *trace = (hm_trace_t){(int)ranks, (int)layers, (int)shape[1], 0, shape[0], malloc(count * sizeof(uint16_t))};
    if (trace->ids == NULL) return command_fail("out of memory");
    for (size_t i = 0; i < count; i++) {
        long id = npy_id(npy, body + i * (size_t)npy->bytes);
        if (id < 0) return command_fail("%s: number %zu: expected an expert id from 0 to 65534", path, i);
        trace->ids[i] = (uint16_t)id;
    }
    return 0;
}

int trace_npy_read(const char *path, hm_trace_t *trace)
{
    npy_t npy;
    const unsigned char *body = NULL;
    size_t length;
    char *data = input_read(path, ARRAY_BYTES_MOST, &length);
    if (data == NULL) return HM_EXIT_BAD_INPUT;
    const char *header = npy_header(data, length, &body);
    int rc = header != NULL ? npy_describe(path, header, &npy)
                            : command_fail("%s: expected NumPy's format, as numpy.save writes it", path);
    if (rc == 0) rc = npy_copy(path, &npy, body, length - (size_t)(body - (const unsigned char *)data), trace);
    free(data);
    return rc;
}
