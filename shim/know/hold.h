/* How many calls are left alone after a rank's stream was held back. Such a call costs its rank's patience, and a job
 * that holds one stream back may do so on every call.
 *
 * Fed with agreed facts only and asked in the order of calls, so every rank does the same. */
#ifndef HM_HOLD_H
#define HM_HOLD_H

#include <stdbool.h>

typedef struct hm_hold {
    unsigned skip; /* calls left alone after the last hold; 0: none lately */
    unsigned left; /* of them to come */
    unsigned well; /* agreements since the last hold */
} hm_hold_t;

/* Whether the next call is left alone without asking anyone. */
static inline bool hold_skips(hm_hold_t *hold)
{
    if (hold->left == 0) return false;
    hold->left--;
    return true;
}

/* What an agreement or a first meeting came to: held back, or not. Each hold doubles what is skipped, and is forgotten
 * when as many agreements have gone well: a job that holds back every other call must not wait for each of them. */
void hold_note(hm_hold_t *hold, bool held);

#endif
