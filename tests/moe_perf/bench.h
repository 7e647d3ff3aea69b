/* Runs the exchanges: fills, times, checks. */
#ifndef MP_BENCH_H
#define MP_BENCH_H

#include "comm.h"
#include "guide.h"
#include "layout.h"
#include "payload.h"
#include "wire.h"

typedef struct mp_bench {
    const mp_options_t *options;
    mp_comm_t *comm;
    const mp_layout_t *layouts; /* [layers] */
    int layers;
    const mp_guide_t *guide; /* does nothing unless it was opened */
    ncclDataType_t type;
    mp_alltoall_t alltoall; /* for MP_ALLTOALL */
    bool reads_wire;        /* this rank reads its host's byte counters */
} mp_bench_t;

/* Of one direction, on one rank. */
typedef struct mp_result {
    double *ms;        /* [iters] the slowest rank's time of each timed iteration */
    mp_wrong_t wrong;  /* this rank's */
    uint64_t checked;  /* bytes of receive buffers this rank looked at */
    uint64_t bytes;    /* this rank's sends over all timed iterations, its own part included */
    uint64_t off_rank; /* of those, to other ranks */
    uint64_t cpu_us;   /* processor time of this rank in the timed iterations, all threads */
    double error_ulp;  /* of sums: see sums_check */
    mp_wire_t wire;    /* over all timed iterations, each with the barrier on either side; 0 if it reads none */
} mp_result_t;

/* Collective. 0, or a negative errno, said; wrong bytes are no error here. */
int bench_run(const mp_bench_t *bench, mp_direction_t direction, mp_result_t *result);
void bench_result_free(mp_result_t *result);

#endif
