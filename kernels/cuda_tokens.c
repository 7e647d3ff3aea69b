/* Launching identity from announced tokens: its work memory and its kernels one after another. */
#include "cuda_parts.h"
#include "cuda_table.h"

#include <errno.h>
#include <string.h>

#define MOST_TOKENS ((uint64_t)INT32_MAX)

/* Cuts the work memory, which starts on 16 bytes, into arrays that do so too; returns its size. */
static size_t work_lay(hm_mark_t *mark, uint64_t n, uint64_t tokens, unsigned char *memory)
{
    hm_identify_work_t *work = &mark->rows.work;
    size_t at = 0;
    work->leader = (uint32_t *)(memory + at), at += cuda_round(n * 4);
    work->number = (uint32_t *)(memory + at), at += cuda_round(n * 4);
    work->state[0] = (unsigned long long *)(memory + at), at += cuda_round(cuda_tiles(n, HM_NUMBER_TILE) * 8);
    work->ticket = (uint32_t *)(memory + at), at += 16;
    mark->lead = (uint32_t *)(memory + at), at += cuda_round((tokens + 1) * 4);
    return at;
}

size_t cuda_tokens_bytes(size_t n, uint64_t tokens)
{
    static unsigned char nothing[1];
    hm_mark_t mark;
    return n > INT32_MAX || tokens >= MOST_TOKENS ? 0 : work_lay(&mark, n, tokens, nothing) + 16;
}

static int mark_launch(hm_context_t *context, CUstream stream, hm_mark_t *mark)
{
    uint64_t n = mark->rows.n, blocks = cuda_tiles(n, HM_BLOCK), wide = (uint64_t)context->device.processors * 8;
    uint64_t clear = cuda_tiles(mark->tokens.tokens + 1, HM_BLOCK), count = blocks < wide / 4 ? blocks : wide / 4;
    uint64_t each = mark->tokens.check_each, check = 1; /* one block at least: it says which row stands for fillers */
    if (each > 0 && n > 0) check = cuda_tiles(cuda_tiles(n, each), HM_BLOCK / 32);
    void *arguments[] = {mark}, *rows[] = {&mark->rows};
    int status =
        cuda_launch(context, stream, HM_CUDA_mark_clear, clear < wide ? clear : wide, HM_BLOCK, true, arguments);
    if (status == 0 && n > 0)
        status = cuda_launch(context, stream, HM_CUDA_mark_first, blocks, HM_BLOCK, true, arguments);
    if (status == 0 && n > 0)
        status =
            cuda_launch(context, stream, HM_CUDA_mark_number, cuda_tiles(n, HM_NUMBER_TILE), HM_BLOCK, true, arguments);
    if (status == 0)
        status =
            cuda_launch(context, stream, HM_CUDA_mark_check, check < wide ? check : wide, HM_BLOCK, true, arguments);
    if (status == 0 && n > 0)
        status = cuda_launch(context, stream, HM_CUDA_label, cuda_tiles(n, HM_NUMBER_TILE), HM_BLOCK, false, rows);
    if (status == 0 && n > 0 && mark->rows.groups > 0)
        status = cuda_launch(context, stream, HM_CUDA_count, count, HM_BLOCK, true, rows);
    return status;
}

static int tokens_enqueue(hm_context_t *context, CUstream stream, const hm_rows_t *rows, const uint32_t *bit,
                          const hm_bits_t *groups, int group_count, hm_mark_t *mark, unsigned char *work)
{
    hm_stage_t stage;
    size_t table_bytes = cuda_round((size_t)rows->segments * sizeof(hm_segment_t));
    size_t group_bytes = cuda_round((size_t)group_count * sizeof *groups);
    int status = cuda_stage(context, table_bytes + group_bytes, &stage);
    if (status != 0) return status;
    hm_identify_t *job = &mark->rows;
    uint64_t n = cuda_segments_fill(&job->table, (hm_segment_t *)stage.host, rows, bit, job->out.mask_bytes);
    if (n == UINT64_MAX) return -EINVAL;
    if (group_count > 0) memcpy(stage.host + table_bytes, groups, (size_t)group_count * sizeof *groups);
    job->table.segment = (const hm_segment_t *)(uintptr_t)stage.device;
    job->group = (const hm_bits_t *)(uintptr_t)(stage.device + table_bytes);
    job->groups = (uint32_t)group_count;
    job->n = (uint32_t)n;
    work_lay(mark, n, mark->tokens.tokens, work);
    status = cuda_begin(context, stream);
    if (status == 0) status = cuda_stage_send(context, stream, &stage, table_bytes + group_bytes);
    if (status == 0) status = mark_launch(context, stream, mark);
    int end = cuda_end(context, stream);
    return status != 0 ? status : end;
}

int cuda_tokens(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                const hm_bits_t *groups, int group_count, const hm_tokens_t *tokens, void *work,
                const hm_identity_t *identity, const hm_tokens_found_t *found)
{
    hm_cuda_entry_t entry;
    hm_mark_t mark = {.rows = {.out = *identity}, .tokens = *tokens, .found = *found};
    if (rows->row_bytes == 0 || group_count < 0 || tokens->tokens >= MOST_TOKENS) return -EINVAL;
    if (tokens->bytes != 4 && tokens->bytes != 8) return -EINVAL;
    if ((((uintptr_t)identity->mask | identity->mask_bytes) & 3) != 0) return -EINVAL;
    int status = cuda_enter(context, &entry);
    if (status != 0) return status;
    unsigned char *aligned = (unsigned char *)cuda_round((uintptr_t)work);
    status = tokens_enqueue(context, stream, rows, bit, groups, group_count, &mark, aligned);
    cuda_leave(context, &entry);
    return status;
}
