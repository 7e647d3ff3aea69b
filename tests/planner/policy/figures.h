/* What a rule lost against an oracle, in the windows that matter. */
#ifndef HM_SIM_FIGURES_H
#define HM_SIM_FIGURES_H

#include "ranks.h"

/* Shares in percent. Regret: time lost against the oracle, of the oracle's all-to-all time. */
typedef struct sim_figures {
    double first_20, first_200; /* regret of the first calls */
    double main;                /* regret of calls 100 to 2000 */
    double late;                /* regret of the second half */
    double late_step;           /* the same loss, of the steps' time with all computing and waiting */
    double worst;               /* of any 200 calls after the first 200: slower than plain NCCL by so much */
    double alone;               /* regret from call 200 on */
    double hits;       /* calls replaced, of those from `from` on that gain 15 % or more; 100 where there are none */
    double hits_small; /* the same of those that gain 3 to 15 % */
    double looks;      /* calls of the second half that were looked at */
    int ended;         /* the call from which on no call of a hundred was replaced, after the first 20; -1: none */
    int differ;        /* seeds with which the ranks did not decide alike */
} sim_figures_t;

/* Plays a job with one seed. hits count from call `from` on. */
sim_figures_t sim_figures(const sim_job_t *job, const sim_rule_t *rule, const char *seed, int from);

/* The same for all seeds: means, but the most of worst and ended, and the sum of differ. */
sim_figures_t sim_figures_mean(sim_job_id_t id, const sim_rule_t *rule);

/* The call from which on a rule must know a job: two steps, or three of 24 layers. */
int sim_known_from(sim_job_id_t id, const sim_job_t *job);

#endif
