#include "words.h"

#include "kernels/claim.h"

#include <string.h>

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
