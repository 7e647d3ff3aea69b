/* The exchange of the ranks' first words. Its memory is seen by host and device, and a stream that the job holds back
 * may still read and write it when the ranks try to meet again. */
#ifndef HM_WORDS_H
#define HM_WORDS_H

#include "hello.h"

typedef struct hm_words {
    struct hm_words *next; /* of an earlier try */
    hm_claim_t claim;      /* of own.withdrawn */
    hm_claim_t over;       /* behind the exchange: this memory can serve another one; claims nothing */
    uint32_t nothing;
    hm_hello_t own, in[]; /* in: [ranks], zeros where no word has come */
} hm_words_t;

/* Words that no stream works on, in the list. 0 or -ENOMEM. */
int words_take(hm_words_t **list, const hm_channel_t *channel, hm_words_t **words);
void words_free(hm_words_t **list, const hm_channel_t *channel);

/* Sends words->own to every rank and waits for all words in words->in, naming silent ranks on the way. NCCL may hold
 * the words after a failure. claims: the back end is prepared, so that this rank can withdraw where the job holds its
 * stream back. 0; -EAGAIN: some rank has withdrawn, all are to leave the call alone and meet later, and the stream may
 * still work on the words; a negative errno of the wait; -EREMOTEIO where NCCL refused the exchange; -ENOMSG where a
 * rank's word is missing or damaged. */
int words_exchange(hm_words_t *words, hm_channel_t *channel, bool claims);

#endif
