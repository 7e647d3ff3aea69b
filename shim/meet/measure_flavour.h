/* One timing of one flavour of transfer or work, by all ranks at once: what measure.c makes series of. */
#ifndef HM_MEASURE_FLAVOUR_H
#define HM_MEASURE_FLAVOUR_H

#include "parts.h"

#define MEASURE_PAUSE_MS 2.0 /* before each timing */

typedef enum hm_flavour {
    FLAVOUR_IDENTIFY, /* and an agreement with a plan */
    FLAVOUR_PACK,     /* of rows that identify has looked at */
    FLAVOUR_AGREE,    /* and a plan */
    FLAVOUR_INTRA,    /* inside the groups of a level; through windows where measure_near_open opened them */
    FLAVOUR_ALONE,    /* between groups, one rank of each */
    FLAVOUR_INTER,    /* between groups, all ranks */
    FLAVOUR_FEW       /* the same with every other group sending */
} hm_flavour_t;

typedef struct hm_measure {
    hm_parts_t *parts;
    char *memory, *out, *in; /* areas of `bytes` each */
    size_t bytes;
    const void **segment;   /* [ranks] of rows to look at */
    hm_identity_t identity; /* behind the areas, as the work memory is */
    void *work;
    bool near; /* agreed: ranks of an innermost group read each other's scratch */
    hm_flavour_t flavour;
    int level;
} hm_measure_t;

/* Areas and rows to work on. 0, or what this rank lacks; measure_memory_free frees what was got either way. */
int measure_memory_make(hm_measure_t *measure);
void measure_memory_free(hm_measure_t *measure);

/* Opens windows between near ranks where there are nodes, calls would use windows, and the scratch to read from, which
 * stays for the calls, takes next to nothing of HIERMOE_MAX_SCRATCH. Agreed. 0, or the communicator is lost. */
int measure_near_open(hm_measure_t *measure);

/* Pauses, then runs measure->flavour once at measure->level with a buffer of `bytes` a rank. *ms: the time of the
 * slowest rank, the same on all ranks. 0, or the communicator is lost. */
int measure_flavour_time(hm_measure_t *measure, size_t bytes, double *ms);

#endif
