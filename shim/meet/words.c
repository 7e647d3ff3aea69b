#include "words.h"

#include "base/log.h"
#include "base/settings.h"

#include "kernels/claim.h"

#include <errno.h>
#include <string.h>

#define FIRST_WORD_SECONDS 30.0 /* silent ranks are named this early, and once more when time is up */

int words_take(hm_words_t **list, const hm_channel_t *channel, hm_words_t **words)
{
    hm_words_t *found = *list, *next = *list;
    size_t bytes = sizeof *found + (size_t)channel->comm->ranks * sizeof found->in[0];
    while (found != NULL && !claim_over(&found->over)) found = found->next;
    if (found == NULL) {
        int status = channel_host_alloc(channel, bytes, (void **)&found);
        if (status != 0) return status;
        *list = found;
    } else {
        next = found->next;
    }
    memset(found, 0, bytes);
    found->next = next;
    *words = found;
    return 0;
}

void words_free(hm_words_t **list, const hm_channel_t *channel)
{
    while (*list != NULL) {
        hm_words_t *words = *list;
        *list = words->next;
        channel_host_free(channel, words);
    }
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
    if (status == 0 && claims)
        status = channel_claim(channel, &words->claim, &words->own.withdrawn, HM_HELLO_WITHDRAWN);
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
    hello_silent(channel->comm, words->in, names, sizeof names);
    comm_say(HM_LOG_WARN, channel->comm,
             "first all-to-all: no word from rank %s after %.0f s; it runs without libhiermoe.so or has not come to "
             "this call yet; waiting up to HIERMOE_TIMEOUT, %.0f s",
             names, first, limit);
    return channel_wait_for(channel, limit - first);
}

int words_exchange(hm_words_t *words, hm_channel_t *channel, bool claims)
{
    char names[256];
    const hm_comm_t *comm = channel->comm;
    words->in[comm->rank] = words->own;
    int status = words_enqueue(channel, words, claims);
    if (status == 0) status = words_wait(channel, words, claims);
    if (status != 0) return status;
    words->in[comm->rank].withdrawn = words->own.withdrawn; /* as the stream has sent it */
    if (hello_silent(comm, words->in, names, sizeof names) > 0) return -ENOMSG;
    for (int r = 0; r < comm->ranks; r++)
        if (words->in[r].withdrawn != 0) return -EAGAIN;
    return 0;
}
