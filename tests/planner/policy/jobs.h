/* Sequences of all-to-alls as jobs make them, with what each call takes left alone and at every depth.
 *
 * Times and sizes are those of jobs measured on two H200 as four nodes of two GPUs with TCP between them; "NVLink" and
 * plain all-to-alls on one node. The sequences follow the frameworks' layers: dispatch (D: rows repeat), combine (N: no
 * row repeats), counts and probabilities (small rows). */
#ifndef HM_SIM_JOBS_H
#define HM_SIM_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_DEPTHS 2
#define SIM_KINDS 16
#define SIM_ROW_LEAST 32      /* smaller rows are never replaced */
#define SIM_BYTES_LEAST 65536 /* nor are smaller calls */

/* What one call of the sequence is. */
typedef struct sim_kind {
    const char *name;
    size_t row_bytes;
    double copies;             /* share of the rows that are copies, 0..1 */
    double bytes;              /* that a rank sends */
    double ms[SIM_DEPTHS + 1]; /* [0] left alone, [d] at depth d, without what looking costs */
} sim_kind_t;

typedef struct sim_call {
    int kind;
    double scale;  /* of bytes and ms: how much this call has to carry */
    double gap_ms; /* of computing before it */
} sim_call_t;

typedef struct sim_job {
    const char *name;
    sim_kind_t kind[SIM_KINDS];
    int kinds;
    sim_call_t *call;
    int calls, room;
    int period;       /* calls of a step; 0: the calls do not repeat */
    double look_ms;   /* one round of an agreement, rows and all */
    double hidden_ms; /* what a look costs that its own times do not show: the host waits and loses its lead */
    double ahead_ms;  /* how far the host runs ahead of its stream at a call, in the mean */
    double wait_ms;   /* mean wait for the last rank */
    double noise;     /* of a call's time: see sim_play */
    double bias[SIM_DEPTHS + 1]; /* what the model says / what is true, by depth */
} sim_job_t;

typedef enum sim_job_id {
    SIM_TITAN_POST,
    SIM_TITAN_PRE,
    SIM_TITAN_24,
    SIM_TITAN_EVAL,
    SIM_MEGATRON,
    SIM_MEGATRON_RECOMPUTE,
    SIM_MEGATRON_1F1B,
    SIM_MEGATRON_SHRINKS,
    SIM_MEGATRON_NVLINK,
    SIM_DEEPSPEED_NODROP,
    SIM_DEEPSPEED_HIDDEN,
    SIM_DEEPSPEED_SLOWER,
    SIM_DEEPSPEED_DEPTH_1,
    SIM_NCCL_TESTS,
    SIM_NO_COPIES,
    SIM_SHORT,
    SIM_RANDOM_10,
    SIM_RANDOM_50,
    SIM_FLIPS,
    SIM_JOBS
} sim_job_id_t;

#define SIM_SEEDS 6
extern const char *const sim_seed_names[SIM_SEEDS];

/* Builds a job; the seed draws how much each call carries. Ends the program where memory is short. */
void sim_job_create(sim_job_id_t id, const char *seed, sim_job_t *job);
void sim_job_destroy(sim_job_t *job);

/* Hides such a cost in each look at a call that gains that steps with all of those replaced take `share` longer than
 * plain ones; hosts run farther ahead than that, since no job is delayed by more than its host is held up. */
void sim_job_hide(sim_job_t *job, double share);

/* 0 left alone, or the depth that is best if looking is paid for; *ms is what that takes in the mean. */
int sim_call_best(const sim_job_t *job, const sim_call_t *call, double *ms);

#endif
