#include "hello.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/settings.h"
#include "fingerprint.h"
#include "words.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define HELLO_MAGIC 0x31456f4d72656948u /* "HierMoE1" */
#define FIRST_WORD_SECONDS 30.0         /* silent ranks are named this early, and once more when time is up */

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
                        .source = source};
    seat_find(channel->device, channel->kernels->on_gpu, &hello.seat);
    hello.check = hello_check(&hello);
    return hello;
}

static bool hello_valid(const hm_hello_t *hello, const hm_comm_t *comm, int rank)
{
    return hello->magic == HELLO_MAGIC && hello->check == hello_check(hello) && hello->rank == rank &&
           hello->ranks == comm->ranks && (hello->withdrawn == 0 || hello->withdrawn == HM_HELLO_WITHDRAWN);
}

static int silent_count(const hm_comm_t *comm, const hm_hello_t *in)
{
    int silent = 0;
    for (int r = 0; r < comm->ranks; r++) silent += !hello_valid(&in[r], comm, r);
    return silent;
}

/* Lists the ranks without a valid word, such as "1, 3", as many as there is room for. */
static void silent_list(const hm_comm_t *comm, const hm_hello_t *in, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int r = 0; r < comm->ranks && used + 16 < size; r++)
        if (!hello_valid(&in[r], comm, r))
            used += (size_t)snprintf(text + used, size - used, "%s%d", used > 0 ? ", " : "", r);
}

static ncclResult_t words_pass(hm_channel_t *channel, hm_words_t *words)
{
    ncclResult_t result = channel_group_begin(channel);
    for (int r = 0; r < channel->comm->ranks && result == ncclSuccess; r++) {
        if (r == channel->comm->rank) continue;
        result = channel_send(channel, &words->own, sizeof words->own, r);
        if (result == ncclSuccess) result = channel_recv(channel, &words->in[r], sizeof words->in[r], r);
    }
    return channel_group_end(channel, result);
}

static int words_enqueue(hm_channel_t *channel, hm_words_t *words, bool claims)
{
    int status = channel_start(channel);
    if (status == 0 && claims) status = channel_claim(channel, &words->claim, &words->own.withdrawn, HM_HELLO_WITHDRAWN);
    if (status == 0) status = channel_status(channel, words_pass(channel, words), -EREMOTEIO);
    if (status == 0 && claims) status = channel_claim(channel, &words->over, &words->nothing, 0);
    return status;
}

static int words_wait(const hm_channel_t *channel, hm_words_t *words, bool claims)
{
    char names[256];
    double limit = (double)settings_get()->timeout;
    double first = limit < FIRST_WORD_SECONDS ? limit : FIRST_WORD_SECONDS;
    int status = claims ? channel_wait_claimed(channel, &words->claim, first) : channel_wait_started(channel, first);
    if ((status != -ETIMEDOUT && status != -EBUSY) || first >= limit) return status;
    if (status == -EBUSY) return channel_wait_started(channel, limit - first);
    silent_list(channel->comm, words->in, names, sizeof names);
    comm_say(HM_LOG_WARN, channel->comm,
             "first all-to-all: no word from rank %s after %.0f s; it runs without libhiermoe.so or has not come to "
             "this call yet; waiting up to HIERMOE_TIMEOUT, %.0f s",
             names, first, limit);
    return channel_wait_for(channel, limit - first);
}

int hello_exchange(hm_channel_t *channel, hm_words_t *words, bool claims)
{
    const hm_comm_t *comm = channel->comm;
    words->in[comm->rank] = words->own;
    int status = words_enqueue(channel, words, claims);
    if (status == 0) status = words_wait(channel, words, claims);
    if (status != 0) return status;
    words->in[comm->rank].withdrawn = words->own.withdrawn; /* as the stream has sent it */
    if (silent_count(comm, words->in) > 0) return -ENOMSG;
    for (int r = 0; r < comm->ranks; r++)
        if (words->in[r].withdrawn != 0) return -EAGAIN;
    return 0;
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

void hello_fail(hm_comm_t *comm, const hm_hello_t *in, int status)
{
    char names[256];
    bool refused = status == -EREMOTEIO, missing = status == -ENOMSG, held = status == -EBUSY;
    int silent = in == NULL || refused || held ? 0 : silent_count(comm, in);
    comm_fail(comm, refused || missing ? ncclRemoteError : channel_result(status));
    if (status == -ECANCELED) return;
    if (silent > 0) {
        silent_list(comm, in, names, sizeof names);
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
