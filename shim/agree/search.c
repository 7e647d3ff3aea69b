#include "search.h"

#include "sizes.h"

#include <errno.h>

/* Whether rows of that size are few enough to be looked at afterwards. */
static bool size_can(const hm_channel_t *channel, const hm_call_t *call, size_t row_bytes)
{
    size_t rows = 0;
    for (int r = 0; r < call->comm->ranks; r++) rows += call->send_bytes[r] / row_bytes;
    size_t bytes = rows_memory_bytes(channel, call->comm->ranks, rows);
    return bytes > 0 && bytes <= rows_memory_most();
}

int search_enqueue(const hm_row_set_t *set, hm_channel_t *channel, const hm_call_t *call, size_t gcd, uint32_t *found)
{
    uint32_t size[HM_PERIOD_SIZES];
    int sizes = sizes_list(gcd, size);
    while (sizes > 0 && !size_can(channel, call, size[sizes - 1])) sizes--;
    hm_period_job_t job = {call->comm->ranks, sizes, call->send, call->send_bytes, size};
    size_t bytes = sizes > 0 ? channel->kernels->period_bytes(&job) : 0;
    void *work = NULL;
    if (bytes == 0 || bytes + set->bytes > rows_memory_most()) return 0;
    int status = channel_alloc(channel, bytes, &work);
    if (status == 0) status = channel->kernels->period(channel->context, channel->stream, &job, work, found);
    channel_free(channel, work);
    return status == -ENOMEM ? 0 : status;
}
