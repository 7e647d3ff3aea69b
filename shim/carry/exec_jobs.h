/* The work on memory that a replaced call brings, as lists of jobs for the kernels: heads and rows of what a rank
 * sends, rows of what it received. Called by exec.c, tick by tick and lane by lane; each function adds to the lists,
 * which routes.c has sized, until exec_jobs_submit enqueues them. */
#ifndef HM_EXEC_JOBS_H
#define HM_EXEC_JOBS_H

#include "run.h"

/* What a slice sends in a step of the lane at hand; the first slice also makes heads. own: the job's rows. 0, or
 * -ENOBUFS where scratch is too small for the lists. */
int exec_jobs_pack(hm_run_t *run, int step, int index, const hm_rows_t *own);

/* Lists which of the rows that came in for several ranks are this rank's: needed once, before the first expand. 0 or
 * -ENOBUFS. */
int exec_jobs_lists(hm_run_t *run, int step);

/* Writes what a slice brought in a step of the lane at hand to the job's receive buffers, in NCCL's order. */
void exec_jobs_expand(hm_run_t *run, int step, hm_piece_t piece);

/* This rank's map of a source that is another rank and has rows for it: [raw rows] distinct number among these. */
const uint32_t *exec_jobs_own_map(const hm_run_t *run, int source);

/* Enqueues all jobs on the call's stream and empties the lists. 0 or a negative errno. */
int exec_jobs_submit(hm_run_t *run);

#endif
