/* Memory of the ranks' first words, which host and device see. A stream that the job holds back may still read and
 * write it when the ranks try to meet again. */
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

#endif
