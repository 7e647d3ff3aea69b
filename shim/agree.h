/* The agreed table: what all ranks know alike about one all-to-all. */
#ifndef HM_AGREE_H
#define HM_AGREE_H

#include "state.h"

/* One rank's row starts with this; raw[ranks], want[ranks] and counts[1 + groups] follow, 32-bit words each. */
typedef struct hm_agree_head {
    uint32_t magic, sequence;
    uint32_t spare[2];             /* 0; fills the head up to a multiple of 16 bytes, which copies like */
    uint32_t able;                 /* HM_ABLE_* */
    uint32_t reason;               /* hm_reason_t where not able */
    uint64_t gcd;                  /* of all counts of this rank in bytes, 0 where it has none */
    uint64_t row_bytes;            /* what counts and identity were made with, 0: unknown yet */
    uint32_t lead_us, transfer_us; /* of an earlier call, the same on all ranks; 0: not known */
} hm_agree_head_t;

enum { HM_ABLE_NOT, HM_ABLE_ROWS, HM_ABLE_GCD }; /* cannot; table complete; only the gcd is */

typedef struct hm_agreement {
    bool able;            /* every rank is able and the counts of senders and receivers match */
    hm_reason_t reason;   /* where not */
    bool row_fits;        /* row_bytes divides every count; false: try again with `gcd` */
    size_t gcd;           /* of all counts of all ranks, bytes */
    uint64_t bytes;       /* to other ranks and to themselves, all ranks together */
    bool timed;           /* every rank knew the times of an earlier call: */
    uint32_t lead_us;     /* the least of all ranks', which is that of the last to come in */
    uint32_t transfer_us; /* the most */
} hm_agreement_t;

/* One agreement with rows of row_bytes (0: only to learn the row size). identity is filled where the rows were looked
 * at. Afterwards state->table and state->distinct hold the agreed table if *agreement says able and row_fits.
 * 0, or a negative errno: the communicator is lost (-ECANCELED aborted, -ETIMEDOUT, -EIO). */
int agree_table(const hm_call_t *call, hm_a2a_state_t *state, size_t row_bytes, hm_identity_t *identity,
                hm_agreement_t *agreement);

/* Every rank's `bytes` (at most HM_TICKET) come to all ranks, in their slots (gather.h) of state->table_host. Same
 * errors. */
int agree_exchange(const hm_call_t *call, hm_a2a_state_t *state, const void *mine, size_t bytes);

/* All ranks learn whether every rank says yes. Same errors. */
int agree_all(const hm_call_t *call, hm_a2a_state_t *state, bool mine, bool *all);

#endif
