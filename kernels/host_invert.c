/* Lists of what is added, on the host. */
#include "host_context.h"
#include "host_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Work memory: for each sum where its next child goes, and the piece of its last one. */
size_t host_invert_bytes(size_t sums)
{
    return 2 * sums * sizeof(uint32_t);
}

static void sums_count(const hm_invert_job_t *job)
{
    memset(job->offset, 0, ((size_t)job->sums + 1) * sizeof *job->offset);
    for (int p = 0; p < job->pieces; p++) {
        const hm_children_t *piece = &job->piece[p];
        for (uint32_t k = 0; k < piece->rows; k++)
            if (piece->sum[k] < piece->sums) job->offset[piece->first_sum + piece->sum[k] + 1]++;
    }
    for (uint32_t i = 0; i < job->sums; i++) job->offset[i + 1] += job->offset[i];
}

/* The nodes that pieces `from` and `to` of one list do not share. */
static uint32_t parting_between(const hm_children_t *piece, uint32_t from, uint32_t to)
{
    uint32_t most = 0;
    for (uint32_t p = from + 1; p <= to; p++)
        if (piece[p].parting > most) most = piece[p].parting;
    return most;
}

void host_sums_invert(const hm_invert_job_t *job)
{
    uint32_t *next = job->work, *last = next + job->sums;
    sums_count(job);
    memcpy(next, job->offset, job->sums * sizeof *next);
    for (uint32_t p = 0; p < (uint32_t)job->pieces; p++) {
        const hm_children_t *piece = &job->piece[p];
        for (uint32_t k = 0; k < piece->rows; k++) {
            if (piece->sum[k] >= piece->sums) continue;
            uint32_t sum = piece->first_sum + piece->sum[k], at = next[sum]++;
            if (at > job->offset[sum]) job->child[at - 1] |= parting_between(job->piece, last[sum], p) << HM_CHILD_BITS;
            job->child[at] = piece->first_row + k;
            last[sum] = p;
        }
    }
}

static int invert_run(const void *memory)
{
    hm_invert_job_t *job = *(hm_invert_job_t *const *)memory;
    host_sums_invert(job);
    free(job);
    return 0;
}

int host_invert(hm_context_t *context, void *stream, const hm_invert_job_t *job)
{
    size_t bytes = (size_t)job->pieces * sizeof *job->piece;
    for (int p = 0; p < job->pieces; p++)
        if ((uint64_t)job->piece[p].first_row + job->piece[p].rows > HM_CHILD_ROWS) return -EINVAL;
    hm_invert_job_t *copy = malloc(sizeof *copy + bytes);
    if (copy == NULL) return -ENOMEM;
    *copy = *job;
    copy->piece = (hm_children_t *)(copy + 1);
    if (bytes > 0) memcpy(copy + 1, job->piece, bytes);
    int status = host_submit(context, stream, invert_run, &copy, sizeof(void *));
    if (status != 0) free(copy);
    return status;
}
