/* The work on memory that a replaced call brings, as lists of jobs for the kernels: heads and rows of what a rank
 * sends, rows of what it received. Called by exec.c, tick by tick and lane by lane; each function adds to the lists,
 * which state.c has sized, until exec_jobs_submit enqueues them. */
#ifndef HM_EXEC_JOBS_H
#define HM_EXEC_JOBS_H

#include "exec.h"

/* One call under way. */
typedef struct run {
    const hm_call_t *call;
    hm_a2a_state_t *state;
    const hm_identity_t *identity;
    hm_route_t *const *routes; /* by lane */
    int depth, lanes, lane;    /* the lane at hand, with its route and lists: lane_enter */
    hm_route_t *route;
    uint32_t **list; /* by part, see hm_jobs_t */
    hm_jobs_t *jobs;
    const hm_topo_t *topo;
    char *out, *in;          /* areas of the messages */
    char *free, *end;        /* scratch behind the areas, for row lists */
    uint32_t distinct;       /* of this rank */
    size_t row_bytes, width; /* of a row; of a piece of it, the last one may be narrower */
    int slices;
    bool windows; /* near messages go through windows */
    int picks, maps, moves;
} run_t;

static inline void lane_enter(run_t *run, int lane)
{
    run->lane = lane;
    run->route = run->routes[lane];
    run->list = run->jobs->list[lane];
}

/* The bytes of every row that a slice carries in the lane at hand. */
static inline hm_piece_t piece_of(const run_t *run, int index)
{
    return layout_piece(run->row_bytes, run->width, index * run->lanes + run->lane);
}

static inline size_t raw_rows(const run_t *run, int source, int rank)
{
    return run->state->table.raw[(size_t)source * (size_t)run->topo->ranks + (size_t)rank];
}

/* What a slice sends in a step of the lane at hand; the first slice also makes heads. own: the job's rows. 0, or
 * -ENOBUFS where scratch is too small for the lists. */
int exec_jobs_pack(run_t *run, int step, int index, const hm_rows_t *own);

/* Lists which of the rows that came in for several ranks are this rank's: needed once, before the first expand. 0 or
 * -ENOBUFS. */
int exec_jobs_lists(run_t *run, int step);

/* Writes what a slice brought in a step of the lane at hand to the job's receive buffers, in NCCL's order. */
void exec_jobs_expand(run_t *run, int step, hm_piece_t piece);

/* Enqueues all jobs on the call's stream and empties the lists. 0 or a negative errno. */
int exec_jobs_submit(run_t *run);

#endif
