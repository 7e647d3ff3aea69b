/* When to look at a call, and what to make of it: one policy for each communicator.
 *
 * Fed with agreed data only, in the order of calls, so every rank decides the same: nothing here depends on a clock, an
 * address, a random number or what one rank saw. Only + - * / and comparisons on doubles (build with
 * -ffp-contract=off): the same bits on every machine.
 *
 * Parts, each on its own (its header says how it works and where its formulas come from):
 *   kind.h   what a call is: rows, bytes, copies
 *   tape.h   what the next call will be, from the sequence of kinds
 *   looks.h  whether looking at it pays
 *   arms.h   plain or how deep, by what calls of its kind took
 *   trial.h  whether replacing pays for the job as a whole
 *
 * The way of a call:
 *   intent = policy_expect()          every call that could be replaced, in order
 *   not intent.look:                  leave it alone; all ranks do
 *   else hold the agreement, then     (if none is held after all, do nothing: the next policy_expect notices)
 *     policy_time()                   what the agreement said of earlier looks
 *     depth = policy_choose()         what the call is, and how deep it goes; 0: leave it alone
 *     policy_refuse()                 only where all ranks learned that the depth cannot be had
 *
 * What the agreed rows must carry for it, beside the table and the times of calls (32-bit words each):
 *   span_us  from the moment this rank had the table of the look before the last to when it had the last one's.
 *            Agreed: rank 0's word, so that spans add up to the time of a stretch.
 *   wait_us  how long the last look held this rank's host up: from entering the call until its table was there.
 *            Agreed: the most over ranks.
 *
 * Threads: none of its own, no lock; the caller holds the communicator's lock. No memory beyond the struct (about
 * 15 KB), no call out. A call that is left alone costs some 200 instructions. */
#ifndef HM_POLICY_H
#define HM_POLICY_H

#include "kind.h"
#include "looks.h"
#include "tape.h"
#include "trial.h"

/* A look whose times are still to come. */
typedef struct hm_look {
    bool able; /* its times count */
    int kind;  /* 0: no depth was in question */
    int depth;
    double model_ms, plain_model_ms;
    bool trial;     /* left alone though it may gain, to learn what that takes */
    double gain_ms; /* by what calls take */
} hm_look_t;

/* What the user settled. */
typedef struct hm_fixed {
    int depth;    /* at most the number of levels; -1: nothing is settled */
    bool observe; /* nothing is replaced, and every call that is asked for is looked at */
} hm_fixed_t;

typedef struct hm_policy {
    hm_fixed_t fixed;
    hm_tape_t tape;
    hm_call_kind_t kind[HM_KINDS]; /* symbol s of the tape is kind[s - 1] */
    hm_looks_t looks;
    hm_trial_t trial;
    hm_look_t look[2]; /* by number of the look */
    int expected;      /* kind of this call, 0: not known */
    bool looking;      /* policy_expect said so, policy_choose did not come yet */
    hm_doubt_t doubt;  /* whether replacing may lose more than it gains */
    double gain_ms;    /* the most that a kind gains; below 0: not known */
    size_t row_bytes;  /* of the last call that could go deep */
} hm_policy_t;

/* Why a call is not looked at. */
typedef enum hm_pass {
    HM_PASS_NO_GAIN, /* it is not expected to gain what looking costs */
    HM_PASS_TRIAL,   /* to see what the job takes while nothing is replaced */
    HM_PASS_JOB      /* the job does not gain, whatever calls do */
} hm_pass_t;

/* What policy_expect wants. */
typedef struct hm_intent {
    bool look;        /* hold an agreement on this call */
    hm_pass_t pass;   /* where not */
    size_t row_bytes; /* where so, with rows of this size; 0: none is known yet */
} hm_intent_t;

/* Agreed times of the look before the last. */
typedef struct hm_took {
    bool known;           /* all ranks could read both of: */
    uint32_t lead_us;     /* least over ranks: from when the stream reached the call until it was agreed on */
    uint32_t transfer_us; /* most over ranks: the transfer after it, plain or deep */
    uint32_t span_us;     /* see above; 0: not known */
    uint32_t wait_us;     /* see above; of the last look; 0: not known */
} hm_took_t;

/* Where a depth is settled, calls that can have it are always looked at, and times only serve policy_predict. */
void policy_init(hm_policy_t *policy, hm_fixed_t fixed);

/* Before each call. */
hm_intent_t policy_expect(hm_policy_t *policy);

/* At each look, before policy_choose. */
void policy_time(hm_policy_t *policy, const hm_took_t *took);

/* At each look, once: the depth of the call, 0: leave it alone. */
int policy_choose(hm_policy_t *policy, const hm_outcome_t *agreed);

/* Whether the last choice, depth 0, was made only to learn what that takes. */
bool policy_tries(const hm_policy_t *policy);

/* The depth that policy_choose said cannot be had on every rank (no memory, over the cap): the call is left alone, and
 * that depth is not asked for again in calls of this kind for a long time. */
void policy_refuse(hm_policy_t *policy);

/* What the last call that was looked at should take at a depth, ms, by the model and what calls took; with what looking
 * takes for depths above 0. 0: nothing is known but the model. */
double policy_predict(const hm_policy_t *policy, int depth);

#endif
