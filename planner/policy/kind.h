/* What a call is: kinds of calls, told apart by what all ranks agreed on, never by what was decided.
 *
 * Calls are of one kind where rows, bytes and the share of copies are much the same. Each kind has a middle that
 * follows its calls, so that no call is near a border for long. */
#ifndef HM_KIND_H
#define HM_KIND_H

#include "arms.h"

#include <stddef.h>

#define HM_KINDS 16           /* of one communicator; the one not seen for longest makes room */
#define HM_KIND_COPIES .05    /* of the rows: with fewer nothing is saved by sending each row once */
#define HM_KIND_NO_COPIES .10 /* such calls are tried deep only where the model promises so much */

/* What all ranks agreed on about a call: the same words on every rank. */
typedef struct hm_outcome {
    int levels;       /* depths 1..levels can be had */
    bool able;        /* it may go deep: every rank can, and neither the call nor its rows are too small */
    size_t row_bytes; /* that fits all counts, 0: none does */
    size_t gcd;       /* of all counts, bytes; a multiple of row_bytes */
    double bytes;     /* that a rank sends in the mean */
    double copies;    /* share of the rows that need not go to an outermost group again, 0..1 */
    double model_ms[HM_MAX_LEVELS + 1]; /* [depth] as the model says, uncorrected; not above 0 or NaN: not modelled */
} hm_outcome_t;

/* All zero: not in use. */
typedef struct hm_call_kind {
    bool used, able;
    uint8_t streak;   /* calls in a row that a larger row would have fitted */
    size_t wider;     /* that row */
    size_t row_bytes; /* to look with; 0 where not able */
    double bytes, copies;
    uint64_t last; /* call number */
    hm_arms_t arms;
} hm_call_kind_t;

/* The kind of a call, 1..HM_KINDS, in doubt the expected one (0: none). Where none is near, one makes room: *lost is
 * that number, else 0. Its row size follows the calls: the smallest that fits is taken at once, a larger one after it
 * would have fitted a few times running, since what counts have in common may be a multiple of the row by chance. */
int kind_find(hm_call_kind_t kinds[HM_KINDS], int expected, const hm_outcome_t *outcome, uint64_t call, int *lost);

/* Whether looking at call number `call` may bring something, if it is of this kind. */
static inline bool kind_worth(const hm_call_kind_t *kind, uint64_t call)
{
    return kind->able && arms_worth(&kind->arms, call);
}

#endif
