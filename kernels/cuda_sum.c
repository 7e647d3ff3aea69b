/* Launching sum. */
#include "cuda_parts.h"
#include "cuda_table.h"

#include <errno.h>

/* Tables of rows that jobs name, each filled in once where jobs that follow each other share it. */
typedef struct sum_tables {
    hm_segment_t *segment;
    uint64_t at; /* of the first segment, in bytes from the start of all tables */
    uint32_t used;
} sum_tables_t;

typedef struct sum_table {
    const hm_rows_t *rows;
    uint64_t at, bits; /* bits: addresses and row size or-ed together */
    uint32_t segments;
} sum_table_t;

static void table_use(sum_tables_t *tables, const hm_rows_t *rows, sum_table_t *table)
{
    if (table->rows == rows) return;
    hm_segment_t *segment = tables->segment + tables->used;
    uint64_t first = 0;
    *table = (sum_table_t){.rows = rows, .at = tables->at + tables->used * sizeof *segment, .bits = rows->row_bytes};
    for (int p = 0; p < rows->segments && first <= UINT32_MAX; p++) {
        if (rows->rows[p] == 0) continue;
        segment[table->segments++] = (hm_segment_t){.base = rows->base[p], .first = (uint32_t)first};
        table->bits |= (uintptr_t)rows->base[p];
        first += rows->rows[p];
    }
    tables->used += table->segments;
}

static hm_sum_rows_t rows_describe(const sum_table_t *table, size_t offset)
{
    return (hm_sum_rows_t){
        .at = table->at, .segments = table->segments, .stride = table->rows->row_bytes, .offset = offset};
}

/* Cuts a job into what blocks take; returns how many. */
static uint64_t units_cut(hm_sum_t *sum)
{
    sum->unit.bytes = sum->width < HM_SUM_UNIT ? (uint16_t)sum->width : HM_SUM_UNIT;
    sum->unit.rows = (uint16_t)(HM_SUM_UNIT / sum->unit.bytes);
    sum->unit.across = (uint32_t)cuda_tiles(sum->rows, sum->unit.rows);
    return sum->unit.across * cuda_tiles(sum->width, sum->unit.bytes);
}

/* The device's form of a job, without first_unit; returns how many blocks it takes. */
static uint64_t sum_describe(const hm_sum_job_t *job, const sum_table_t *sources, const sum_table_t *into,
                             hm_sum_t *sum)
{
    bool scattered = job->into.table != NULL;
    uint64_t bits = sources->bits | job->src_offset | job->width;
    *sum = (hm_sum_t){.offset = job->offset,
                      .child = job->child,
                      .sources = rows_describe(sources, job->src_offset),
                      .dst = job->dst,
                      .dst_stride = job->dst_stride,
                      .sums = job->sums,
                      .rows = scattered && !job->into.in_place ? job->into.rows : job->sums,
                      .width = (uint32_t)job->width,
                      .type = job->type,
                      .partings = job->partings};
    if (scattered) {
        sum->to = (hm_sum_to_t){.rows = rows_describe(into, job->into.offset),
                                .id = job->into.id,
                                .first = job->into.first,
                                .filler = job->into.filler,
                                .in_place = job->into.in_place};
    }
    bits |= scattered ? into->bits | job->into.offset : (uintptr_t)job->dst | job->dst_stride;
    sum->unit.access = cuda_access(bits);
    return units_cut(sum);
}

/* Of the jobs' tables, each once where jobs that follow each other share it, as table_use writes them. */
static size_t segments_count(const hm_sum_job_t *jobs, int count)
{
    const hm_rows_t *sources = NULL, *into = NULL;
    size_t segments = 0;
    for (int i = 0; i < count; i++) {
        if (jobs[i].sources != sources) segments += (size_t)jobs[i].sources->segments;
        sources = jobs[i].sources;
        if (jobs[i].into.table == NULL) continue;
        if (jobs[i].into.table != into) segments += (size_t)jobs[i].into.table->segments;
        into = jobs[i].into.table;
    }
    return segments;
}

static int sum_enqueue(hm_context_t *context, CUstream stream, const hm_sum_job_t *jobs, int count)
{
    hm_cuda_tables_t tables;
    size_t jobs_bytes = cuda_round((size_t)count * sizeof(hm_sum_t));
    int status = cuda_tables_open(context, jobs_bytes + segments_count(jobs, count) * sizeof(hm_segment_t), &tables);
    if (status != 0) return status;
    hm_sum_t *table = (hm_sum_t *)tables.host;
    sum_tables_t rows = {.segment = (hm_segment_t *)(tables.host + jobs_bytes), .at = jobs_bytes};
    sum_table_t sources = {.rows = NULL}, into = {.rows = NULL};
    uint64_t units = 0;
    uint32_t filled = 0;
    for (int i = 0; i < count; i++) {
        if (hm_element_bytes(jobs[i].type) == 0 || jobs[i].width > INT32_MAX) return -EINVAL;
        if (jobs[i].sums == 0 || jobs[i].width == 0) continue;
        table_use(&rows, jobs[i].sources, &sources);
        if (jobs[i].into.table != NULL) table_use(&rows, jobs[i].into.table, &into);
        uint64_t more = sum_describe(&jobs[i], &sources, &into, &table[filled]);
        if (more > INT32_MAX || units + more > INT32_MAX) return -EINVAL;
        if (more == 0) continue;
        table[filled++].first_unit = (uint32_t)units;
        units += more;
    }
    if (units == 0) return 0;
    tables.parameter.jobs = filled;
    void *arguments[] = {&tables.parameter};
    status = cuda_begin(context, stream);
    if (status == 0) status = cuda_tables_launch(context, stream, &tables, HM_CUDA_sum, units, HM_SUM_BLOCK, arguments);
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

int cuda_sum(hm_context_t *context, void *stream, const hm_sum_job_t *jobs, int count)
{
    hm_cuda_entry_t entry;
    if (count <= 0) return 0;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = sum_enqueue(context, stream, jobs, count);
    cuda_leave(context, &entry);
    return status;
}
