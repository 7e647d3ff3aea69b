/* Launching pick, map and move: the tables of their jobs. */
#include "cuda_context.h"
#include "cuda_jobs.h"

#include <errno.h>

/* Carries a table over, runs one kernel on it and marks the end. `zeros` bytes behind the table are zeroed. */
static int table_run(hm_context_t *context, CUstream stream, const hm_stage_t *stage, size_t bytes, size_t zeros,
                     hm_cuda_kernel_t kernel, uint64_t blocks, void **arguments)
{
    int status = cuda_begin(context, stream);
    if (status == 0) status = cuda_stage_send(context, stream, stage, bytes, zeros);
    if (status == 0) status = cuda_launch(context, stream, kernel, blocks, 1, HM_BLOCK, arguments);
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

/* The same beside the job's stream: behind fork, and behind nothing that came after it. */
static int table_run_beside(hm_context_t *context, const hm_stage_t *stage, size_t bytes, uint64_t blocks,
                            void **arguments)
{
    const hm_cuda_t *cuda = context->cuda;
    CUresult result = cuda->cuStreamWaitEvent_(context->beside, context->forked, 0);
    if (result == CUDA_SUCCESS && context->fresh)
        result = cuda->cuStreamWaitEvent_(context->beside, context->allocated, 0);
    int status = cuda_check(context, result, "ordering work beside a stream");
    if (status == 0) status = cuda_stage_send(context, context->beside, stage, bytes, 0);
    if (status == 0) status = cuda_launch(context, context->beside, HM_CUDA_move, blocks, 1, HM_BLOCK, arguments);
    int end = cuda_check(context, cuda->cuEventRecord_(context->joined, context->beside), "recording an event");
    return status != 0 ? status : end;
}

static uint64_t tiles_for(uint64_t rows, uint64_t tile)
{
    return (rows + tile - 1) / tile;
}

static int pick_enqueue(hm_context_t *context, CUstream stream, const hm_pick_job_t *jobs, int count, uint64_t tiles)
{
    hm_stage_t stage;
    size_t bytes = cuda_round((size_t)count * sizeof(hm_pick_t)), zeros = cuda_round(tiles * 8) + 16;
    int status = cuda_stage(context, bytes + zeros, &stage);
    if (status != 0) return status;
    hm_pick_t *table = (hm_pick_t *)stage.host;
    uint32_t filled = 0, tile = 0;
    for (int i = 0; i < count; i++) {
        const hm_pick_job_t *job = &jobs[i];
        if (job->rows == 0) continue;
        table[filled++] = (hm_pick_t){.mask = job->mask,
                                      .mask_bytes = job->mask_bytes,
                                      .sub_bytes = hm_mask_bytes(job->bits.count),
                                      .rows = job->rows,
                                      .first_tile = tile,
                                      .bits = job->bits,
                                      .index = job->index,
                                      .place = job->place,
                                      .sub = job->sub,
                                      .most = job->most > 0 ? job->most : UINT64_MAX};
        tile += (uint32_t)tiles_for(job->rows, HM_SCAN_TILE);
    }
    CUdeviceptr state = stage.device + bytes, ticket = state + zeros - 16;
    void *arguments[] = {&stage.device, &filled, &state, &ticket};
    return table_run(context, stream, &stage, bytes, zeros, HM_CUDA_pick, tiles, arguments);
}

int cuda_pick(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count)
{
    hm_cuda_entry_t entry;
    uint64_t tiles = 0;
    for (int i = 0; i < count; i++) tiles += tiles_for(jobs[i].rows, HM_SCAN_TILE);
    if (tiles == 0) return 0;
    if (tiles > INT32_MAX) return -EINVAL;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = pick_enqueue(context, stream, jobs, count, tiles);
    cuda_leave(context, &entry);
    return status;
}

static int map_enqueue(hm_context_t *context, CUstream stream, const hm_map_job_t *jobs, int count, uint64_t tiles)
{
    hm_stage_t stage;
    size_t bytes = cuda_round((size_t)count * sizeof(hm_map_t));
    int status = cuda_stage(context, bytes, &stage);
    if (status != 0) return status;
    hm_map_t *table = (hm_map_t *)stage.host;
    uint32_t filled = 0, tile = 0;
    for (int i = 0; i < count; i++) {
        const hm_map_job_t *job = &jobs[i];
        if (job->rows == 0) continue;
        table[filled++] = (hm_map_t){job->id, job->place, job->out, job->rows, tile};
        tile += (uint32_t)tiles_for(job->rows, HM_MAP_TILE);
    }
    void *arguments[] = {&stage.device, &filled};
    return table_run(context, stream, &stage, bytes, 0, HM_CUDA_map, tiles, arguments);
}

int cuda_map(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count)
{
    hm_cuda_entry_t entry;
    uint64_t tiles = 0;
    for (int i = 0; i < count; i++) tiles += tiles_for(jobs[i].rows, HM_MAP_TILE);
    if (tiles == 0) return 0;
    if (tiles > INT32_MAX) return -EINVAL;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = map_enqueue(context, stream, jobs, count, tiles);
    cuda_leave(context, &entry);
    return status;
}

/* Segment tables of a call, each carried over once however many jobs name it. */
typedef struct move_tables {
    hm_segment_t *host;
    CUdeviceptr device;
    uint32_t used;
    const hm_rows_t *last; /* the table below is of these rows */
    hm_table_t table;
    uint64_t bits; /* addresses and row size or-ed together */
} move_tables_t;

static void table_use(move_tables_t *tables, const hm_rows_t *rows)
{
    if (tables->last == rows) return;
    hm_segment_t *segment = tables->host + tables->used;
    uint64_t first = 0;
    uint32_t filled = 0;
    tables->bits = rows->row_bytes;
    for (int p = 0; p < rows->segments; p++) {
        if (rows->rows[p] == 0) continue;
        segment[filled++] = (hm_segment_t){.base = rows->base[p], .first = first};
        tables->bits |= (uintptr_t)rows->base[p];
        first += rows->rows[p];
    }
    tables->table = (hm_table_t){.segment = (const hm_segment_t *)(uintptr_t)tables->device + tables->used,
                                 .row_bytes = rows->row_bytes,
                                 .segments = filled};
    tables->used += filled;
    tables->last = rows;
}

/* How much of a row blocks take at a time. Rows read more than once are cut, so that what one round of blocks reads
 * stays in the cache until it is read again, beside all that is written: a quarter of it. */
static uint64_t piece_bytes(const hm_context_t *context, const hm_move_job_t *job)
{
    uint64_t piece = HM_MOVE_UNIT, most = (uint64_t)context->cache_bytes / 4;
    if (job->index == NULL || job->rows <= job->src_rows) return piece;
    while (piece > HM_MOVE_PIECE && job->src_rows * (piece < job->width ? piece : job->width) > most) piece /= 2;
    return piece;
}

/* The device's form of a job, without first_unit; returns how many blocks it takes. */
static uint64_t move_describe(const hm_context_t *context, const hm_move_job_t *job, move_tables_t *tables,
                              hm_move_t *move)
{
    *move = (hm_move_t){.dst = job->dst,
                        .src = job->src,
                        .dst_stride = job->dst_stride,
                        .src_stride = job->src_stride,
                        .src_offset = job->src_offset,
                        .width = job->width,
                        .index = job->index,
                        .via = job->index != NULL ? job->via : NULL,
                        .via_last = job->via_entries > 0 ? job->via_entries - 1 : UINT64_MAX,
                        .src_last = job->src_rows > 0 ? job->src_rows - 1 : UINT64_MAX,
                        .rows = job->rows};
    uint64_t bits;
    if (job->segments != NULL) {
        table_use(tables, job->segments);
        move->table = tables->table;
        bits = tables->bits;
    } else {
        if (job->index == NULL && job->dst_stride == job->width && job->src_stride == job->width) {
            move->width *= move->rows; /* one long row: any cut of it will do */
            move->dst_stride = move->src_stride = move->width;
            move->rows = 1;
        }
        bits = (uintptr_t)job->src | (move->rows > 1 || job->index != NULL ? move->src_stride : 0);
    }
    bits |= (uintptr_t)job->dst | move->src_offset | move->width | (move->rows > 1 ? move->dst_stride : 0);
    move->access = cuda_access(bits);
    uint64_t piece = piece_bytes(context, job);
    move->unit_bytes = move->width < piece ? move->width : piece;
    uint64_t fit = HM_MOVE_UNIT / move->unit_bytes;
    move->unit_rows = fit > HM_MOVE_ROWS ? HM_MOVE_ROWS : (uint32_t)fit;
    uint64_t row_units = tiles_for(move->rows, move->unit_rows);
    move->row_units = (uint32_t)row_units;
    return row_units * tiles_for(move->width, move->unit_bytes);
}

static size_t move_segments(const hm_move_job_t *jobs, int count)
{
    const hm_rows_t *last = NULL;
    size_t segments = 0;
    for (int i = 0; i < count; i++) {
        if (jobs[i].segments != NULL && jobs[i].segments != last) segments += (size_t)jobs[i].segments->segments;
        if (jobs[i].segments != NULL) last = jobs[i].segments;
    }
    return segments;
}

static int move_enqueue(hm_context_t *context, CUstream stream, const hm_move_job_t *jobs, int count, bool beside)
{
    hm_stage_t stage;
    size_t jobs_bytes = cuda_round((size_t)count * sizeof(hm_move_t));
    size_t bytes = jobs_bytes + cuda_round(move_segments(jobs, count) * sizeof(hm_segment_t));
    int status = cuda_stage(context, bytes, &stage);
    if (status != 0) return status;
    hm_move_t *table = (hm_move_t *)stage.host;
    move_tables_t tables = {.host = (hm_segment_t *)(stage.host + jobs_bytes), .device = stage.device + jobs_bytes};
    uint64_t units = 0;
    uint32_t filled = 0;
    for (int i = 0; i < count; i++) {
        if (jobs[i].rows == 0 || jobs[i].width == 0) continue;
        uint64_t more = move_describe(context, &jobs[i], &tables, &table[filled]);
        if (more > INT32_MAX || units + more > INT32_MAX) return -EINVAL;
        table[filled++].first_unit = (uint32_t)units;
        units += more;
    }
    if (units == 0) return 0;
    void *arguments[] = {&stage.device, &filled};
    if (beside) return table_run_beside(context, &stage, bytes, units, arguments);
    return table_run(context, stream, &stage, bytes, 0, HM_CUDA_move, units, arguments);
}

static int move_run(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count, bool beside)
{
    hm_cuda_entry_t entry;
    if (count <= 0) return 0;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = move_enqueue(context, stream, jobs, count, beside);
    cuda_leave(context, &entry);
    return status;
}

int cuda_move(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count)
{
    return move_run(context, stream, jobs, count, false);
}

int cuda_move_beside(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count)
{
    return move_run(context, stream, jobs, count, true);
}

int cuda_fork(hm_context_t *context, void *stream)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_check(context, context->cuda->cuEventRecord_(context->forked, stream), "recording an event");
    cuda_leave(context, &entry);
    return status;
}

/* An event that was never recorded holds nothing up. */
int cuda_merge(hm_context_t *context, void *stream)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = cuda_begin(context, stream);
    if (status == 0)
        status =
            cuda_check(context, context->cuda->cuStreamWaitEvent_(stream, context->joined, 0), "ordering a stream");
    if (status == 0) status = cuda_end(context, stream);
    cuda_leave(context, &entry);
    return status;
}
