/* Megatron-core's router traces (moe/router_trace.py): a file for each rank, router_trace_rankN.jsonl, and in it a line
 * for each step and layer with the experts of every token. Steps and micro-batches of a layer are put one behind the
 * other. Which ranks have a layer is different from stage to stage of a pipeline: they are counted for each layer. */
#include "command.h"
#include "trace_file.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSONL_BYTES_MOST ((size_t)1 << 34)
#define IDS_MOST 65535
#define TOP_K_MOST 64
#define HEAD_MOST 4096

typedef struct record {
    long layer; /* decoder layers first, then those of multi-token prediction */
    long rank, order;
    size_t tokens;
    uint16_t *ids;
} record_t;

typedef struct records {
    record_t *record;
    size_t count, room;
    int top_k;
} records_t;

static void records_free(records_t *records)
{
    for (size_t i = 0; i < records->count; i++) free(records->record[i].ids);
    free(records->record);
}

static record_t *records_next(records_t *records)
{
    if (records->count == records->room) {
        size_t room = records->room > 0 ? 2 * records->room : 64;
        record_t *grown = realloc(records->record, room * sizeof(*grown));
        if (grown == NULL) return NULL;
        records->record = grown;
        records->room = room;
    }
    return &records->record[records->count];
}

/* The number of a layer: -1 where the line has none. */
static long line_layer(const json_t *line)
{
    const json_t *layer = json_object_get(line, "layer"), *head = json_object_get(line, "mtp_idx");
    const char *block = json_string_value(json_object_get(line, "block"));
    json_int_t number = json_is_integer(layer) ? json_integer_value(layer) : -1;
    json_int_t behind =
        json_is_integer(head) ? json_integer_value(head) + 1 : block != NULL && strcmp(block, "mtp") == 0;
    if (number < 0 || number > HEAD_MOST || behind < 0 || behind > HEAD_MOST) return -1;
    return (long)(behind * (HEAD_MOST + 1) + number);
}

/* Copies the ids; false where they are not tokens x top_k expert ids. */
static bool line_ids(const json_t *tokens, int top_k, uint16_t *ids)
{
    size_t t, k;
    const json_t *token, *id;
    json_array_foreach(tokens, t, token)
    {
        if (json_array_size(token) != (size_t)top_k) return false;
        json_array_foreach(token, k, id)
        {
            json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
            if (value < 0 || value >= IDS_MOST) return false;
            *ids++ = (uint16_t)value;
        }
    }
    return true;
}

static int line_take(const char *path, long number, const json_t *line, records_t *records)
{
    const json_t *tokens = json_object_get(line, "top_indices"), *rank = json_object_get(line, "rank");
    size_t count = json_array_size(tokens);
    long layer = line_layer(line);
    if (layer < 0 || !json_is_integer(rank) || json_integer_value(rank) < 0 || !json_is_array(tokens))
        return command_fail("%s: line %ld: expected layer, rank and top_indices", path, number);
    if (count == 0) return 0;
    int top_k = (int)json_array_size(json_array_get(tokens, 0));
    if (top_k < 1 || top_k > TOP_K_MOST || (records->top_k > 0 && top_k != records->top_k))
        return command_fail("%s: line %ld: expected 1 to 64 experts for each token, as many in every line", path,
                            number);
    record_t *record = records_next(records);
    uint16_t *ids = malloc(count * (size_t)top_k * sizeof(*ids));
    if (record == NULL || ids == NULL) {
        free(ids);
        return command_fail("out of memory");
    }
    records->top_k = top_k;
    *record = (record_t){layer, (long)json_integer_value(rank), number, count, ids};
    records->count++;
    if (line_ids(tokens, top_k, ids)) return 0;
    return command_fail("%s: line %ld: expected %d expert ids from 0 to 65534 for each token", path, number, top_k);
}

static int file_take(const char *path, records_t *records)
{
    size_t length;
    char *data = input_read(path, JSONL_BYTES_MOST, &length);
    if (data == NULL) return HM_EXIT_BAD_INPUT;
    int rc = 0;
    long number = 1;
    for (const char *at = data, *all = data + length; at < all && rc == 0; number++) {
        const char *end = memchr(at, '\n', (size_t)(all - at));
        json_error_t error;
        if (end == NULL) end = all;
        json_t *line = end > at ? json_loadb(at, (size_t)(end - at), 0, &error) : NULL;
        if (end > at && !json_is_object(line))
            rc = command_fail("%s: line %ld: expected a JSON object", path, number);
        else if (end > at)
            rc = line_take(path, number, line, records);
        json_decref(line);
        at = end + 1;
    }
    free(data);
    return rc;
}

static int folder_take(const char *path, DIR *folder, records_t *records)
{
    int rc = 0, files = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(folder)) != NULL) {
        char name[4096];
        size_t length = strlen(entry->d_name);
        if (length < 6 || strcmp(entry->d_name + length - 6, ".jsonl") != 0) continue;
        if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= (int)sizeof(name))
            rc = command_fail("%s/%s: the name is too long", path, entry->d_name);
        if (rc == 0) rc = file_take(name, records);
        files++;
    }
    return rc == 0 && files == 0 ? command_fail("%s: expected files router_trace_rank*.jsonl in it", path) : rc;
}

static int records_compare(const void *left, const void *right)
{
    const record_t *a = left, *b = right;
    if (a->layer != b->layer) return a->layer < b->layer ? -1 : 1;
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* From record `first` on, those of the same layer and rank: where they end, and their tokens. */
static size_t records_run(const records_t *records, size_t first, size_t *tokens)
{
    size_t i = first;
    for (*tokens = 0; i < records->count; i++) {
        const record_t *record = &records->record[i], *same = &records->record[first];
        if (record->layer != same->layer || record->rank != same->rank) break;
        *tokens += record->tokens;
    }
    return i;
}

/* Sets ranks, layers and tokens; every layer must have as many ranks. */
static int records_shape(const char *path, const records_t *records, hm_trace_t *trace)
{
    size_t tokens, least = SIZE_MAX, most = 0;
    int ranks = 0;
    for (size_t i = 0, next; i < records->count; i = next) {
        next = records_run(records, i, &tokens);
        ranks++;
        if (tokens < least) least = tokens;
        if (tokens > most) most = tokens;
        if (next < records->count && records->record[next].layer == records->record[i].layer) continue;
        if (trace->layers++ > 0 && ranks != trace->ranks)
            return command_fail("%s: %d and %d ranks have a layer: expected as many for every layer", path,
                                trace->ranks, ranks);
        trace->ranks = ranks;
        ranks = 0;
    }
    if (least != most)
        fprintf(stderr, "hiermoe: %s: ranks have %zu to %zu tokens of a layer: the first %zu are used\n", path, least,
                most, least);
    trace->tokens = least;
    return 0;
}

static void records_copy(const records_t *records, hm_trace_t *trace)
{
    size_t top_k = (size_t)trace->top_k, tokens;
    int rank = 0, layer = 0;
    for (size_t i = 0, next; i < records->count; i = next) {
        next = records_run(records, i, &tokens);
        uint16_t *to = trace->ids + ((size_t)rank * (size_t)trace->layers + (size_t)layer) * trace->tokens * top_k;
        for (size_t left = trace->tokens, at = i; left > 0; at++) {
            size_t part = records->record[at].tokens < left ? records->record[at].tokens : left;
            memcpy(to, records->record[at].ids, part * top_k * sizeof(*to));
            to += part * top_k;
            left -= part;
        }
        bool last = next == records->count || records->record[next].layer != records->record[i].layer;
        rank = last ? 0 : rank + 1;
        layer += last;
    }
}

int trace_jsonl_read(const char *path, hm_trace_t *trace)
{
    records_t records = {.record = NULL};
    DIR *folder = opendir(path);
    int rc = folder != NULL ? folder_take(path, folder, &records) : file_take(path, &records);
    if (folder != NULL) closedir(folder);
    if (rc == 0 && records.count == 0) rc = command_fail("%s: no token: expected lines with top_indices", path);
    if (rc == 0) {
        qsort(records.record, records.count, sizeof(*records.record), records_compare);
        *trace = (hm_trace_t){.top_k = records.top_k};
        rc = records_shape(path, &records, trace);
    }
    if (rc == 0) {
        trace->ids = malloc((size_t)trace->ranks * (size_t)trace->layers * trace->tokens * (size_t)trace->top_k *
                            sizeof(*trace->ids));
        if (trace->ids == NULL) rc = command_fail("out of memory");
    }
    if (rc == 0) records_copy(&records, trace);
    records_free(&records);
    return rc;
}
