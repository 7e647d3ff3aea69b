#include "streams.h"

#include <math.h>

#define UNKNOWN (-1.0) /* end_ms of what has not begun */

typedef struct lane {
    int next[2]; /* the first task in order that has not begun, and the first in the background; count: none */
    double busy; /* until then */
} lane_t;

typedef struct run {
    hm_task_t *task;
    int count, left; /* left: have not begun */
    double now;
    lane_t lane[HM_STREAMS];
} run_t;

static int task_next(const run_t *run, int from, hm_stream_t stream, bool background)
{
    while (from < run->count && (run->task[from].stream != stream || run->task[from].background != background)) from++;
    return from;
}

static bool task_ready(const run_t *run, int index)
{
    if (index == run->count) return false;
    for (int i = 0; i < 2; i++) {
        int before = run->task[index].after[i];
        if (before < 0) continue;
        double end = run->task[before].end_ms;
        if (end == UNKNOWN || end > run->now) return false;
    }
    return true;
}

/* Starts what a free stream can do now. */
static bool lane_start(run_t *run, hm_stream_t stream)
{
    lane_t *lane = &run->lane[stream];
    if (lane->busy > run->now) return false;
    for (int background = 0; background < 2; background++) {
        int index = lane->next[background];
        if (!task_ready(run, index)) continue;
        lane->busy = run->task[index].end_ms = run->now + run->task[index].ms;
        lane->next[background] = task_next(run, index + 1, stream, background);
        run->left--;
        return true;
    }
    return false;
}

/* The next time at which a stream gets free; NaN where none is busy. */
static double time_next(const run_t *run)
{
    double next = NAN;
    for (int s = 0; s < HM_STREAMS; s++) {
        double busy = run->lane[s].busy;
        if (busy > run->now && !(busy >= next)) next = busy;
    }
    return next;
}

double streams_run(hm_task_t *task, int count)
{
    run_t run = {.task = task, .count = count, .left = count};
    double end = 0;
    for (int i = 0; i < count; i++) task[i].end_ms = UNKNOWN;
    for (int s = 0; s < HM_STREAMS; s++) {
        run.lane[s].next[0] = task_next(&run, 0, s, false);
        run.lane[s].next[1] = task_next(&run, 0, s, true);
    }
    while (run.left > 0) {
        bool started = false;
        for (int s = 0; s < HM_STREAMS; s++) started |= lane_start(&run, s);
        if (started) continue; /* a task of no time may be over already */
        run.now = time_next(&run);
        if (isnan(run.now)) return NAN;
    }
    for (int i = 0; i < count; i++)
        if (task[i].end_ms > end) end = task[i].end_ms;
    return end;
}
