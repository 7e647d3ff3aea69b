/* Launching identify: its work memory and its kernels one after another. */
#include "cuda_parts.h"
#include "cuda_table.h"

#include <errno.h>
#include <string.h>

static uint64_t slots_for(uint64_t n)
{
    uint64_t slots = 64;
    while (slots < n + n / 2) slots *= 2;
    return slots;
}

/* Cuts the work memory, which starts on 16 bytes, into arrays that do so too; returns its size. */
static size_t work_lay(hm_identify_work_t *work, uint64_t n, unsigned char *memory)
{
    uint64_t tiles = cuda_tiles(n, HM_NUMBER_TILE);
    size_t at = 0, rows = cuda_round(n * 4), states = cuda_round(tiles * 8), flags = cuda_round(tiles * 4);
    work->slots = slots_for(n);
    work->stray_slots = work->slots < HM_STRAY ? work->slots : HM_STRAY;
    work->entry = (unsigned long long *)(memory + at), at += work->slots * 8;
    work->leader = (uint32_t *)(memory + at), at += rows;
    work->rank = (uint32_t *)(memory + at), at += rows;
    work->order = (uint32_t *)(memory + at), at += rows;
    work->number = (uint32_t *)(memory + at), at += rows;
    size_t zero_from = at;
    work->start = (uint32_t *)(memory + at), at += rows;
    for (int pass = 0; pass < 2; pass++) {
        work->state[pass] = (unsigned long long *)(memory + at), at += states;
        work->done[pass] = (uint32_t *)(memory + at), at += flags;
    }
    work->ticket = (uint32_t *)(memory + at), at += 16;
    work->zero_bytes = at - zero_from;
    return at;
}

size_t cuda_identify_bytes(size_t n)
{
    static unsigned char nothing[1];
    hm_identify_work_t work;
    return n > INT32_MAX ? 0 : work_lay(&work, n, nothing) + 16;
}

/* Long rows are compared in smaller batches, and few rows too, so that all multiprocessors have work. */
static uint32_t compare_rows(uint64_t n, uint64_t row_bytes, int processors)
{
    uint64_t by_bytes = HM_COMPARE_BYTES / row_bytes, by_load = n / ((uint64_t)processors * 24);
    uint64_t rows = by_bytes < by_load ? by_bytes : by_load;
    return rows < 4 ? 4 : rows > 32 ? 32 : (uint32_t)rows;
}

/* Puts an earlier call's results out of the way, and the tables where the other kernels read them. */
static int clear_launch(hm_context_t *context, CUstream stream, hm_identify_t *job, const hm_stage_t *stage,
                        size_t bytes)
{
    hm_tables_t tables = {.staged = bytes > HM_TABLES_HELD ? stage->host : NULL, .jobs = (uint32_t)(bytes / 8)};
    if (bytes <= HM_TABLES_HELD) memcpy(tables.held, stage->host, bytes);
    uint64_t blocks = (job->work.slots * 8 + job->work.zero_bytes) / 16 / HM_BLOCK + 1,
             wide = (uint64_t)context->device.processors * 8;
    CUdeviceptr carried = stage->device;
    void *arguments[] = {job, &tables, &carried};
    return cuda_launch(context, stream, HM_CUDA_clear, blocks < wide ? blocks : wide, HM_BLOCK, false, arguments);
}

static int identify_launch(hm_context_t *context, CUstream stream, hm_identify_t *job)
{
    uint64_t n = job->n, wide = (uint64_t)context->device.processors * 2, blocks = cuda_tiles(n, HM_BLOCK);
    uint64_t compare = cuda_tiles(cuda_tiles(n, job->compare_rows), HM_COMPARE_BLOCK / 32);
    uint64_t tiles = cuda_tiles(n, HM_NUMBER_TILE), count = blocks < wide ? blocks : wide;
    void *arguments[] = {job};
    int status = cuda_launch(context, stream, HM_CUDA_print, blocks, HM_BLOCK, true, arguments);
    if (status == 0) status = cuda_launch(context, stream, HM_CUDA_gather, blocks, HM_BLOCK, true, arguments);
    if (status == 0) status = cuda_launch(context, stream, HM_CUDA_number, tiles, HM_BLOCK, true, arguments);
    if (status == 0) status = cuda_launch(context, stream, HM_CUDA_compare, compare, HM_COMPARE_BLOCK, true, arguments);
    if (status == 0) status = cuda_launch(context, stream, HM_CUDA_label, tiles, HM_BLOCK, true, arguments);
    if (status == 0 && job->groups > 0)
        status = cuda_launch(context, stream, HM_CUDA_count, count, HM_BLOCK, true, arguments);
    return status;
}

uint64_t cuda_segments_fill(hm_table_t *table, hm_segment_t *segment, const hm_rows_t *rows, const uint32_t *bit,
                            size_t mask_bytes)
{
    uint64_t n = 0, bits = rows->row_bytes;
    table->segments = 0;
    for (int p = 0; p < rows->segments; p++) {
        if (rows->rows[p] == 0) continue;
        if (rows->base[p] == NULL || bit[p] / 8 >= mask_bytes || rows->rows[p] > INT32_MAX - n) return UINT64_MAX;
        segment[table->segments++] = (hm_segment_t){.base = rows->base[p], .first = (uint32_t)n, .bit = bit[p]};
        bits |= (uintptr_t)rows->base[p];
        n += rows->rows[p];
    }
    table->row_bytes = rows->row_bytes;
    table->access = cuda_access(bits);
    return n;
}

static int identify_enqueue(hm_context_t *context, CUstream stream, const hm_rows_t *rows, const uint32_t *bit,
                            const hm_bits_t *groups, int group_count, hm_identify_t *job, unsigned char *work)
{
    hm_stage_t stage;
    size_t table_bytes = cuda_round((size_t)rows->segments * sizeof(hm_segment_t));
    size_t group_bytes = cuda_round((size_t)group_count * sizeof *groups);
    int status = cuda_stage(context, table_bytes + group_bytes, &stage);
    if (status != 0) return status;
    uint64_t n = cuda_segments_fill(&job->table, (hm_segment_t *)stage.host, rows, bit, job->out.mask_bytes);
    if (n == UINT64_MAX) return -EINVAL;
    if (group_count > 0) memcpy(stage.host + table_bytes, groups, (size_t)group_count * sizeof *groups);
    job->table.segment = (const hm_segment_t *)(uintptr_t)stage.device;
    job->group = (const hm_bits_t *)(uintptr_t)(stage.device + table_bytes);
    job->groups = (uint32_t)group_count;
    job->n = (uint32_t)n;
    job->compare_rows = compare_rows(n, rows->row_bytes, context->device.processors);
    work_lay(&job->work, n, work);
    status = cuda_begin(context, stream);
    if (status == 0 && n == 0) {
        CUdeviceptr counts = (CUdeviceptr)(uintptr_t)job->out.counts;
        status = cuda_check(context, context->cuda->cuMemsetD8Async_(counts, 0, (job->groups + 1) * (size_t)4, stream),
                            "zeroing counts");
    } else {
        if (status == 0) status = clear_launch(context, stream, job, &stage, table_bytes + group_bytes);
        if (status == 0) status = identify_launch(context, stream, job);
    }
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

int cuda_identify(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                  const hm_bits_t *groups, int group_count, int fingerprint_bits, void *work,
                  const hm_identity_t *identity)
{
    hm_cuda_entry_t entry;
    hm_identify_t job = {.out = *identity};
    if (fingerprint_bits < 1 || fingerprint_bits > 64 || rows->row_bytes == 0 || group_count < 0) return -EINVAL;
    if ((((uintptr_t)identity->mask | identity->mask_bytes) & 3) != 0) return -EINVAL;
    job.fingerprint_mask = UINT64_MAX >> (64 - fingerprint_bits);
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    unsigned char *aligned = (unsigned char *)cuda_round((uintptr_t)work);
    status = identify_enqueue(context, stream, rows, bit, groups, group_count, &job, aligned);
    cuda_leave(context, &entry);
    return status;
}
