/* Launching move, on the job's stream and beside it. */
#include "cuda_beside.h"
#include "cuda_parts.h"
#include "cuda_table.h"

#include <errno.h>

/* Segment tables of a call, each filled in once however many jobs name it. */
typedef struct move_segments {
    hm_segment_t *table;
    uint64_t at;   /* of the table, in bytes from the start of all tables */
    uint32_t used; /* entries of the table */
    const hm_rows_t *last;
    uint64_t last_at;
    uint32_t last_count;
    uint64_t last_bits; /* addresses and row size or-ed together */
} move_segments_t;

/* Rows are numbered in 32 bits, so segments beyond are never asked for. */
static void segments_use(move_segments_t *segments, const hm_rows_t *rows)
{
    if (segments->last == rows) return;
    hm_segment_t *segment = segments->table + segments->used;
    uint64_t first = 0;
    uint32_t filled = 0;
    segments->last_bits = rows->row_bytes;
    for (int p = 0; p < rows->segments && first <= UINT32_MAX; p++) {
        if (rows->rows[p] == 0) continue;
        segment[filled++] = (hm_segment_t){.base = rows->base[p], .first = (uint32_t)first};
        segments->last_bits |= (uintptr_t)rows->base[p];
        first += rows->rows[p];
    }
    segments->last = rows;
    segments->last_at = segments->at + segments->used * sizeof *segment;
    segments->last_count = filled;
    segments->used += filled;
}

/* How much of a row blocks take at a time. Rows read more than once are cut, so that what one round of blocks reads
 * stays in the cache until it is read again, beside all that is written: a quarter of it. */
static uint64_t piece_bytes(const hm_context_t *context, const hm_move_job_t *job)
{
    uint64_t piece = HM_MOVE_UNIT, most = (uint64_t)context->device.cache_bytes / 4;
    if (job->index == NULL || job->rows <= job->src_rows) return piece;
    while (piece > HM_MOVE_PIECE && job->src_rows * (piece < job->width ? piece : job->width) > most) piece /= 2;
    return piece;
}

/* Where rows come from; returns the addresses and sizes that they are read by, or-ed together. */
static uint64_t source_describe(const hm_move_job_t *job, move_segments_t *segments, hm_move_t *move)
{
    if (job->segments != NULL) {
        segments_use(segments, job->segments);
        move->segments_at = segments->last_at;
        move->segments = segments->last_count;
        move->src_stride = job->segments->row_bytes;
        return segments->last_bits;
    }
    move->src = job->src;
    move->src_stride = job->src_stride;
    if (job->index == NULL && job->dst_stride == job->width && job->src_stride == job->width) {
        move->width *= move->rows; /* one long row: any cut of it will do */
        move->dst_stride = move->src_stride = move->width;
        move->rows = 1;
    }
    return (uintptr_t)job->src | (move->rows > 1 || job->index != NULL ? move->src_stride : 0);
}

/* The device's form of a job, without first_unit; returns how many blocks it takes. */
static uint64_t move_describe(const hm_context_t *context, const hm_move_job_t *job, move_segments_t *segments,
                              hm_move_t *move)
{
    *move = (hm_move_t){.dst = job->dst,
                        .dst_stride = job->dst_stride,
                        .src_offset = job->src_offset,
                        .width = job->width,
                        .index = job->index,
                        .via = job->index != NULL ? job->via : NULL,
                        .via_last = job->via_entries > 0 ? job->via_entries - 1 : UINT32_MAX,
                        .src_last = job->src_rows > 0 ? job->src_rows - 1 : UINT32_MAX,
                        .rows = job->rows};
    uint64_t bits = source_describe(job, segments, move);
    bits |= (uintptr_t)job->dst | move->src_offset | move->width | (move->rows > 1 ? move->dst_stride : 0);
    move->unit.access = (uint16_t)cuda_access(bits);
    uint64_t piece = piece_bytes(context, job);
    move->unit.bytes = (uint32_t)(move->width < piece ? move->width : piece);
    uint32_t fit = HM_MOVE_UNIT / move->unit.bytes;
    move->unit.rows = fit > HM_MOVE_ROWS ? HM_MOVE_ROWS : (uint16_t)fit;
    move->unit.across = (uint32_t)cuda_tiles(move->rows, move->unit.rows);
    return move->unit.across * cuda_tiles(move->width, move->unit.bytes);
}

static size_t segments_count(const hm_move_job_t *jobs, int count)
{
    const hm_rows_t *last = NULL;
    size_t segments = 0;
    for (int i = 0; i < count; i++) {
        if (jobs[i].segments != NULL && jobs[i].segments != last) segments += (size_t)jobs[i].segments->segments;
        if (jobs[i].segments != NULL) last = jobs[i].segments;
    }
    return segments;
}

/* On the job's stream. */
static int move_launch(hm_context_t *context, CUstream stream, hm_cuda_tables_t *tables, uint64_t units)
{
    void *arguments[] = {&tables->parameter};
    int status = cuda_begin(context, stream);
    if (status == 0)
        status = cuda_tables_launch(context, stream, tables, HM_CUDA_move, units, HM_MOVE_BLOCK, arguments);
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

/* The same beside the job's stream. */
static int move_launch_beside(hm_context_t *context, hm_cuda_tables_t *tables, uint64_t units)
{
    CUstream stream = context->beside.stream;
    void *arguments[] = {&tables->parameter};
    int status = cuda_beside_begin(context);
    if (status == 0)
        status = cuda_tables_launch(context, stream, tables, HM_CUDA_move, units, HM_MOVE_BLOCK, arguments);
    int end = cuda_beside_end(context);
    return status != 0 ? status : end;
}

static int move_enqueue(hm_context_t *context, CUstream stream, const hm_move_job_t *jobs, int count, bool beside)
{
    hm_cuda_tables_t tables;
    size_t jobs_bytes = cuda_round((size_t)count * sizeof(hm_move_t));
    int status = cuda_tables_open(context, jobs_bytes + segments_count(jobs, count) * sizeof(hm_segment_t), &tables);
    if (status != 0) return status;
    hm_move_t *table = (hm_move_t *)tables.host;
    move_segments_t segments = {.table = (hm_segment_t *)(tables.host + jobs_bytes), .at = jobs_bytes};
    uint64_t units = 0;
    uint32_t filled = 0;
    for (int i = 0; i < count; i++) {
        if (jobs[i].rows == 0 || jobs[i].width == 0) continue;
        uint64_t more = move_describe(context, &jobs[i], &segments, &table[filled]);
        if (more > INT32_MAX || units + more > INT32_MAX) return -EINVAL;
        table[filled++].first_unit = (uint32_t)units;
        units += more;
    }
    if (units == 0) return 0;
    tables.parameter.jobs = filled;
    return beside ? move_launch_beside(context, &tables, units) : move_launch(context, stream, &tables, units);
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
