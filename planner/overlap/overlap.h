/* How the parts of an MoE layer overlap when its tokens go through in chunks (FSMoE, arXiv 2501.10714).
 *
 * A chunk is dispatched between nodes, gathered inside the node (where experts are sharded over its ranks), computed,
 * scattered inside the node and combined between nodes. With r chunks each part takes r times alpha + ms / r. Links
 * between nodes take all dispatches, then a slice of the gradient reduction, then all combines; links inside nodes all
 * gathers, then all scatters. Pure arithmetic: same answer on every machine. */
#ifndef HM_OVERLAP_H
#define HM_OVERLAP_H

#include "overlap/streams.h"

#include <stdbool.h>

#define HM_OVERLAP_DEGREES 4 /* 1, 2, 4 and 8 chunks, as the authors' program takes them */
static inline int overlap_degree(int index)
{
    return 1 << index;
}

typedef enum hm_overlap_part {
    HM_OVERLAP_DISPATCH,
    HM_OVERLAP_GATHER,
    HM_OVERLAP_EXPERTS,
    HM_OVERLAP_SCATTER,
    HM_OVERLAP_COMBINE,
    HM_OVERLAP_PARTS
} hm_overlap_part_t;

/* One part of a layer: a chunk of r takes alpha_ms + ms / r. */
typedef struct hm_overlap_cost {
    double alpha_ms, ms;
} hm_overlap_cost_t;

typedef struct hm_overlap_layer {
    hm_overlap_cost_t part[HM_OVERLAP_PARTS];
} hm_overlap_layer_t;

static inline double overlap_chunk_ms(const hm_overlap_cost_t *cost, int degree)
{
    return cost->alpha_ms + cost->ms / degree;
}

/* The backward pass computes twice as much (the paper doubles alpha and beta of the experts). */
hm_overlap_layer_t overlap_backward(const hm_overlap_layer_t *forward);

/* How a layer is scheduled. */
typedef struct hm_overlap_how {
    int degree;
    bool one_link; /* links inside and between nodes take turns, chunk by chunk (the paper's No-IIO) */
} hm_overlap_how_t;

/* Appends a layer's tasks, which begin after task `before` (-1: at once), with a gradient slice of slice_ms (0: none)
 * in between; returns the task that ends last. task: room for overlap_tasks(degree) more behind *count. */
static inline int overlap_tasks(int degree)
{
    return HM_OVERLAP_PARTS * degree + 1;
}
int overlap_append(const hm_overlap_layer_t *layer, hm_overlap_how_t how, double slice_ms, int before, hm_task_t *task,
                   int *count);

/* The layer's time by simulation. */
double overlap_layer_ms(const hm_overlap_layer_t *layer, hm_overlap_how_t how, double slice_ms);

/* How long a gradient slice may take without making the layer any longer. A longer slice adds what it takes beyond. */
double overlap_free_ms(const hm_overlap_layer_t *layer, hm_overlap_how_t how);

/* The paper's closed form: the case, 1 to 4, and its time. It holds exactly where dispatch and combine take equally
 * long and, with more than one chunk, either both parts inside the node take no longer than one between nodes, or both
 * take no less and a chunk's experts take at least as long as either (case 2) or at most r - 1 times as long (cases 1
 * and 4). Elsewhere the form is an estimate, *exact is false, and the simulation is right. Why: gather and scatter of
 * unequal speed make the stream inside the node wait in ways that the paper's conditions Q1 to Q7 do not tell apart. */
int overlap_case(const hm_overlap_layer_t *layer, int degree, double slice_ms, double *ms, bool *exact);

#endif
