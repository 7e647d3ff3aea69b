/* Plays a job's calls for several ranks, each with its own state of a rule and its own times. */
#ifndef HM_SIM_RANKS_H
#define HM_SIM_RANKS_H

#include "rule.h"

#define SIM_RANKS 4

/* One call as it was played. Times are what is taken in the mean, so that noise misleads the rule but does not blur the
 * figures. */
typedef struct sim_played {
    double cost_ms;  /* of what was decided, looking and its hidden cost included */
    double best_ms;  /* of an oracle that knows everything */
    double plain_ms; /* of plain NCCL */
    double rest_ms;  /* computing and waiting before it */
    int depth;
    bool looked;
} sim_played_t;

/* Names that random numbers come from. */
typedef struct sim_seeds {
    const char *job;   /* what happens */
    const char *ranks; /* which rank sees how much of it */
} sim_seeds_t;

/* Fills played[job->calls]. Returns the number of calls that ranks did not decide alike, which ends the play.
 *
 * Noise of a call's time: lognormal with job->noise as the deviation of the logarithm, and one call in a hundred takes
 * five times as long. The agreement holds times of the look before the last; now and then a rank cannot read its. */
int sim_play(const sim_job_t *job, const sim_rule_t *rule, const sim_seeds_t *seeds, sim_played_t *played);

#endif
