/* Taking back a word before a stream reads it. */
#ifndef HM_CLAIM_H
#define HM_CLAIM_H

#include "kernels.h"

/* Takes the word of an enqueued claim back. true: for certain, the stream will give it the value that was named for
 * that. false: the stream has got to it, or is about to, and only the word itself tells. The host writes, then reads
 * what the stream writes before it reads, both in one order for all (seq_cst): one of the two sees the other's word. */
static inline bool claim_withdraw(hm_claim_t *claim)
{
    if (atomic_load(&claim->claimed) != 0) return false;
    atomic_store(&claim->withdrawn, 1);
    return atomic_load(&claim->claimed) == 0;
}

/* Whether the claim may be used again. */
static inline bool claim_over(hm_claim_t *claim)
{
    return atomic_load(&claim->passed) != 0;
}

#endif
