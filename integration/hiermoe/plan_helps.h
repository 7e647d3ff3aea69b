/* hiermoe plan --what-helps: what its parts hand to each other. */
#ifndef HM_PLAN_HELPS_H
#define HM_PLAN_HELPS_H

#include "overlap/step.h"
#include "plan_traffic.h"

typedef struct hm_helps_request {
    long layers, slots;
    double dense_ms[2], reduce_ms; /* below 0: not given */
    bool help, asked;              /* help: was printed */
} hm_helps_request_t;

/* What may be done for a job, each a bit of a set. */
typedef enum hm_helps_measure {
    HM_HELPS_DEDUP,    /* each row once per group: first all-to-all of either pass */
    HM_HELPS_BOTH,     /* the second one too, summed on the way */
    HM_HELPS_SWAP,     /* experts trade places */
    HM_HELPS_REPLICAS, /* several copies of hot experts, rows go to the nearest */
    HM_HELPS_OVERLAP,  /* chunks and gradient slices */
    HM_HELPS_MEASURES
} hm_helps_measure_t;

typedef struct hm_helps_job {
    hm_plan_job_t job;
    hm_helps_request_t request;
    hm_step_t step;                        /* without its layer */
    hm_plan_traffic_t traffic[2][2];       /* [swapped][with copies] */
    double plain_ms;                       /* a step */
    double alone_ms[HM_HELPS_MEASURES];    /* with one measure */
    double together_ms[HM_HELPS_MEASURES]; /* with it and those before it that gained something */
    bool taken[HM_HELPS_MEASURES];         /* whether it gains something beside those before it */
    hm_step_how_t how;                     /* of all that gain something together */
} hm_helps_job_t;

/* Predicts the step in all ways; 0, or the exit status, having said why. */
int helps_solve(hm_helps_job_t *helps);

#endif
