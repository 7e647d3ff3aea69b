#include "shares_division.h"

#define NEVER (-1e300)

/* With the GPU's experts in Johnson's order, it is done when the last of these is: all of them without waiting, or, for
 * each streamed one, its transfer and all that came before it, then it and those behind it. The place of a streamed
 * expert, less those that the CPU or residents take before it, is the number of its transfer. */
typedef struct windows {
    const hm_division_t *of;
    double *sum;   /* [count + 1] of gpu before a place */
    double *first; /* [count + 1] latest end of streamed ones before a place, none before them on the CPU, less the sum
                    * of what the GPU does */
    double
        *last; /* [count + 1] the same of those from a place on, as if none before them were on the CPU or resident */
} windows_t;

static windows_t windows_prepare(const hm_division_t *division)
{
    int n = division->count, resident = division->resident;
    windows_t windows = {division, division->work, division->work + n + 1, division->work + 2 * (n + 1)};
    windows.sum[0] = 0;
    windows.first[0] = NEVER;
    for (int i = 0; i < n; i++) {
        double end = i >= resident ? (i - resident + 1) * division->stream_ms - windows.sum[i] : NEVER;
        windows.sum[i + 1] = windows.sum[i] + division->gpu[i];
        windows.first[i + 1] = division_later(windows.first[i], end);
    }
    windows.last[n] = NEVER;
    for (int i = n - 1; i >= 0; i--)
        windows.last[i] = division_later(windows.last[i + 1], (i + 1) * division->stream_ms - windows.sum[i]);
    return windows;
}

/* When link and GPU are done if the CPU takes places at ... at + width - 1. */
static double window_gpu(const windows_t *windows, int at, int width)
{
    const hm_division_t *division = windows->of;
    int n = division->count, resident = division->resident, next = (at > resident ? at : resident) + width;
    double all = windows->sum[at] + windows->sum[n] - windows->sum[at + width];
    double end = division_later(division->held_ms + all, windows->first[at] + all);
    if (next >= n) return end;
    return division_later(end, windows->last[next] + windows->sum[n] - (width + resident) * division->stream_ms);
}

/* For every first place the CPU takes as many experts as it has done when the GPU is done, or one more. Behind a later
 * place lie colder experts, so that is never fewer: the ends of the window only move on. */
void division_window(hm_division_t *division)
{
    windows_t windows = windows_prepare(division);
    int n = division->count, at_best = 0, width_best = 0, width = 0;
    double cpu = 0; /* of the window */
    division->best_ms = window_gpu(&windows, 0, 0);
    for (int at = 0; at < n; at++) {
        for (;;) {
            double gpu = window_gpu(&windows, at, width);
            if (division_later(cpu, gpu) < division->best_ms) {
                division->best_ms = division_later(cpu, gpu);
                at_best = at;
                width_best = width;
            }
            if (at + width == n || cpu >= gpu) break;
            cpu += division->cpu[at + width++];
        }
        if (width == 0) continue;
        cpu -= division->cpu[at];
        width--;
    }
    for (int i = 0; i < n; i++) division->on_cpu[i] = i >= at_best && i < at_best + width_best;
}
