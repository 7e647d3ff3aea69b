/* What past calls and the profile say about the next call: whether to look at it, which row size to try, what each
 * depth would take. The one interface to what is learned (learn.c, clock.c, planner's refine.c).
 *
 * Fed with agreed data only and asked in the order of calls, so every rank expects the same. */
#ifndef HM_KNOW_H
#define HM_KNOW_H

#include "agree/ballot.h"
#include "clock.h"
#include "hold.h"
#include "learn.h"

#include "planner/call/plan.h"
#include "planner/call/refine.h"
#include "planner/wires/profile.h"

typedef struct hm_know {
    bool observe;      /* HIERMOE_MODE=observe: nothing is replaced */
    uint64_t observed; /* calls seen in observe mode */
    hm_learn_t learn;
    hm_hold_t hold;
    hm_clock_t clock;
    hm_refine_t refine;
    bool profile_known; /* agreed: set once, in the first meeting */
    hm_profile_t profile;
    double *plan_memory; /* of plan_choose */
} hm_know_t;

/* What is planned for a call. */
typedef struct hm_intent {
    int depth;        /* 0: leave it alone */
    bool trial;       /* left alone although a depth is predicted to gain, to learn what that takes */
    hm_timed_t timed; /* what is predicted, for when its time is known */
} hm_intent_t;

/* Memory for so many ranks; nothing is known yet. 0 or -ENOMEM; know_free frees what was made either way. */
int know_create(hm_know_t *know, int ranks);
void know_free(hm_know_t *know);

/* Whether the next call is to be looked at, and the row size to try. In observe mode only some calls are. */
hm_expectation_t know_expect(hm_know_t *know);

/* The agreed outcome of a call that was looked at: see learn_note. */
void know_note(hm_know_t *know, size_t row_bytes, size_t gcd, bool worth);

/* The words of this rank about an earlier call, for the next agreement. */
hm_word_t know_word(const hm_know_t *know, size_t row_bytes);

/* Takes the agreed times of an earlier call, if every rank had read them. */
void know_times_take(hm_know_t *know, hm_comm_t *comm, const hm_agreement_t *agreement);

/* What is set for all plans on this channel. */
hm_plan_options_t know_plan_options(const hm_channel_t *channel);

/* Plans a call from its agreed table and what was learned. Alike on all ranks. */
hm_intent_t know_plan(hm_know_t *know, const hm_channel_t *channel, const hm_place_t *place, const hm_table_t *table,
                      uint64_t bytes);

#endif
