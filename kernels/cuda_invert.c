/* Launching invert: its work memory and its kernels one after another. */
#include "cuda_parts.h"
#include "cuda_table.h"

#include <errno.h>

/* Cuts the work memory, which starts on 16 bytes and as zeros, into arrays that do so too; returns its size. */
static size_t work_lay(hm_invert_t *invert, size_t sums, unsigned char *memory)
{
    size_t at = 0;
    invert->next = (uint32_t *)(memory + at), at += cuda_round(sums * 4);
    invert->state = (unsigned long long *)(memory + at), at += cuda_round((cuda_tiles(sums, HM_SCAN_TILE) + 1) * 8);
    invert->ticket = (uint32_t *)(memory + at), at += 16;
    return at;
}

size_t cuda_invert_bytes(size_t sums)
{
    static unsigned char nothing[1];
    hm_invert_t invert;
    return work_lay(&invert, sums, nothing) + 16;
}

/* Pieces with children; what one without them parts, the next one does. Returns how many, or -EINVAL. */
static int pieces_fill(const hm_invert_job_t *job, hm_piece_t *piece, uint64_t *children)
{
    int filled = 0;
    uint32_t parting = 0;
    *children = 0;
    for (int p = 0; p < job->pieces; p++) {
        const hm_children_t *from = &job->piece[p];
        if (from->parting > parting) parting = from->parting;
        if (from->rows == 0) continue;
        piece[filled++] = (hm_piece_t){.sum = from->sum,
                                       .first = (uint32_t)*children,
                                       .first_sum = from->first_sum,
                                       .sums = from->sums,
                                       .first_row = from->first_row,
                                       .parting = parting};
        *children += from->rows;
        if ((uint64_t)from->first_row + from->rows > HM_CHILD_ROWS) return -EINVAL;
        if (*children > INT32_MAX || parting >= 1u << (32 - HM_CHILD_BITS)) return -EINVAL;
        parting = 0;
    }
    return filled;
}

static int invert_launch(hm_context_t *context, CUstream stream, hm_cuda_tables_t *tables, hm_invert_t *invert)
{
    void *both[] = {&tables->parameter, invert}, *alone[] = {invert};
    uint64_t tiles = cuda_tiles(invert->children, HM_INVERT_TILE), scan = cuda_tiles(invert->sums, HM_SCAN_TILE);
    int status = 0;
    if (tiles > 0) status = cuda_tables_launch(context, stream, tables, HM_CUDA_invert_count, tiles, HM_BLOCK, both);
    if (status == 0)
        status = cuda_launch(context, stream, HM_CUDA_invert_offset, scan > 0 ? scan : 1, HM_BLOCK, false, alone);
    if (status != 0 || tiles == 0) return status;
    status = cuda_launch(context, stream, HM_CUDA_invert_fill, tiles, HM_BLOCK, false, both);
    if (status != 0) return status;
    return cuda_launch(context, stream, HM_CUDA_invert_sort, cuda_tiles(invert->sums, HM_BLOCK), HM_BLOCK, false, both);
}

static int invert_enqueue(hm_context_t *context, CUstream stream, const hm_invert_job_t *job)
{
    hm_cuda_tables_t tables;
    uint64_t children;
    unsigned char *work = (unsigned char *)cuda_round((uintptr_t)job->work);
    hm_invert_t invert = {.offset = job->offset, .child = job->child, .sums = job->sums};
    size_t bytes = work_lay(&invert, job->sums, work);
    int status = cuda_tables_open(context, (size_t)job->pieces * sizeof(hm_piece_t), &tables);
    if (status != 0) return status;
    int pieces = pieces_fill(job, (hm_piece_t *)tables.host, &children);
    if (pieces < 0) return pieces;
    tables.parameter.jobs = (uint32_t)pieces;
    invert.children = (uint32_t)children;
    status = cuda_begin(context, stream);
    if (status == 0)
        status = cuda_check(context, context->cuda->cuMemsetD8Async_((CUdeviceptr)(uintptr_t)work, 0, bytes, stream),
                            "zeroing");
    if (status == 0) status = invert_launch(context, stream, &tables, &invert);
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

int cuda_invert(hm_context_t *context, void *stream, const hm_invert_job_t *job)
{
    hm_cuda_entry_t entry;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    status = invert_enqueue(context, stream, job);
    cuda_leave(context, &entry);
    return status;
}
