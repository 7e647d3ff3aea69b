/* Launching period: its sample, its tables and its two kernels. */
#include "cuda_parts.h"
#include "cuda_stage.h"

#include "cuda_jobs.h"

#include <errno.h>
#include <string.h>

/* Rows of a size in all parts. */
static uint64_t rows_all(const hm_period_part_t *part, size_t parts, uint32_t bytes)
{
    uint64_t rows = 0, first;
    for (size_t p = 0; p < parts; p++) rows += period_rows(&part[p], bytes, &first);
    return rows;
}

static uint64_t slots_for(uint64_t rows)
{
    uint64_t slots = 64;
    while (slots < rows + rows / 2) slots *= 2;
    return slots;
}

/* The most slots that a sample's rows of a size can take. */
static uint64_t slots_most(const hm_period_job_t *job, uint32_t bytes)
{
    const uint64_t most = HM_PERIOD_SAMPLE + HM_PERIOD_STRETCH; /* stretches are a little longer for their alignment */
    uint64_t total = 0;
    for (int p = 0; p < job->segments; p++) total += job->bytes[p];
    return slots_for((total < most ? total : most) / bytes);
}

static size_t counts_bytes(const hm_period_job_t *job)
{
    return cuda_round((size_t)job->sizes * sizeof(hm_period_count_t));
}

size_t cuda_period_bytes(const hm_period_job_t *job)
{
    uint64_t slots = 0;
    for (int i = 0; i < job->sizes; i++) slots += slots_most(job, job->size[i]);
    return 16 + counts_bytes(job) + slots * sizeof(uint64_t);
}

/* Where the tables of a call lie in its staging memory. */
typedef struct period_tables {
    hm_stage_t stage;
    size_t size_at, table_at, bytes, parts;
} period_tables_t;

static int tables_open(hm_context_t *context, const hm_period_job_t *job, period_tables_t *tables)
{
    uint32_t scale;
    tables->parts = period_parts(job, true, NULL, &scale);
    tables->size_at = cuda_round(tables->parts * sizeof(hm_period_part_t));
    tables->table_at = tables->size_at + cuda_round((size_t)job->sizes * sizeof(uint32_t));
    tables->bytes = tables->table_at + cuda_round(((size_t)job->sizes + 1) * sizeof(uint64_t));
    return cuda_stage(context, tables->bytes, &tables->stage);
}

/* Fills the tables and the kernels' arguments; returns the bytes of work memory to clear. */
static size_t tables_fill(const hm_period_job_t *job, const period_tables_t *tables, unsigned char *work,
                          hm_period_work_t *device)
{
    unsigned char *host = tables->stage.host, *there = (unsigned char *)(uintptr_t)tables->stage.device;
    hm_period_part_t *part = (hm_period_part_t *)host;
    uint64_t *table = (uint64_t *)(host + tables->table_at), bits = 0;
    *device = (hm_period_work_t){.part = (const hm_period_part_t *)there,
                                 .size = (const uint32_t *)(there + tables->size_at),
                                 .table = (const uint64_t *)(there + tables->table_at),
                                 .count = (hm_period_count_t *)work,
                                 .entry = (unsigned long long *)(work + counts_bytes(job)),
                                 .sizes = (uint32_t)job->sizes};
    period_parts(job, true, part, &device->scale);
    memcpy(host + tables->size_at, job->size, (size_t)job->sizes * sizeof *job->size);
    table[0] = 0;
    for (int i = 0; i < job->sizes; i++)
        table[i + 1] = table[i] + slots_for(rows_all(part, tables->parts, job->size[i]));
    for (size_t p = 0; p < tables->parts; p++) bits |= (uintptr_t)part[p].base;
    device->access = cuda_access(bits);
    return counts_bytes(job) + table[job->sizes] * sizeof *table;
}

static int period_enqueue(hm_context_t *context, CUstream stream, const hm_period_job_t *job, unsigned char *work,
                          uint32_t *found)
{
    period_tables_t tables;
    hm_period_work_t device;
    void *arguments[] = {&device};
    int status = tables_open(context, job, &tables);
    if (status != 0) return status;
    size_t clear = tables_fill(job, &tables, work, &device);
    uint64_t blocks = (uint64_t)tables.parts * device.sizes;
    device.found = found;
    status = cuda_begin(context, stream);
    CUdeviceptr from = (CUdeviceptr)(uintptr_t)work;
    if (status == 0) status = cuda_check(context, context->cuda->cuMemsetD8Async_(from, 0, clear, stream), "zeroing");
    if (status == 0) status = cuda_stage_send(context, stream, &tables.stage, tables.bytes);
    if (status == 0) status = cuda_launch(context, stream, HM_CUDA_period, blocks, HM_BLOCK, true, arguments);
    if (status == 0) status = cuda_launch(context, stream, HM_CUDA_settle, 1, 32, true, arguments);
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

/* Nothing to look at, or no size in question. */
static int period_nothing(hm_context_t *context, CUstream stream, uint32_t *found)
{
    CUdeviceptr words = (CUdeviceptr)(uintptr_t)found;
    int status = cuda_begin(context, stream);
    if (status == 0)
        status = cuda_check(context, context->cuda->cuMemsetD8Async_(words, 0, 2 * sizeof *found, stream), "zeroing");
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

int cuda_period(hm_context_t *context, void *stream, const hm_period_job_t *job, void *work, uint32_t *found)
{
    hm_cuda_entry_t entry;
    uint32_t scale;
    if (job->sizes < 0 || job->sizes > HM_PERIOD_SIZES) return -EINVAL;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    unsigned char *aligned = (unsigned char *)cuda_round((uintptr_t)work);
    if (job->sizes == 0 || period_parts(job, true, NULL, &scale) == 0)
        status = period_nothing(context, stream, found);
    else
        status = period_enqueue(context, stream, job, aligned, found);
    cuda_leave(context, &entry);
    return status;
}
