/* When to look at a call. Looking costs an agreement and a pass over the rows; what it may bring is the gain times its
 * chance. A call is looked at
 * - while the job begins: until what was expected came HM_LOOKS_LEARNED times running (sooner where nothing is worth
 *   it), or that has cost as much as twenty calls take;
 * - where chance * gain > (1 - chance) * cost: the expected gain is above the expected cost. The chance is counted:
 *   (hits + 1/2) / (looks + 1) (Krichevsky and Trofimov, IEEE Trans. Inf. Theory 27, 1981), apart for calls that are
 *   expected to be worth it and others, and for times in which expectations come true and others;
 * - to find out what changed: when the calls since the last look took so much that it costs 0.2 % of them, and less and
 *   less often, down to an eighth of that, with each look that brought nothing. */
#ifndef HM_LOOKS_H
#define HM_LOOKS_H

#include "ring.h"

#include <stdbool.h>
#include <stddef.h>

#define HM_LOOKS_LEARNED 96 /* more than the calls of one pass through common models' layers in one direction */

/* How the job begins. */
typedef struct hm_start {
    double ms; /* looks at all calls may still cost so much */
    bool able; /* some call could go deep: its time will be known */
    bool warm; /* times of a look were given */
    bool some; /* looking at some kind of call is worth it */
} hm_start_t;

typedef struct hm_looks {
    hm_start_t start;
    hm_ring_t lead, transfer, wait;   /* of the latest looks; ms */
    double lead_ms, unit_ms, wait_ms; /* their medians; 0: not known */
    float hit[2][2], tried[2][2];     /* [expected to be worth it][expectations come true] */
    uint32_t quiet;                   /* calls since the last look */
    uint32_t idle;                    /* looks in a row that brought nothing */
    uint32_t right;                   /* looks in a row that saw what was expected */
    uint64_t count;                   /* looks so far */
    bool yes;                         /* the last call was expected to be worth it */
} hm_looks_t;

/* What is expected of a call. */
typedef struct hm_prospect {
    bool known;     /* anything is */
    bool yes;       /* that looking is worth it */
    double gain_ms; /* what it brings if it is; below 0: not known */
} hm_prospect_t;

/* Whether to look at call number `call`; to be asked once for each call. */
bool looks_want(hm_looks_t *looks, const hm_prospect_t *prospect, uint64_t call);

/* What a look saw. */
typedef struct hm_seen {
    bool able;  /* it could go deep */
    bool right; /* what was expected */
    bool worth; /* looking may have brought something */
    bool some;  /* looking at some kind of call may */
} hm_seen_t;

/* The call of the last looks_want was looked at. */
void looks_note(hm_looks_t *looks, hm_seen_t seen, uint64_t call);

/* Whether the last looks saw what was expected. */
bool looks_come_true(const hm_looks_t *looks);

/* Agreed times of an earlier look, ms; not above 0: not known. The first ones do not count: that look made connections.
 */
void looks_time(hm_looks_t *looks, double lead_ms, double transfer_ms);
void looks_wait(hm_looks_t *looks, double wait_ms);

#endif
