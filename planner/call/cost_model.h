/* What a cost model is asked and what it answers. */
#ifndef HM_COST_MODEL_H
#define HM_COST_MODEL_H

#include "topo.h"

#include <stdbool.h>

typedef enum hm_cost_model {
    HM_COST_PADDED,        /* the paper's: the heaviest destination sets the size of every exchange; levels in turn */
    HM_COST_PADDED_SLICED, /* the same in slices: levels overlap */
    HM_COST_LINKS,         /* by the executor's messages: in each step, the busiest rank of each kind of link counts */
    HM_COST_LINKS_SLICED,  /* the same in slices: steps overlap */
    HM_COST_MODELS
} hm_cost_model_t;

typedef struct hm_cost_options {
    hm_cost_model_t model;
    int slices;           /* >= 1; for the sliced models */
    const int *slices_at; /* HM_COST_LINKS_SLICED: [depth] of each depth, instead; may be NULL */
    int lanes;            /* LINKS models: of calls at depth 2 and deeper; 0 or 1: one, else topo_lanes(topo) */
    bool own_beside;      /* LINKS models: the rows that a rank keeps are moved during transfers, not after them */
    double *memory;       /* LINKS models: cost_memory() doubles to count in; NULL: allocated for the call */
} hm_cost_options_t;

/* Predicted times by depth. Depth d: levels 1..d-1, then single GPUs; 0: left alone, every raw row is sent. ms is the
 * exchange, extra_ms what replacing the call adds: agreement, finding equal rows, packing. extra_ms[0] is 0. */
typedef struct hm_cost {
    int levels;
    double ms[HM_MAX_LEVELS + 1];
    double extra_ms[HM_MAX_LEVELS + 1];
    double copies; /* 0..1: share of the rows that an outermost group already gets otherwise */
} hm_cost_t;

#endif
