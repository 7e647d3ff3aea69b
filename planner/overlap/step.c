#include "step.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct schedule {
    const hm_step_t *step;
    const hm_step_how_t *how;
    hm_task_t *task;
    double *slice; /* [places] */
    int *pieces;   /* [places] */
    int count;
} schedule_t;

static int degree_known(int degree)
{
    for (int i = 0; i < HM_OVERLAP_DEGREES; i++)
        if (degree == overlap_degree(i)) return 1;
    return 0;
}

static double layer_chunks(const hm_step_t *step, const hm_step_how_t *how)
{
    if (how->reduction != HM_REDUCTION_CHUNKS || how->chunk_bytes <= 0) return 1;
    return step->gradient_bytes / how->chunk_bytes + 1;
}

static int step_check(const hm_step_t *step, const hm_step_how_t *how)
{
    if (step->layers < 1 || step->layers > HM_STEP_LAYERS) return -EINVAL;
    if (!degree_known(how->degree[0]) || !degree_known(how->degree[1])) return -EINVAL;
    return layer_chunks(step, how) <= HM_STEP_CHUNKS ? 0 : -EINVAL;
}

static hm_overlap_how_t layer_how(const hm_step_how_t *how, int backward)
{
    return (hm_overlap_how_t){how->degree[backward], how->one_link};
}

/* Decides what is reduced where. memory: [2 * layers]. */
static void slices_set(schedule_t *schedule, double *memory)
{
    const hm_step_t *step = schedule->step;
    hm_overlap_layer_t backward = overlap_backward(&step->layer);
    hm_gradient_t gradient = {.layers = step->layers,
                              .layer_bytes = memory,
                              .alpha_ms = step->reduce_ms,
                              .byte_ms = step->reduce_byte_ms,
                              .free_ms = {0, step->dense_ms[1]}};
    gradient.free_ms[0] = overlap_free_ms(&backward, layer_how(schedule->how, 1));
    for (int i = 0; i < gradient_places(step->layers); i++) schedule->pieces[i] = 1;
    for (int i = 0; i < step->layers; i++) memory[i] = step->gradient_bytes;
    if (schedule->how->reduction == HM_REDUCTION_BEST) gradient_best(&gradient, schedule->slice);
    if (schedule->how->reduction == HM_REDUCTION_CARRY) gradient_carry(&gradient, schedule->slice);
    if (schedule->how->reduction == HM_REDUCTION_STACK)
        gradient_stack(&gradient, schedule->slice, schedule->pieces, memory + step->layers);
}

static int task_append(schedule_t *schedule, hm_stream_t stream, double ms, int after)
{
    schedule->task[schedule->count] = (hm_task_t){.stream = stream, .ms = ms, .after = {after, -1}};
    return schedule->count++;
}

static double slice_ms(const schedule_t *schedule, int place)
{
    double bytes = schedule->slice[place];
    if (bytes <= 0) return 0;
    return schedule->pieces[place] * schedule->step->reduce_ms + bytes * schedule->step->reduce_byte_ms;
}

/* A layer's gradient in chunks, from when it is there. */
static void chunks_append(schedule_t *schedule, int after)
{
    const hm_step_t *step = schedule->step;
    double most = schedule->how->chunk_bytes > 0 ? schedule->how->chunk_bytes : step->gradient_bytes;
    for (double left = step->gradient_bytes; left > 0; left -= most) {
        double bytes = left < most ? left : most;
        int task = task_append(schedule, HM_STREAM_INTER, step->reduce_ms + bytes * step->reduce_byte_ms, after);
        schedule->task[task].background = true;
    }
}

static int forward_append(schedule_t *schedule)
{
    const hm_step_t *step = schedule->step;
    int end = -1;
    for (int i = 0; i < step->layers; i++) {
        end = task_append(schedule, HM_STREAM_COMPUTE, step->dense_ms[0], end);
        end = overlap_append(&step->layer, layer_how(schedule->how, 0), 0, end, schedule->task, &schedule->count);
    }
    return end;
}

static void backward_append(schedule_t *schedule, int end)
{
    const hm_step_t *step = schedule->step;
    hm_overlap_layer_t backward = overlap_backward(&step->layer);
    bool chunks = schedule->how->reduction == HM_REDUCTION_CHUNKS;
    for (int i = 0; i < step->layers; i++) {
        double inside = chunks ? 0 : slice_ms(schedule, 2 * i), beside = chunks ? 0 : slice_ms(schedule, 2 * i + 1);
        end = overlap_append(&backward, layer_how(schedule->how, 1), inside, end, schedule->task, &schedule->count);
        if (beside > 0) task_append(schedule, HM_STREAM_INTER, beside, end);
        end = task_append(schedule, HM_STREAM_COMPUTE, step->dense_ms[1], end);
        if (chunks) chunks_append(schedule, end);
    }
    double left = chunks ? 0 : slice_ms(schedule, 2 * step->layers);
    if (left > 0) task_append(schedule, HM_STREAM_INTER, left, end);
}

int step_simulate(const hm_step_t *step, const hm_step_how_t *how, double *slice, double *ms)
{
    int rc = step_check(step, how);
    if (rc != 0) return rc;
    size_t layers = (size_t)step->layers, places = (size_t)gradient_places(step->layers);
    size_t tasks = 4 + (size_t)layer_chunks(step, how);
    for (int pass = 0; pass < 2; pass++) tasks += (size_t)overlap_tasks(how->degree[pass]);
    hm_task_t *task = malloc(layers * tasks * sizeof(*task) + sizeof(*task));
    double *bytes = malloc((places + 2 * layers) * sizeof(*bytes));
    int *pieces = malloc(places * sizeof(*pieces));
    if (task == NULL || bytes == NULL || pieces == NULL) {
        rc = -ENOMEM;
    } else {
        schedule_t schedule = {.step = step, .how = how, .task = task, .slice = bytes, .pieces = pieces};
        if (how->reduction != HM_REDUCTION_CHUNKS) {
            slices_set(&schedule, bytes + places);
            if (slice != NULL) memcpy(slice, bytes, places * sizeof(*slice));
        }
        backward_append(&schedule, forward_append(&schedule));
        *ms = streams_run(task, schedule.count);
    }
    free(pieces);
    free(bytes);
    free(task);
    return rc;
}

int step_choose(const hm_step_t *step, bool same, hm_step_how_t *how, double *slice, double *ms)
{
    hm_step_how_t best = *how;
    double least = -1;
    for (int i = 0; i < HM_OVERLAP_DEGREES * HM_OVERLAP_DEGREES; i++) {
        hm_step_how_t now = *how;
        double time;
        now.degree[0] = overlap_degree(i / HM_OVERLAP_DEGREES);
        now.degree[1] = overlap_degree(i % HM_OVERLAP_DEGREES);
        if (same && now.degree[0] != now.degree[1]) continue;
        int rc = step_simulate(step, &now, NULL, &time);
        if (rc != 0) return rc;
        if (least >= 0 && time >= least) continue;
        least = time;
        best = now;
    }
    *how = best;
    return step_simulate(step, how, slice, ms);
}
