/* What past calls and the profile say about the next call: whether to look at it, with which rows, how deep it goes.
 * The one interface to planner/policy, which decides, and to what it is fed with: the clock, the profile, the settings.
 *
 * Fed with agreed data only and asked in the order of calls, so every rank decides the same. Under the state's lock. */
#ifndef HM_KNOW_H
#define HM_KNOW_H

#include "agree/ballot.h"
#include "clock.h"
#include "hold.h"

#include "planner/call/plan.h"
#include "planner/policy/policy.h"
#include "planner/wires/profile.h"

typedef struct hm_know {
    bool observe;      /* HIERMOE_MODE=observe, on all ranks: nothing is replaced */
    uint64_t observed; /* calls seen in observe mode, from the first meeting on */
    hm_policy_t policy;
    hm_hold_t hold;
    hm_clock_t clock;
    bool profile_known; /* agreed: set once, in the first meeting */
    hm_profile_t profile;
    double *plan_memory; /* of plan_choose */
} hm_know_t;

/* What is decided about a call that was looked at. */
typedef struct hm_decision {
    int depth;            /* 0: leave it alone */
    hm_reason_t reason;   /* why; NONE: carry it out */
    hm_timed_t timed;     /* what is predicted, for when its time is known */
    hm_outcome_t outcome; /* what was decided about */
} hm_decision_t;

/* What the settings say, before the first call. Needs no memory. */
void know_init(hm_know_t *know);

/* The ranks have met: their modes are the same. Until then no call may be left alone for a rank's own mode, which may be
 * another than that of the others. */
void know_meet(hm_know_t *know);

/* Memory for so many ranks. 0 or -ENOMEM; know_free frees what was made either way. */
int know_create(hm_know_t *know, int ranks);
void know_free(hm_know_t *know);

/* Whether the next call is to be looked at, and with which rows; *alone is the reason where not. For each call, in
 * order. Where no agreement comes about on a call that was to be looked at, nothing more is called. */
hm_intent_t know_expect(hm_know_t *know, hm_reason_t *alone);

/* The words of this rank about earlier calls, for the next agreement. */
hm_word_t know_word(const hm_know_t *know, size_t row_bytes);

/* Takes the agreed times of earlier calls: after each agreement, before know_decide. */
void know_times_take(hm_know_t *know, hm_comm_t *comm, const hm_agreement_t *agreement);

/* What is set for all plans on this channel. */
hm_plan_options_t know_plan_options(const hm_channel_t *channel);

/* Decides about a call from its agreed table and what was learned: after each agreement, once. Alike on all ranks.
 * table: NULL where the call cannot be replaced, whatever it would gain. */
hm_decision_t know_decide(hm_know_t *know, const hm_channel_t *channel, const hm_place_t *place,
                          const hm_agreement_t *agreement, const hm_table_t *table);

/* Decides about a call that goes along a kept dispatch, with rows of so many bytes: at the dispatch's depth, or left
 * alone. dispatch: what was decided about that. What it takes is learned like that of any call. */
hm_decision_t know_decide_along(hm_know_t *know, const hm_outcome_t *dispatch, int depth, size_t row_bytes);

/* All ranks learned that the depth which was decided on cannot be had: the call is left alone, and *decision says so.
 */
void know_refuse(hm_know_t *know, hm_reason_t reason, hm_decision_t *decision);

#endif
