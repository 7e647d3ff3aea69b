#include "report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double report_quantile(const double *values, int count, double share)
{
    double *sorted = malloc((size_t)count * sizeof(double)), found;
    if (!sorted) return NAN;
    memcpy(sorted, values, (size_t)count * sizeof(double));
    qsort(sorted, (size_t)count, sizeof(double), ascending);
    int at = (int)ceil(share * count) - 1;
    if (at < 0) at = 0;
    found = sorted[at];
    if (share == 0.5 && count % 2 == 0) found = (sorted[at] + sorted[at + 1]) / 2;
    free(sorted);
    return found;
}

uint64_t report_wrong(const mp_report_t *report)
{
    uint64_t wrong = 0;
    for (int d = 0; d < MP_DIRECTIONS; d++)
        for (int r = 0; report->options->run[d] && r < report->options->ranks; r++)
            wrong += report->outcomes[d].tally[r].wrong;
    return wrong;
}

void report_header(const mp_report_t *report)
{
    const mp_options_t *options = report->options;
    const mp_routing_t *routing = report->routing;
    const mp_volume_t *volume = report->volume;
    double row = (double)(options->hidden * options_dtype_bytes(options->dtype)) / 1e6;
    printf("# moe_perf version %d nccl-library=%d (%s) device %s\n", MP_REPORT_VERSION, report->nccl_version,
           report->nccl_path, report->device);
    printf("# ranks %d nodes %d pattern %s routing %s seed %llu layers %d\n", options->ranks, options->nodes,
           options_pattern_name(options->pattern), options->route_text, (unsigned long long)options->seed,
           routing->layers);
    printf("# tokens %zu hidden %zu %s experts %d topk %d capacity %zu warmup iters %d iters %d check every %d\n",
           routing->tokens, options->hidden, options_dtype_name(options->dtype), routing->experts, routing->topk,
           report->capacity, options->warmup, options->iters, options->check);
    printf("# Using devices\n");
    for (int r = 0; r < options->ranks; r++)
        printf("#  Rank %2d Node %2d Pid %6llu on %10s device %s\n", r, options->node_of[r],
               (unsigned long long)report->seats[r].pid, report->seats[r].host, report->seats[r].device);
    printf("# MB per iteration, all ranks: off rank %.3f, off node flat %.3f, once per GPU %.3f, once per node %.3f\n",
           volume->off_rank * row, volume->off_node * row, volume->per_gpu * row, volume->per_node * row);
    printf("#\n# %9s %12s %8s %10s %10s %10s %8s %8s %12s %8s\n", "", "size", "type", "time", "min", "p95", "algbw",
           "busbw", "wire", "#wrong");
    printf("# %9s %12s %8s %10s %10s %10s %8s %8s %12s %8s\n", "", "(B/rank)", "", "(us)", "(us)", "(us)", "(GB/s)",
           "(GB/s)", "(B)", "");
}

/* Sums over ranks, per iteration. */
static mp_tally_t tally_sum(const mp_report_t *report, mp_direction_t direction)
{
    mp_tally_t all = {0};
    for (int r = 0; r < report->options->ranks; r++) {
        const mp_tally_t *one = &report->outcomes[direction].tally[r];
        all.wrong += one->wrong;
        all.checked += one->checked;
        all.bytes += one->bytes;
        all.off_rank += one->off_rank;
        all.wire.tx += one->wire.tx;
        all.wire.rx += one->wire.rx;
    }
    return all;
}

void report_row(const mp_report_t *report, mp_direction_t direction)
{
    const mp_options_t *options = report->options;
    const double *ms = report->outcomes[direction].ms;
    mp_tally_t all = tally_sum(report, direction);
    double parts = (double)options->ranks * options->iters, median = report_quantile(ms, options->iters, 0.5);
    printf("  %9s %12.0f %8s %10.1f %10.1f %10.1f %8.3f %8.3f %12.0f %8llu\n", options_direction_name(direction),
           (double)all.bytes / parts, options_dtype_name(options->dtype), median * 1e3,
           report_quantile(ms, options->iters, 0) * 1e3, report_quantile(ms, options->iters, 0.95) * 1e3,
           (double)all.bytes / parts / median / 1e6, (double)all.off_rank / parts / median / 1e6,
           (double)all.wire.tx / options->iters, (unsigned long long)all.wrong);
}

void report_footer(const mp_report_t *report)
{
    const mp_options_t *options = report->options;
    uint64_t wrong = report_wrong(report);
    double bandwidth = 0;
    int directions = 0;
    for (int d = 0; d < MP_DIRECTIONS; d++) {
        if (!options->run[d]) continue;
        bandwidth += (double)tally_sum(report, (mp_direction_t)d).off_rank / options->ranks / options->iters /
                     report_quantile(report->outcomes[d].ms, options->iters, 0.5) / 1e6;
        directions++;
    }
    if (options->check)
        printf("# Out of bounds values : %llu %s\n", (unsigned long long)wrong, wrong ? "FAILED" : "OK");
    else
        printf("# Out of bounds values : not checked\n");
    printf("# Avg bus bandwidth    : %g\n", bandwidth / directions);
    fflush(stdout);
}
