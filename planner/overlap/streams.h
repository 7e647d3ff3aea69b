/* Event simulation of streams that work side by side: what a schedule takes, whatever a formula says. */
#ifndef HM_STREAMS_H
#define HM_STREAMS_H

#include <stdbool.h>

/* FSMoE's three resources (arXiv 2501.10714): the GPU's arithmetic, links inside a node, links between. */
typedef enum hm_stream { HM_STREAM_COMPUTE, HM_STREAM_INTRA, HM_STREAM_INTER, HM_STREAMS } hm_stream_t;

/* Runs on its stream when the tasks `after` have ended (-1: none). A stream takes its tasks in the order of the array
 * and waits for each, as CUDA streams do. Tasks in the background are taken in their own order, whenever the next other
 * task of the stream cannot start yet; nothing that has begun is interrupted. */
typedef struct hm_task {
    hm_stream_t stream;
    bool background;
    double ms;
    int after[2];
    double end_ms; /* set by streams_run */
} hm_task_t;

/* Runs all tasks from time 0. Returns the time of the last end, NaN where tasks wait for each other for ever. */
double streams_run(hm_task_t *task, int count);

#endif
