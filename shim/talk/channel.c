#define _GNU_SOURCE
#include "channel.h"

#include "base/log.h"
#include "base/settings.h"

#include "kernels/claim.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

static void kernels_say(const char *text)
{
    comm_say(HM_LOG_WARN, NULL, "%s", text);
}

static void kernels_listen(void)
{
    hm_kernels_say = kernels_say;
}

/* The device of the communicator, whatever the calling thread's is; -1: NCCL does not say. */
static int device_of(hm_comm_t *comm)
{
    int device;
    if (comm->real->ncclCommCuDevice == NULL || !comm_use_begin(comm)) return -1;
    ncclResult_t result = comm->real->ncclCommCuDevice(comm->handle, &device);
    comm_use_end(comm);
    return result == ncclSuccess ? device : -1;
}

/* The back end for the kind of memory that this NCCL works on; NULL with *why set. */
static const hm_kernels_t *kernels_find(hm_channel_t *channel, const char **why)
{
    void *enqueue = dlsym(channel->comm->real->handle, "hostncclStreamEnqueue");
    if (enqueue == NULL) return kernels_cuda_open(why);
    memcpy(&channel->host_stream.enqueue, &enqueue, sizeof enqueue);
    return &hm_kernels_host;
}

int channel_open(hm_channel_t *channel, hm_comm_t *comm, hm_reason_t *reason)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *why = NULL;
    pthread_once(&once, kernels_listen);
    *channel = (hm_channel_t){.comm = comm};
    channel->kernels = kernels_find(channel, &why);
    if (channel->kernels == NULL) {
        *reason = HM_REASON_NO_BACK_END;
        comm_say(HM_LOG_WARN, comm, "calls are left alone: %s", why);
        return -ENODEV;
    }
    channel->device = device_of(comm);
    const void *hook = channel->kernels == &hm_kernels_host ? (const void *)&channel->host_stream : &channel->device;
    *reason = HM_REASON_NO_MEMORY;
    return channel->kernels->context_create(hook, &channel->context);
}

void channel_close(hm_channel_t *channel, bool shared_stays)
{
    const hm_kernels_t *kernels = channel->kernels;
    if (atomic_load(&channel->comm->aborted) != 0 && kernels->unjoin != NULL) kernels->unjoin(channel->context);
    if (shared_stays) kernels->abandon(channel->context);
    kernels->context_destroy(channel->context);
}

ncclResult_t channel_group_begin(hm_channel_t *channel)
{
    hm_comm_t *comm = channel->comm;
    if (!comm_use_begin(comm)) return channel_result(-ECANCELED);
    ncclResult_t result = comm->real->ncclGroupStart();
    channel->grouped = result == ncclSuccess;
    if (!channel->grouped) comm_use_end(comm);
    return result;
}

/* Whether there is no point in adding to the group: it only has to be ended. */
static bool group_cancelled(const hm_channel_t *channel)
{
    return atomic_load_explicit(&channel->comm->cancelled, memory_order_relaxed) != 0;
}

ncclResult_t channel_send(const hm_channel_t *channel, const void *memory, size_t bytes, int rank)
{
    const hm_comm_t *comm = channel->comm;
    if (group_cancelled(channel)) return channel_result(-ECANCELED);
    return comm->real->ncclSend(memory, bytes, ncclUint8, rank, comm->handle, channel->stream);
}

ncclResult_t channel_recv(const hm_channel_t *channel, void *memory, size_t bytes, int rank)
{
    const hm_comm_t *comm = channel->comm;
    if (group_cancelled(channel)) return channel_result(-ECANCELED);
    return comm->real->ncclRecv(memory, bytes, ncclUint8, rank, comm->handle, channel->stream);
}

ncclResult_t channel_group_end(hm_channel_t *channel, ncclResult_t so_far)
{
    hm_comm_t *comm = channel->comm;
    if (!channel->grouped) return so_far;
    channel->grouped = false;
    comm_use_lengthen(comm);
    ncclResult_t end = comm->real->ncclGroupEnd();
    comm_use_end(comm);
    return so_far != ncclSuccess ? so_far : end;
}

ncclResult_t channel_all_gather(const hm_channel_t *channel, const void *mine, void *all, size_t bytes)
{
    hm_comm_t *comm = channel->comm;
    if (!comm_use_begin(comm)) return channel_result(-ECANCELED);
    comm_use_lengthen(comm);
    ncclResult_t result = comm->real->ncclAllGather(mine, all, bytes, ncclUint8, comm->handle, channel->stream);
    comm_use_end(comm);
    return result;
}

int channel_status(const hm_channel_t *channel, ncclResult_t result, int lost)
{
    if (result == ncclSuccess) return 0;
    return atomic_load(&channel->comm->cancelled) != 0 ? -ECANCELED : lost;
}

int channel_wait_for(const hm_channel_t *channel, double seconds)
{
    return channel->kernels->wait(channel->context, channel->stream, seconds, &channel->comm->cancelled);
}

int channel_wait(const hm_channel_t *channel)
{
    return channel_wait_for(channel, (double)settings_get()->timeout);
}

int channel_start(const hm_channel_t *channel)
{
    return channel->kernels->mark(channel->context, channel->stream, HM_CHANNEL_MARK);
}

int channel_wait_started(const hm_channel_t *channel, double seconds)
{
    double none;
    int status = channel_wait_for(channel, seconds);
    if (status != -ETIMEDOUT) return status;
    bool started = channel->kernels->span(channel->context, HM_CHANNEL_MARK, HM_CHANNEL_MARK, &none) == 0;
    return started ? -ETIMEDOUT : -EBUSY;
}

int channel_claim(const hm_channel_t *channel, hm_claim_t *claim, uint32_t *word, uint32_t value)
{
    atomic_store(&claim->withdrawn, 0);
    atomic_store(&claim->claimed, 0);
    atomic_store(&claim->passed, 0);
    return channel->kernels->claim(channel->context, channel->stream, claim, word, value);
}

/* The other ranks must not have lost theirs when this one loses its patience. */
static double patience_seconds(double seconds)
{
    double patience = 1e-3 * (double)settings_get()->test_patience;
    return patience < seconds / 2 ? patience : seconds / 2;
}

int channel_wait_claimed(const hm_channel_t *channel, hm_claim_t *claim, double seconds)
{
    double patience = patience_seconds(seconds);
    int status = channel_wait_for(channel, patience);
    if (status != -ETIMEDOUT) return status;
    return claim_withdraw(claim) ? -EAGAIN : channel_wait_for(channel, seconds - patience);
}

int channel_check(const hm_channel_t *channel)
{
    hm_comm_t *comm = channel->comm;
    ncclResult_t state = ncclSuccess, asked = ncclSuccess;
    if (!comm_use_begin(comm)) return -ECANCELED;
    if (comm->real->ncclCommGetAsyncError != NULL) asked = comm->real->ncclCommGetAsyncError(comm->handle, &state);
    comm_use_end(comm);
    return asked == ncclSuccess && state == ncclSuccess ? 0 : -EPROTO;
}

/* The rule of HIERMOE_TEST_FAIL_ALLOC. */
static bool alloc_fails(hm_channel_t *channel)
{
    long fail_from = settings_get()->test_fail_alloc;
    return fail_from > 0 && ++channel->allocs >= fail_from;
}

int channel_alloc(hm_channel_t *channel, size_t bytes, void **memory)
{
    return alloc_fails(channel) ? -ENOMEM : channel->kernels->alloc(channel->context, bytes, memory);
}

int channel_share(hm_channel_t *channel, size_t bytes, void **memory, unsigned char *ticket)
{
    return alloc_fails(channel) ? -ENOMEM : channel->kernels->share(channel->context, bytes, memory, ticket);
}

void channel_free(const hm_channel_t *channel, void *memory)
{
    channel->kernels->free(channel->context, memory);
}

int channel_host_alloc(const hm_channel_t *channel, size_t bytes, void **memory)
{
    return channel->kernels->host_alloc(channel->context, bytes, memory);
}

void channel_host_free(const hm_channel_t *channel, void *memory)
{
    channel->kernels->host_free(channel->context, memory);
}

int channel_copy(const hm_channel_t *channel, void *to, const void *from, size_t bytes)
{
    return channel->kernels->copy(channel->context, channel->stream, to, from, bytes);
}

int channel_move(const hm_channel_t *channel, const hm_move_job_t *jobs, int count)
{
    return channel->kernels->move(channel->context, channel->stream, jobs, count);
}

ncclResult_t channel_result(int status)
{
    switch (status) {
    case 0:
        return ncclSuccess;
    case -ENOMEM:
        return ncclSystemError;
    case -ETIMEDOUT:
    case -EPROTO:
        return ncclRemoteError;
    case -EIO:
        return ncclUnhandledCudaError;
    case -ECANCELED:
        return ncclInvalidUsage;
    default:
        return ncclInternalError;
    }
}
