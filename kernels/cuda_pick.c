/* Launching pick and map. */
#include "cuda_memory.h"
#include "cuda_parts.h"
#include "cuda_table.h"

#include <errno.h>

enum { SCAN_FIRST = 64 * 1024, SCAN_TICKET = 16 };

/* Makes room for the tiles' states, which stays with the context. Call before cuda_begin. */
static int scan_reserve(hm_context_t *context, uint64_t tiles)
{
    uint64_t wanted = SCAN_FIRST;
    CUdeviceptr memory;
    if (tiles <= context->scan.tiles) return 0;
    while (wanted < tiles) wanted *= 2;
    int status = cuda_alloc(context, SCAN_TICKET + wanted * 8, &memory);
    if (status != 0) return status;
    cuda_scan_close(context);
    context->scan.memory = memory;
    context->scan.tiles = wanted;
    context->scan.tag = 0;
    return 0;
}

int cuda_scan_open(hm_context_t *context)
{
    return scan_reserve(context, SCAN_FIRST);
}

void cuda_scan_close(hm_context_t *context)
{
    if (context->scan.tiles > 0) cuda_free(context, context->scan.memory);
    context->scan.tiles = 0;
}

/* A tag that no state in memory bears. All states are cleared once at first, and whenever tags begin anew. */
static int scan_take(hm_context_t *context, CUstream stream, hm_pick_scan_t *scan)
{
    const hm_cuda_t *cuda = context->cuda;
    if (context->scan.tag == 0 || context->scan.tag == (1u << HM_PICK_TAG_BITS) - 1) {
        CUresult result =
            cuda->cuMemsetD8Async_(context->scan.memory, 0, SCAN_TICKET + context->scan.tiles * 8, stream);
        int status = cuda_check(context, result, "zeroing");
        if (status != 0) return status;
        context->scan.tag = context->scan.ticket = 0;
    }
    *scan = (hm_pick_scan_t){.state = (unsigned long long *)(uintptr_t)(context->scan.memory + SCAN_TICKET),
                             .ticket = (uint32_t *)(uintptr_t)context->scan.memory,
                             .ticket_before = context->scan.ticket,
                             .tag = ++context->scan.tag};
    return 0;
}

static void pick_describe(const hm_pick_job_t *job, uint32_t first_tile, hm_pick_t *pick)
{
    *pick = (hm_pick_t){.mask = job->mask,
                        .index = job->index,
                        .place = job->place,
                        .sub = job->sub,
                        .mask_bytes = (uint32_t)job->mask_bytes,
                        .rows = job->rows,
                        .first_tile = first_tile,
                        .most = job->most > 0 ? job->most : UINT32_MAX,
                        .bits = job->bits};
}

static int pick_enqueue(hm_context_t *context, CUstream stream, const hm_pick_job_t *jobs, int count, uint64_t tiles)
{
    hm_cuda_tables_t tables;
    hm_pick_scan_t scan;
    uint32_t filled = 0, tile = 0;
    int status = cuda_tables_open(context, (size_t)count * sizeof(hm_pick_t), &tables);
    if (status == 0) status = scan_reserve(context, tiles);
    if (status != 0) return status;
    for (int i = 0; i < count; i++) {
        if (jobs[i].rows == 0) continue;
        if (jobs[i].mask_bytes > UINT32_MAX) return -EINVAL;
        pick_describe(&jobs[i], tile, (hm_pick_t *)tables.host + filled++);
        tile += (uint32_t)cuda_tiles(jobs[i].rows, HM_SCAN_TILE);
    }
    tables.parameter.jobs = filled;
    void *arguments[] = {&tables.parameter, &scan};
    status = cuda_begin(context, stream);
    if (status == 0) status = scan_take(context, stream, &scan);
    if (status == 0) status = cuda_tables_launch(context, stream, &tables, HM_CUDA_pick, tiles, HM_BLOCK, arguments);
    if (status == 0) {
        context->scan.ticket += (uint32_t)tiles;
    } else {
        context->scan.tag = 0; /* begin anew: some tickets may have been taken */
    }
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

int cuda_pick(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count)
{
    hm_cuda_entry_t entry;
    uint64_t tiles = 0;
    for (int i = 0; i < count; i++) tiles += cuda_tiles(jobs[i].rows, HM_SCAN_TILE);
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
    hm_cuda_tables_t tables;
    uint32_t filled = 0, tile = 0;
    int status = cuda_tables_open(context, (size_t)count * sizeof(hm_map_t), &tables);
    if (status != 0) return status;
    for (int i = 0; i < count; i++) {
        const hm_map_job_t *job = &jobs[i];
        if (job->rows == 0) continue;
        ((hm_map_t *)tables.host)[filled++] = (hm_map_t){job->id, job->place, job->out, job->rows, tile};
        tile += (uint32_t)cuda_tiles(job->rows, HM_MAP_TILE);
    }
    tables.parameter.jobs = filled;
    void *arguments[] = {&tables.parameter};
    status = cuda_begin(context, stream);
    if (status == 0) status = cuda_tables_launch(context, stream, &tables, HM_CUDA_map, tiles, HM_BLOCK, arguments);
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

int cuda_map(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count)
{
    hm_cuda_entry_t entry;
    uint64_t tiles = 0;
    for (int i = 0; i < count; i++) tiles += cuda_tiles(jobs[i].rows, HM_MAP_TILE);
    if (tiles == 0) return 0;
    if (tiles > INT32_MAX) return -EINVAL;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = map_enqueue(context, stream, jobs, count, tiles);
    cuda_leave(context, &entry);
    return status;
}
