#include "hello.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/settings.h"
#include "fingerprint.h"
#include "guide/adapters.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define HELLO_MAGIC 0x31456f4d72656948u /* "HierMoE1" */

_Static_assert(sizeof(hm_hello_t) == 128, "ranks must exchange words of one size");

/* Of what the host writes. */
static uint64_t hello_check(const hm_hello_t *hello)
{
    hm_hello_t written = *hello;
    written.withdrawn = 0;
    return bytes_hash(HM_BYTES_HASH_START, &written, offsetof(hm_hello_t, check));
}

hm_hello_t hello_make(const hm_channel_t *channel, uint32_t able, uint32_t source)
{
    hm_hello_t hello = {.magic = HELLO_MAGIC,
                        .version = HM_FINGERPRINT,
                        .mode = (uint32_t)settings_get()->mode,
                        .ranks = channel->comm->ranks,
                        .rank = channel->comm->rank,
                        .settings = settings_hash(),
                        .backend = (unsigned char)channel->kernels->name[0],
                        .able = able,
                        .source = source,
                        .adapters = adapters_hash()};
    seat_find(channel->device, channel->kernels->on_gpu, &hello.seat);
    hello.check = hello_check(&hello);
    return hello;
}

static bool hello_valid(const hm_hello_t *hello, const hm_comm_t *comm, int rank)
{
    return hello->magic == HELLO_MAGIC && hello->check == hello_check(hello) && hello->rank == rank &&
           hello->ranks == comm->ranks && (hello->withdrawn == 0 || hello->withdrawn == HM_HELLO_WITHDRAWN);
}

int hello_silent(const hm_comm_t *comm, const hm_hello_t *in, char *names, size_t size)
{
    int silent = 0;
    size_t used = 0;
    names[0] = '\0';
    for (int r = 0; r < comm->ranks; r++) {
        if (hello_valid(&in[r], comm, r)) continue;
        silent++;
        if (used + 16 < size) used += (size_t)snprintf(names + used, size - used, "%s%d", used > 0 ? ", " : "", r);
    }
    return silent;
}

/* Whether a rank wants all calls left alone; said by rank 0 unless all ranks want that. */
static bool mode_off(const hm_comm_t *comm, const hm_hello_t *in)
{
    int off = 0, first = 0;
    for (int r = comm->ranks - 1; r >= 0; r--)
        if (in[r].mode == HM_MODE_OFF) off++, first = r;
    if (off > 0 && off < comm->ranks && comm->rank == 0)
        comm_say(HM_LOG_WARN, comm,
                 "rank %d has HIERMOE_MODE=off or a value of it that is not understood; all ranks leave this "
                 "communicator alone",
                 first);
    return off > 0;
}

hm_reason_t hello_judge(const hm_comm_t *comm, const hm_hello_t *in)
{
    if (mode_off(comm, in)) return HM_REASON_MODE_OFF;
    for (int r = 1; r < comm->ranks; r++) {
        const char *what = in[r].version != in[0].version     ? "another version of libhiermoe.so"
                           : in[r].settings != in[0].settings ? "other HIERMOE settings"
                           : in[r].backend != in[0].backend   ? "another back end"
                                                              : NULL;
        if (what == NULL) continue;
        if (comm->rank == 0)
            comm_say(HM_LOG_WARN, comm, "rank %d has %s than rank 0; all ranks leave this communicator alone", r, what);
        return HM_REASON_SETTINGS_DIFFER;
    }
    for (int r = 0; r < comm->ranks; r++)
        if (in[r].able != HM_ABLE)
            return in[r].able == HM_ABLE_NO_BACK_END ? HM_REASON_NO_BACK_END : HM_REASON_NO_MEMORY;
    return HM_REASON_NONE;
}

bool hello_adapters_alike(const hm_comm_t *comm, const hm_hello_t *in)
{
    int r = 1;
    while (r < comm->ranks && in[r].adapters == in[0].adapters) r++;
    if (r == comm->ranks) return in[0].adapters != 0;
    if (comm->rank == 0)
        comm_say(HM_LOG_WARN, comm,
                 "rank %d has attached other adapters than rank 0, or none; what they announce on this communicator is "
                 "ignored",
                 r);
    return false;
}

void hello_fail(hm_comm_t *comm, const hm_hello_t *in, int status)
{
    char names[256];
    bool refused = status == -EREMOTEIO, missing = status == -ENOMSG, held = status == -EBUSY;
    comm_fail(comm, refused || missing ? ncclRemoteError : channel_result(status));
    if (status == -ECANCELED) return;
    int silent = in == NULL || refused || held ? 0 : hello_silent(comm, in, names, sizeof names);
    if (silent > 0) {
        comm_say(HM_LOG_WARN, comm,
                 "first all-to-all: rank %s did not join the agreement: it runs without libhiermoe.so (LD_PRELOAD "
                 "must reach every rank) or did not come to this call within HIERMOE_TIMEOUT, %.0f s",
                 names, (double)settings_get()->timeout);
    } else {
        comm_say(HM_LOG_WARN, comm, "first all-to-all: the ranks could not agree: %s",
                 refused ? "NCCL refused the exchange"
                 : held  ? "this rank's stream was held back by the job for HIERMOE_TIMEOUT"
                         : strerror(-status));
    }
}
