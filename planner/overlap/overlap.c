#include "overlap.h"

#define CHUNKS_MOST (1 << (HM_OVERLAP_DEGREES - 1))

hm_overlap_layer_t overlap_backward(const hm_overlap_layer_t *forward)
{
    hm_overlap_layer_t backward = *forward;
    backward.part[HM_OVERLAP_EXPERTS].alpha_ms *= 2;
    backward.part[HM_OVERLAP_EXPERTS].ms *= 2;
    return backward;
}

typedef struct schedule {
    const hm_overlap_layer_t *layer;
    hm_overlap_how_t how;
    hm_task_t *task;
    int *count;
} schedule_t;

static int task_append(schedule_t *schedule, hm_stream_t stream, double ms, int after)
{
    schedule->task[*schedule->count] = (hm_task_t){.stream = stream, .ms = ms, .after = {after, -1}};
    return (*schedule->count)++;
}

static int chunk_append(schedule_t *schedule, hm_overlap_part_t part, int after)
{
    static const hm_stream_t streams[HM_OVERLAP_PARTS] = {[HM_OVERLAP_DISPATCH] = HM_STREAM_INTER,
                                                          [HM_OVERLAP_GATHER] = HM_STREAM_INTRA,
                                                          [HM_OVERLAP_EXPERTS] = HM_STREAM_COMPUTE,
                                                          [HM_OVERLAP_SCATTER] = HM_STREAM_INTRA,
                                                          [HM_OVERLAP_COMBINE] = HM_STREAM_INTER};
    hm_stream_t stream = streams[part];
    if (schedule->how.one_link && stream == HM_STREAM_INTRA) stream = HM_STREAM_INTER;
    return task_append(schedule, stream, overlap_chunk_ms(&schedule->layer->part[part], schedule->how.degree), after);
}

int overlap_append(const hm_overlap_layer_t *layer, hm_overlap_how_t how, double slice_ms, int before, hm_task_t *task,
                   int *count)
{
    schedule_t schedule = {layer, how, task, count};
    int last[CHUNKS_MOST], end = before; /* last: task of each chunk */
    for (int k = 0; k < how.degree; k++) {
        last[k] = chunk_append(&schedule, HM_OVERLAP_DISPATCH, before);
        last[k] = chunk_append(&schedule, HM_OVERLAP_GATHER, last[k]);
        last[k] = chunk_append(&schedule, HM_OVERLAP_EXPERTS, last[k]);
    }
    if (slice_ms > 0) task_append(&schedule, HM_STREAM_INTER, slice_ms, before);
    for (int k = 0; k < how.degree; k++) {
        last[k] = chunk_append(&schedule, HM_OVERLAP_SCATTER, last[k]);
        end = chunk_append(&schedule, HM_OVERLAP_COMBINE, last[k]);
    }
    return end;
}

double overlap_layer_ms(const hm_overlap_layer_t *layer, hm_overlap_how_t how, double slice_ms)
{
    hm_task_t task[HM_OVERLAP_PARTS * CHUNKS_MOST + 1];
    int count = 0;
    overlap_append(layer, how, slice_ms, -1, task, &count);
    return streams_run(task, count);
}

double overlap_free_ms(const hm_overlap_layer_t *layer, hm_overlap_how_t how)
{
    /* With a slice of s the layer takes the larger of `alone` and something + s, and at s = alone the second. */
    double alone = overlap_layer_ms(layer, how, 0), free = 2 * alone - overlap_layer_ms(layer, how, alone);
    return free > 0 ? free : 0;
}

/* Conditions Q1 to Q7 and the four cases. */
int overlap_case(const hm_overlap_layer_t *layer, int degree, double slice_ms, double *ms, bool *exact)
{
    double a2a = overlap_chunk_ms(&layer->part[HM_OVERLAP_DISPATCH], degree), r = degree;
    double ag = overlap_chunk_ms(&layer->part[HM_OVERLAP_GATHER], degree);
    double rs = overlap_chunk_ms(&layer->part[HM_OVERLAP_SCATTER], degree);
    double exp = overlap_chunk_ms(&layer->part[HM_OVERLAP_EXPERTS], degree);
    double both = ag + rs, between = 2 * (r - 1) * a2a;
    bool q1 = a2a > ag, q2 = r * exp > between, q3 = r * exp > (r - 1) * both, q4 = slice_ms > both;
    bool q5 = slice_ms > r * exp - between + both, q6 = slice_ms > r * both - between;
    bool q7 = slice_ms > both + r * exp - between;
    bool inter = q1 ? (q2 ? q5 : q4) : (q3 ? q7 : q6);
    int which = inter ? 1 : q1 ? (q2 ? 2 : 3) : (q3 ? 2 : 4);
    const double time[] = {0, 2 * r * a2a + slice_ms, 2 * a2a + both + r * exp, 2 * r * a2a + both, 2 * a2a + r * both};
    bool equal = overlap_chunk_ms(&layer->part[HM_OVERLAP_COMBINE], degree) == a2a;
    double least = ag < rs ? ag : rs, most = ag < rs ? rs : ag;
    bool slow = a2a <= least && (q3 ? exp >= most : exp <= (r - 1) * least);
    *ms = time[which];
    *exact = equal && (degree == 1 || (q1 ? rs <= a2a : slow));
    return which;
}
