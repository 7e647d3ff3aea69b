/* Enqueuing row work: arguments and jobs are copied, since the caller may reuse its arrays at once. */
#include "host_context.h"
#include "host_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct copy_arguments {
    void *dst;
    const void *src;
    size_t bytes;
} copy_arguments_t;

static int copy_run(const void *memory)
{
    const copy_arguments_t *copy = memory;
    if (copy->bytes > 0) memcpy(copy->dst, copy->src, copy->bytes);
    return 0;
}

int host_copy(hm_context_t *context, void *stream, void *dst, const void *src, size_t bytes)
{
    return host_submit(context, stream, copy_run, &(copy_arguments_t){dst, src, bytes}, sizeof(copy_arguments_t));
}

static int identify_run(const void *memory)
{
    host_rows_identify(memory);
    return 0;
}

int host_identify(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                  const hm_bits_t *groups, int group_count, int fingerprint_bits, void *work,
                  const hm_identity_t *identity)
{
    hm_host_identify_t *call = host_rows_pack(rows, bit, groups, group_count);
    if (call == NULL) return -ENOMEM;
    call->fingerprint_bits = fingerprint_bits;
    call->work = work;
    call->identity = *identity;
    int status = host_submit(context, stream, identify_run, &call, sizeof(void *));
    if (status != 0) free(call);
    return status;
}

/* Jobs are copied with a count in front. */
typedef struct job_list {
    const void *jobs;
    int count;
} job_list_t;

static int pick_run(const void *memory)
{
    const job_list_t *list = *(job_list_t *const *)memory;
    for (int i = 0; i < list->count; i++) host_rows_pick(&((const hm_pick_job_t *)list->jobs)[i]);
    free((void *)list);
    return 0;
}

static int map_run(const void *memory)
{
    const job_list_t *list = *(job_list_t *const *)memory;
    for (int i = 0; i < list->count; i++) {
        const hm_map_job_t *job = &((const hm_map_job_t *)list->jobs)[i];
        for (uint32_t j = 0; j < job->rows; j++) job->out[j] = job->place[job->id[j]];
    }
    free((void *)list);
    return 0;
}

static int move_run(const void *memory)
{
    const job_list_t *list = *(job_list_t *const *)memory;
    for (int i = 0; i < list->count; i++) host_rows_move(&((const hm_move_job_t *)list->jobs)[i]);
    free((void *)list);
    return 0;
}

/* Copies `count` jobs of `size` bytes, with room for `extra` bytes behind them. */
static job_list_t *jobs_copy(const void *jobs, int count, size_t size, size_t extra, char **behind)
{
    size_t head = (sizeof(job_list_t) + 15) / 16 * 16, body = (size_t)count * size;
    job_list_t *list = malloc(head + body + extra + 16);
    if (list == NULL) return NULL;
    *list = (job_list_t){(char *)list + head, count};
    memcpy((char *)list + head, jobs, body);
    *behind = (char *)list + (head + body + 15) / 16 * 16;
    return list;
}

static int jobs_submit(hm_context_t *context, void *stream, int (*run)(const void *), job_list_t *list)
{
    if (list == NULL) return -ENOMEM;
    int status = host_submit(context, stream, run, &list, sizeof(void *));
    if (status != 0) free(list);
    return status;
}

int host_pick(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count)
{
    char *behind;
    return jobs_submit(context, stream, pick_run, jobs_copy(jobs, count, sizeof *jobs, 0, &behind));
}

int host_map(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count)
{
    char *behind;
    return jobs_submit(context, stream, map_run, jobs_copy(jobs, count, sizeof *jobs, 0, &behind));
}

int host_move(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count)
{
    char *behind = NULL;
    const hm_rows_t *segments = NULL; /* all jobs of a call that have segments share one table */
    for (int i = 0; i < count; i++)
        if (jobs[i].segments != NULL) segments = jobs[i].segments;
    size_t extra = segments == NULL ? 0 : host_rows_table_bytes(segments);
    job_list_t *list = jobs_copy(jobs, count, sizeof *jobs, extra, &behind);
    if (list != NULL && segments != NULL) {
        const hm_rows_t *copy = host_rows_table_copy(segments, behind);
        hm_move_job_t *copied = (hm_move_job_t *)list->jobs;
        for (int i = 0; i < count; i++)
            if (copied[i].segments != NULL) copied[i].segments = copy;
    }
    return jobs_submit(context, stream, move_run, list);
}
