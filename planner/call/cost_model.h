/* What a cost model is asked and what it answers. */
#ifndef HM_COST_MODEL_H
#define HM_COST_MODEL_H

#include "topo.h"

#include <stdbool.h>

typedef enum hm_cost_model {
    HM_COST_PADDED,        /* the paper: every exchange as large as its heaviest destination makes it, levels in turn */
    HM_COST_PADDED_SLICED, /* the same cut into slices, levels overlap */
    HM_COST_LINKS,         /* the executor's messages: in each step the busiest rank of each kind of link counts */
    HM_COST_LINKS_SLICED,  /* the same cut into slices, steps overlap */
    HM_COST_MODELS
} hm_cost_model_t;

typedef struct hm_cost_options {
    hm_cost_model_t model;
    int slices;           /* of the sliced models; >= 1 */
    const int *slices_at; /* HM_COST_LINKS_SLICED: [depth] of each depth, instead; may be NULL */
    int lanes;            /* LINKS models: of calls at depth 2 and deeper; 0 or 1: one, else topo_lanes(topo) */
    bool own_beside;      /* LINKS models: rows that a rank keeps are moved while the wires are busy, not after */
    double *memory;       /* LINKS models: cost_memory() doubles to count in; NULL: taken from the heap for the call */
} hm_cost_options_t;

/* Depth d: levels 1..d-1, then single GPUs. [0]: left alone, every raw row on its own. ms is the exchange, extra_ms
 * what comes on top because of us: agreement, finding equal rows, packing. extra_ms[0] is 0. */
typedef struct hm_cost {
    int levels;
    double ms[HM_MAX_LEVELS + 1];
    double extra_ms[HM_MAX_LEVELS + 1];
    double copies; /* 0..1 of the rows: what need not go to an outermost group again */
} hm_cost_t;

#endif
