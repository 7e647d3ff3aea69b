/* How this rank works for one communicator: NCCL's calls on it, the back end for its memory, the stream of the call at
 * hand. All that is enqueued goes on that stream. Used by one thread at a time, under the state's lock. */
#ifndef HM_CHANNEL_H
#define HM_CHANNEL_H

#include "door/comm.h"

#include "kernels/kernels.h"

#define HM_CHANNEL_MARK (HM_MARKS - 1) /* the channel's own; the others are the clock's */

typedef struct hm_channel {
    hm_comm_t *comm;
    const hm_kernels_t *kernels;
    hm_context_t *context;
    hm_host_stream_t host_stream; /* of a NCCL without devices; kernels' context points here */
    int device;                   /* the communicator's; -1: NCCL did not say */
    cudaStream_t stream;          /* of the call at hand */
    bool grouped;                 /* NCCL has opened the group of channel_group_begin */
    long allocs;                  /* device memory asked for so far, for HIERMOE_TEST_FAIL_ALLOC */
} hm_channel_t;

/* Finds the back end for the memory that this communicator's NCCL works on, and makes a context. 0, or a negative errno
 * with *reason set: NO_BACK_END, said once, where the library or driver cannot reach such memory at all, which is so on
 * all ranks; NO_MEMORY for what one rank alone may lack. */
int channel_open(hm_channel_t *channel, hm_comm_t *comm, hm_reason_t *reason);

/* `shared_stays`: memory that other ranks may still read is left allocated. */
void channel_close(hm_channel_t *channel, bool shared_stays);

/* NCCL gets the communicator's handle from these functions alone, which fail once the communicator is cancelled: then
 * NCCL may have freed it (comm_use_begin).
 *
 * A group of NCCL's: begin, then sends and receives while these return ncclSuccess, then end with the last result.
 * Returns the first error. Every begin is followed by one end. */
ncclResult_t channel_group_begin(hm_channel_t *channel);
ncclResult_t channel_send(const hm_channel_t *channel, const void *memory, size_t bytes, int rank);
ncclResult_t channel_recv(const hm_channel_t *channel, void *memory, size_t bytes, int rank);
ncclResult_t channel_group_end(hm_channel_t *channel, ncclResult_t so_far);

/* Every rank's `bytes` to every rank, in rank order. mine may be this rank's place in all. */
ncclResult_t channel_all_gather(const hm_channel_t *channel, const void *mine, void *all, size_t bytes);

/* 0 for ncclSuccess; else -ECANCELED where the communicator is cancelled, else `lost`. */
int channel_status(const hm_channel_t *channel, ncclResult_t result, int lost);

/* Waits on the host until the stream is idle. 0; -ETIMEDOUT after HIERMOE_TIMEOUT (or `seconds`) of running time,
 * -ECANCELED when the communicator is being ended, -EIO. */
int channel_wait(const hm_channel_t *channel);
int channel_wait_for(const hm_channel_t *channel, double seconds);

/* Enqueues the claim of a word that this rank may take back until the stream gets there (kernels.h); HM_CLAIM_FRESH
 * goes into *claim. 0 or a negative errno. */
int channel_claim(const hm_channel_t *channel, hm_claim_t *claim, uint32_t *word, uint32_t value);

/* Marks where the work begins that channel_wait_started is to wait for. 0 or a negative errno. */
int channel_start(const hm_channel_t *channel);

/* channel_wait_for, but -EBUSY in place of -ETIMEDOUT where the stream has not even come to that mark: the job holds it
 * back, and no other rank is to blame. */
int channel_wait_started(const hm_channel_t *channel, double seconds);

/* channel_wait_for work behind a claim. -EAGAIN: the job holds the stream back, so that it has not even come to the
 * claim for HM_PATIENCE_SECONDS; the word is taken back, and the stream will see that. */
int channel_wait_claimed(const hm_channel_t *channel, hm_claim_t *claim, double seconds);

/* 0 while NCCL stands by what it delivered, else -ECANCELED or -EPROTO: its work on a stream ends after an abort or the
 * loss of a peer as well. */
int channel_check(const hm_channel_t *channel);

/* Device memory, and such as near ranks may read (kernels.h, share). 0 or -ENOMEM. */
int channel_alloc(hm_channel_t *channel, size_t bytes, void **memory);
int channel_share(hm_channel_t *channel, size_t bytes, void **memory, unsigned char *ticket);
void channel_free(const hm_channel_t *channel, void *memory);

/* Memory that host and device see. 0 or -ENOMEM. */
int channel_host_alloc(const hm_channel_t *channel, size_t bytes, void **memory);
void channel_host_free(const hm_channel_t *channel, void *memory);

/* Enqueue a copy or moves (kernels.h). 0 or a negative errno. */
int channel_copy(const hm_channel_t *channel, void *to, const void *from, size_t bytes);
int channel_move(const hm_channel_t *channel, const hm_move_job_t *jobs, int count);

/* Whether ranks of a node could read each other's memory with this back end. */
static inline bool channel_shares(const hm_channel_t *channel)
{
    return channel->kernels->share != NULL;
}

/* NCCL's word for a negative errno of the kernels or of a wait. */
ncclResult_t channel_result(int status);

#endif
