/* Whether replacing pays for the job as a whole, whatever the times of calls say.
 *
 * A host that waits in a look loses its lead over its stream; the job may get slower though every call gets faster.
 * Delaying a host by so much delays the job by that at most, so where each replaced call gains far more than the host
 * was held up there is nothing to find out. Elsewhere stretches of the job are compared in pairs: some calls replaced
 * as usual, then some left alone without a look, both whole periods of the job's calls. The stretch of the kind that is
 * in force takes four times as long, since it costs nothing.
 *
 * Each pair says what share of the time is saved. Wald's sequential test (Ann. Math. Stat. 16, 1945) of "as much as the
 * calls say" against "a tenth is lost" decides: the logarithm of the likelihood ratio of k pairs of mean m and variance
 * v is k (g + h) (m - (g - h) / 2) / v, for normal noise and the means g and -h. Replacing ends where that is beyond
 * the bound and the mean is a loss, and begins again in the same way. Decided pairs are repeated ever more seldom. */
#ifndef HM_TRIAL_H
#define HM_TRIAL_H

#include "kind.h"
#include "tape.h"

#define HM_TRIAL_PAIRS 8 /* in a row; undecided after so many, all stays as it is for a while */

/* Whether replacing may lose more than it gains. */
typedef enum hm_doubt {
    HM_DOUBT_OPEN, /* not known yet, or nothing is replaced */
    HM_DOUBT_NONE, /* each replaced call gains far more than its look can cost */
    HM_DOUBT_SOME
} hm_doubt_t;

/* What the trial wants of a call. */
typedef enum hm_want {
    HM_WANT_ANY,  /* whatever else is wanted */
    HM_WANT_LOOK, /* a look: a stretch begins or ends */
    HM_WANT_ALONE /* no look */
} hm_want_t;

typedef enum hm_stage {
    HM_STAGE_IDLE,
    HM_STAGE_ON,    /* calls are replaced as usual */
    HM_STAGE_ALONE, /* calls are left alone */
    HM_STAGE_CLOSE  /* looked at until the time of the last stretch is known */
} hm_stage_t;

/* One of the two stretches of a pair. */
typedef struct hm_stretch {
    uint32_t calls;
    double ms;
    uint16_t kind[HM_KINDS + 1]; /* calls of each kind, [0] of unknown ones */
} hm_stretch_t;

typedef struct hm_pairs {
    float saved[HM_TRIAL_PAIRS];    /* share of the time */
    float expected[HM_TRIAL_PAIRS]; /* the same by what calls take */
    uint32_t count;
} hm_pairs_t;

typedef struct hm_trial {
    bool off;       /* nothing is replaced any more */
    bool loose;     /* no period is known: kinds of calls differ between stretches */
    uint8_t mark;   /* what this call's look begins or ends */
    uint8_t marked; /* what the last look did */
    hm_stage_t stage;
    uint64_t begun;  /* first call of the stretch */
    uint64_t due;    /* call from which on the next pair should be tried */
    uint64_t again;  /* calls from one decision to the next */
    double clock_ms; /* at the last look, by the agreed clock */
    double begun_ms; /* at the look that began the stretch */
    double gain_ms;  /* what the first stretch should have saved, by what calls take */
    hm_stretch_t on, alone;
    hm_pairs_t pairs;
} hm_trial_t;

void trial_init(hm_trial_t *trial);

/* Asked before each call, the tape up to date. Pairs begin where there is doubt, and what they said is void where there
 * is none. */
hm_want_t trial_want(hm_trial_t *trial, const hm_tape_t *tape, hm_doubt_t doubt);

/* At each look, before anything else is noted: the time from the look before the last to the last one. Not above 0: not
 * known, which ends the pair. */
void trial_clock(hm_trial_t *trial, double span_ms, uint64_t call);

/* The call is on the tape. */
void trial_note(hm_trial_t *trial, const hm_tape_t *tape);

/* A look gained so much by what calls take; below 0 where it brought nothing. */
static inline void trial_gain(hm_trial_t *trial, double ms)
{
    if (trial->stage == HM_STAGE_ON) trial->gain_ms += ms;
}

/* Gives the pair under way up: a look that it needs did not come about. */
void trial_abort(hm_trial_t *trial);

#endif
