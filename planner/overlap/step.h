/* A whole training step of equal MoE layers by simulation: degrees of the pipeline, and when gradients are reduced
 * (FSMoE, arXiv 2501.10714; Lina, USENIX ATC 2023, for chunks of a fixed size). */
#ifndef HM_STEP_H
#define HM_STEP_H

#include "overlap/gradient.h"
#include "overlap/overlap.h"

#define HM_STEP_LAYERS 1024
#define HM_STEP_CHUNKS 1024 /* of one layer's gradient */

typedef struct hm_step {
    int layers;
    hm_overlap_layer_t layer; /* forward; overlap_backward for the other way */
    double dense_ms[2];       /* forward and backward, of what lies between two MoE layers */
    double gradient_bytes;    /* of what lies between, reduced over data-parallel ranks; experts have no others */
    double reduce_ms, reduce_byte_ms; /* of one reduction of n bytes: reduce_ms + n * reduce_byte_ms */
} hm_step_t;

typedef enum hm_reduction {
    HM_REDUCTION_BEST, /* slices of gradient.h */
    HM_REDUCTION_CARRY,
    HM_REDUCTION_STACK,
    HM_REDUCTION_CHUNKS /* chunk by chunk, whenever links between nodes are idle, which others then wait for */
} hm_reduction_t;

typedef struct hm_step_how {
    int degree[2]; /* forward, backward */
    bool one_link; /* see hm_overlap_how_t */
    hm_reduction_t reduction;
    double chunk_bytes; /* HM_REDUCTION_CHUNKS: at most so many at once; 0: a layer's whole gradient */
} hm_step_how_t;

/* The time of a step. slice: [gradient_places(layers)] set to what is reduced where; NULL, or untouched for chunks. 0,
 * -EINVAL (no layers or more than HM_STEP_LAYERS, a degree that there is none of, more than HM_STEP_CHUNKS), -ENOMEM.
 */
int step_simulate(const hm_step_t *step, const hm_step_how_t *how, double *slice, double *ms);

/* Sets both degrees to those of the least time, of equals the smaller, trying all; `same`: one for both passes. The
 * rest of *how is kept. Returns as step_simulate. */
int step_choose(const hm_step_t *step, bool same, hm_step_how_t *how, double *slice, double *ms);

#endif
