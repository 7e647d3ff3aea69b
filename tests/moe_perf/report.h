/* What the user sees: lines in the manner of nccl-tests on stdout, and one JSON object. Rank 0 only. */
#ifndef MP_REPORT_H
#define MP_REPORT_H

#include "layout.h"
#include "wire.h"

#define MP_REPORT_VERSION 1

/* One rank's introduction, gathered from all. */
typedef struct mp_seat {
    uint64_t pid, host_key;
    char host[64], device[128];
} mp_seat_t;

/* One rank's numbers of one direction, gathered from all; bytes over all timed iterations. */
typedef struct mp_tally {
    uint64_t wrong, checked, bytes, off_rank;
    mp_wire_t wire;
    uint64_t reads_wire, cpu_us;
    double error_ulp; /* largest of a sum */
} mp_tally_t;

typedef struct mp_outcome {
    const double *ms;  /* [iters] */
    mp_tally_t *tally; /* [ranks] */
} mp_outcome_t;

typedef struct mp_report {
    const mp_options_t *options;
    const mp_routing_t *routing;
    const mp_volume_t *volume; /* means over the timed iterations */
    size_t capacity;           /* of the first layer, 0 with unequal splits */
    int nccl_version;
    const char *nccl_path, *device;
    const mp_seat_t *seats;               /* [ranks] */
    mp_outcome_t outcomes[MP_DIRECTIONS]; /* where options->run */
} mp_report_t;

void report_header(const mp_report_t *report);
void report_row(const mp_report_t *report, mp_direction_t direction);
void report_footer(const mp_report_t *report);

/* 0, or -EIO, said. */
int report_json(const mp_report_t *report, const char *path);

/* Order statistics of `count` values, share in [0, 1]; the middle two are averaged for 0.5. NaN where out of memory. */
double report_quantile(const double *values, int count, double share);

/* Wrong bytes of all ranks and directions. */
uint64_t report_wrong(const mp_report_t *report);

#endif
