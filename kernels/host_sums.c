/* Adding rows along a tree, on the host: a block of columns at a time, in fp32. */
#include "host_sums.h"

#include "element.h"
#include "host_context.h"
#include "host_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 256
#define NODES ((1u << (32 - HM_CHILD_BITS)) + 1) /* open at a time: one a level */

/* A node of the tree that is being added up. */
typedef struct node {
    float at[COLUMNS];
    uint32_t children;
} node_t;

/* Columns of rows: `from` bytes behind the start of what is added, `count` elements. */
typedef struct columns {
    size_t from, count;
    hm_element_t type;
} columns_t;

static void columns_read(const columns_t *columns, const char *row, float *to)
{
    uint16_t half[COLUMNS];
    size_t count = columns->count;
    if (columns->type == HM_ELEMENT_FP32) {
        memcpy(to, row, count * sizeof *to);
        return;
    }
    memcpy(half, row, count * sizeof *half);
    if (columns->type == HM_ELEMENT_BF16) {
        for (size_t i = 0; i < count; i++) to[i] = bf16_read(half[i]);
    } else {
        for (size_t i = 0; i < count; i++) to[i] = fp16_read(half[i]);
    }
}

static void columns_write(const columns_t *columns, const float *from, char *row)
{
    uint16_t half[COLUMNS];
    size_t count = columns->count;
    if (columns->type == HM_ELEMENT_FP32) {
        memcpy(row, from, count * sizeof *from);
        return;
    }
    if (columns->type == HM_ELEMENT_BF16) {
        for (size_t i = 0; i < count; i++) half[i] = bf16_round(from[i]);
    } else {
        for (size_t i = 0; i < count; i++) half[i] = fp16_round(from[i]);
    }
    memcpy(row, half, count * sizeof *half);
}

static void node_add(node_t *node, const float *child, size_t count)
{
    if (node->children++ == 0) {
        memcpy(node->at, child, count * sizeof *child);
    } else {
        for (size_t i = 0; i < count; i++) node->at[i] += child[i];
    }
}

/* Rounds a node, which is then a child of the one above. */
static void node_close(const columns_t *columns, node_t *node)
{
    if (node->children > 1) {
        for (size_t i = 0; i < columns->count; i++) node->at[i] = fp32_nan_plain(node->at[i]);
        if (columns->type == HM_ELEMENT_BF16) {
            for (size_t i = 0; i < columns->count; i++) node->at[i] = bf16_read(bf16_round(node->at[i]));
        } else if (columns->type == HM_ELEMENT_FP16) {
            for (size_t i = 0; i < columns->count; i++) node->at[i] = fp16_read(fp16_round(node->at[i]));
        }
    }
    node->children = 0;
}

/* The sum of children [begin, end), not empty, in these columns; returns the node that holds it. */
static const node_t *children_add(const hm_sum_job_t *job, const columns_t *columns, uint32_t begin, uint32_t end,
                                  node_t *node)
{
    float child[COLUMNS];
    uint32_t top = 0;
    for (uint32_t k = 0; k < NODES; k++) node[k].children = 0;
    for (uint32_t e = begin; e < end; e++) {
        uint32_t closes = e + 1 < end ? job->child[e] >> HM_CHILD_BITS : 0;
        const char *row = host_rows_table_row(job->sources, job->child[e] & (HM_CHILD_ROWS - 1));
        columns_read(columns, row + job->src_offset + columns->from, child);
        node_add(&node[0], child, columns->count);
        for (uint32_t k = 0; k < closes; k++) {
            node_close(columns, &node[k]);
            node_add(&node[k + 1], node[k].at, columns->count);
        }
        if (closes > top) top = closes;
    }
    for (uint32_t k = 0; k < top; k++) {
        if (node[k].children == 0) continue;
        node_close(columns, &node[k]);
        node_add(&node[k + 1], node[k].at, columns->count);
    }
    node_close(columns, &node[top]);
    return &node[top];
}

/* Row `number` of the receive buffer, at the columns that are added. */
static char *into_row(const hm_sum_job_t *job, uint32_t number)
{
    return (char *)host_rows_table_row(job->into.table, number) + job->into.offset;
}

/* In place: once the sum of these columns is known, nobody reads the children any more. */
static void children_clear(const hm_sum_job_t *job, const columns_t *columns, uint32_t begin, uint32_t end)
{
    size_t bytes = columns->count * hm_element_bytes(columns->type);
    for (uint32_t e = begin; e < end; e++) {
        const char *row = host_rows_table_row(job->sources, job->child[e] & (HM_CHILD_ROWS - 1));
        memset((char *)row + job->src_offset + columns->from, 0, bytes);
    }
}

/* Sum number i to `to`. */
static void sum_write(const hm_sum_job_t *job, uint32_t i, char *to, node_t *node)
{
    uint32_t begin = job->offset[i], end = job->offset[i + 1];
    size_t element = hm_element_bytes(job->type);
    if (begin == end) memset(to, 0, job->width);
    if (begin + 1 == end && !job->into.in_place) {
        const char *row = host_rows_table_row(job->sources, job->child[begin] & (HM_CHILD_ROWS - 1));
        memcpy(to, row + job->src_offset, job->width);
        return;
    }
    for (size_t from = 0; from < job->width && begin < end; from += COLUMNS * element) {
        size_t left = (job->width - from) / element;
        columns_t columns = {from, left < COLUMNS ? left : COLUMNS, job->type};
        const node_t *sum = children_add(job, &columns, begin, end, node);
        if (job->into.in_place) children_clear(job, &columns, begin, end);
        if (!job->into.in_place || job->into.filler == NULL || *job->into.filler != i)
            columns_write(&columns, sum->at, to + from);
    }
}

/* Row j of the receive buffer. */
static void into_write(const hm_sum_job_t *job, uint32_t j, node_t *node)
{
    uint32_t id = job->into.id[j];
    bool read = job->into.filler == NULL || id != *job->into.filler;
    if (read && id < job->sums && job->into.first[id] == j) {
        sum_write(job, id, into_row(job, j), node);
    } else {
        memset(into_row(job, j), 0, job->width);
    }
}

void host_sums_add(const hm_sum_job_t *job)
{
    node_t node[NODES];
    if (job->into.table != NULL && !job->into.in_place) {
        for (uint32_t j = 0; j < job->into.rows; j++) into_write(job, j, node);
        return;
    }
    for (uint32_t i = 0; i < job->sums; i++) {
        char *to = job->into.in_place ? into_row(job, job->into.first[i]) : (char *)job->dst + i * job->dst_stride;
        sum_write(job, i, to, node);
    }
}

typedef struct sum_list {
    hm_sum_job_t *job;
    int count;
} sum_list_t;

static int sum_run(const void *memory)
{
    sum_list_t *list = *(sum_list_t *const *)memory;
    for (int i = 0; i < list->count; i++) host_sums_add(&list->job[i]);
    free(list);
    return 0;
}

static size_t table_round(size_t bytes)
{
    return (bytes + 15) / 16 * 16;
}

/* A copy of a table at *at, which moves behind it; NULL stays NULL. */
static const hm_rows_t *table_take(const hm_rows_t *rows, char **at)
{
    if (rows == NULL) return NULL;
    const hm_rows_t *copy = host_rows_table_copy(rows, *at);
    *at += table_round(host_rows_table_bytes(rows));
    return copy;
}

int host_sum(hm_context_t *context, void *stream, const hm_sum_job_t *jobs, int count)
{
    size_t bytes = table_round(sizeof(sum_list_t)) + table_round((size_t)count * sizeof *jobs);
    for (int i = 0; i < count; i++) {
        if (hm_element_bytes(jobs[i].type) == 0) return -EINVAL;
        bytes += table_round(host_rows_table_bytes(jobs[i].sources));
        if (jobs[i].into.table != NULL) bytes += table_round(host_rows_table_bytes(jobs[i].into.table));
    }
    sum_list_t *list = malloc(bytes);
    if (list == NULL) return -ENOMEM;
    *list = (sum_list_t){(hm_sum_job_t *)((char *)list + table_round(sizeof *list)), count};
    char *at = (char *)list->job + table_round((size_t)count * sizeof *jobs);
    for (int i = 0; i < count; i++) {
        list->job[i] = jobs[i];
        list->job[i].sources = table_take(jobs[i].sources, &at);
        list->job[i].into.table = table_take(jobs[i].into.table, &at);
    }
    int status = host_submit(context, stream, sum_run, &list, sizeof(void *));
    if (status != 0) free(list);
    return status;
}
