/* What past agreements say about the next call: the row size to try, and whether to agree at all.
 *
 * Fed with agreed outcomes only and asked in the order of calls, so every rank expects the same. Nothing that a call
 * shows of itself may count: a rank without tokens may pass empty tensors of another type than the others, or have
 * equal splits where they have not. Calls take turns (Megatron's dispatch, probabilities and combine do), so an
 * expectation hangs on the last few outcomes: the place in the sequence. */
#ifndef HM_LEARN_H
#define HM_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HM_LEARN_HABITS 64

typedef struct hm_habit {
    uint64_t context; /* the outcomes before it, 0: free */
    size_t row_bytes;
    size_t wider;     /* gcd of the last counts that a larger row would have fitted, 0: none */
    unsigned streak;  /* how many in a row */
    uint64_t outcome; /* what came the last time */
    unsigned idle;    /* agreements in a row that brought nothing */
    unsigned left;    /* calls still to be left alone before the next try */
} hm_habit_t;

typedef struct hm_learn {
    uint64_t history[3];
    size_t row_bytes; /* of the last agreement, for places never seen */
    hm_habit_t habit[HM_LEARN_HABITS];
} hm_learn_t;

typedef struct hm_expectation {
    bool agree;       /* false: leave this call alone without asking anyone */
    size_t row_bytes; /* 0: nothing is known yet */
} hm_expectation_t;

void learn_init(hm_learn_t *learn);

/* The expectation for the next call. Every call must be followed by one learn_note, unless agree was false. */
hm_expectation_t learn_expect(hm_learn_t *learn);

/* The agreed outcome: the row size the call was looked at with (0: none fitted), the gcd of all its counts in bytes,
 * and whether replacing it was worth it. The smallest row that fits is kept; a larger one is taken over once it would
 * have fitted a few times running, since a gcd may be a multiple of the true row by chance. */
void learn_note(hm_learn_t *learn, size_t row_bytes, size_t gcd, bool worth);

#endif
