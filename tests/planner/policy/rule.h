/* A rule that decides which calls to look at and what to do with them, as the simulated ranks ask it. */
#ifndef HM_SIM_RULE_H
#define HM_SIM_RULE_H

#include "jobs.h"

/* What all ranks know alike after an agreement, as the library would make it from what each rank says. */
typedef struct sim_agreed {
    size_t row_bytes; /* the row size that fits all counts, 0: none does */
    size_t gcd;       /* of all counts, bytes */
    double bytes;     /* that a rank sends in the mean */
    double copies;    /* share of the rows */
    bool able;        /* may go deep: neither the call nor its rows are too small */
    double model_ms[SIM_DEPTHS + 1];
    bool timed;           /* all ranks know these times of the look before the last: */
    uint32_t lead_us;     /* least over ranks: until the call was agreed on */
    uint32_t transfer_us; /* most over ranks */
    uint32_t span_us;     /* rank 0's: from the agreement before the last to the last; 0: not known */
    uint32_t wait_us;     /* most over ranks: how long the host was held up by the last look; 0: not known */
} sim_agreed_t;

typedef struct sim_rule {
    const char *name;
    size_t bytes; /* of one rank's state */
    void (*init)(void *state);
    /* Before a call: whether to look at it, and with which rows (0: not known). */
    bool (*expect)(void *state, size_t *row_bytes);
    /* After looking: the depth, 0 for leaving it alone. */
    int (*decide)(void *state, const sim_agreed_t *agreed);
} sim_rule_t;

/* The rule that the library had before planner/policy: kept as the yardstick. */
extern const sim_rule_t rule_before;
/* planner/policy. */
extern const sim_rule_t rule_policy;

#endif
