#include "report.h"

#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *at = text; *at; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if ((unsigned char)*at < 0x20)
            fprintf(out, "\\u%04x", (unsigned char)*at);
        else
            fputc(*at, out);
    }
    fputc('"', out);
}

static void json_named(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\":", name);
    json_string(out, text);
}

static void json_config(FILE *out, const mp_report_t *report)
{
    const mp_options_t *options = report->options;
    const mp_routing_t *routing = report->routing;
    fprintf(out, "\"config\":{");
    json_named(out, "pattern", options_pattern_name(options->pattern));
    fputc(',', out);
    json_named(out, "routing", options->route_text);
    fprintf(out, ",\"dtype\":\"%s\",\"hidden\":%zu,\"row_bytes\":%zu,\"experts\":%d,\"topk\":%d,\"layers\":%d",
            options_dtype_name(options->dtype), options->hidden, options->hidden * options_dtype_bytes(options->dtype),
            routing->experts, routing->topk, routing->layers);
    fprintf(out, ",\"capacity\":%zu,\"seed\":%" PRIu64 ",\"iters\":%d,\"warmup\":%d,\"check\":%d,\"between_ms\":%g",
            report->capacity, options->seed, options->iters, options->warmup, options->check, options->between_ms);
    fprintf(out, ",\"ranks\":%d,\"nodes\":%d,\"tokens\":[", options->ranks, options->nodes);
    for (int r = 0; r < options->ranks; r++) fprintf(out, "%s%zu", r ? "," : "", routing->tokens_of[r]);
    fprintf(out, "],\"node_of\":[");
    for (int r = 0; r < options->ranks; r++) fprintf(out, "%s%d", r ? "," : "", options->node_of[r]);
    fprintf(out, "]}");
}

static double largest(const double *values, int count)
{
    double most = 0;
    for (int i = 0; i < count; i++)
        if (values[i] > most) most = values[i];
    return most;
}

static void json_array(FILE *out, const char *name, const double *values, int count, double factor, const char *format)
{
    fprintf(out, "\"%s\":[", name);
    for (int i = 0; i < count; i++) {
        if (i) fputc(',', out);
        fprintf(out, format, values[i] * factor);
    }
    fputc(']', out);
}

/* Bytes of one iteration that leave ranks, nodes and links under each degree of de-duplication. */
static void json_unique(FILE *out, const mp_report_t *report)
{
    const mp_volume_t *volume = report->volume;
    double row = (double)(report->options->hidden * options_dtype_bytes(report->options->dtype));
    fprintf(out, "\"unique\":{\"rows\":{\"off_rank\":%.3f,\"off_node\":%.3f,\"per_gpu\":%.3f,\"per_node\":%.3f}",
            volume->off_rank, volume->off_node, volume->per_gpu, volume->per_node);
    fprintf(out, ",\"bytes\":{\"off_rank\":%.0f,\"off_node\":%.0f,\"per_gpu\":%.0f,\"per_node\":%.0f}",
            volume->off_rank * row, volume->off_node * row, volume->per_gpu * row, volume->per_node * row);
    fprintf(out, ",\"busiest_link\":{\"flat_out\":%.0f,\"flat_in\":%.0f,\"node_out\":%.0f,\"node_in\":%.0f},",
            largest(volume->flat_out, volume->nodes) * row, largest(volume->flat_in, volume->nodes) * row,
            largest(volume->node_out, volume->nodes) * row, largest(volume->node_in, volume->nodes) * row);
    json_array(out, "flat_out", volume->flat_out, volume->nodes, row, "%.0f");
    fputc(',', out);
    json_array(out, "flat_in", volume->flat_in, volume->nodes, row, "%.0f");
    fputc(',', out);
    json_array(out, "node_out", volume->node_out, volume->nodes, row, "%.0f");
    fputc(',', out);
    json_array(out, "node_in", volume->node_in, volume->nodes, row, "%.0f");
    fputc('}', out);
}

static void json_wire(FILE *out, const mp_report_t *report, const mp_tally_t *tally)
{
    uint64_t sent = 0;
    int readers = 0;
    for (int r = 0; r < report->options->ranks; r++) sent += tally[r].wire.tx;
    fprintf(out, "\"wire\":{\"bytes\":%.1f,\"hosts\":[", (double)sent / report->options->iters);
    for (int r = 0; r < report->options->ranks; r++) {
        if (!tally[r].reads_wire) continue;
        fprintf(out, "%s{\"rank\":%d,\"node\":%d,\"tx\":%" PRIu64 ",\"rx\":%" PRIu64 "}", readers++ ? "," : "", r,
                report->options->node_of[r], tally[r].wire.tx, tally[r].wire.rx);
    }
    fprintf(out, "]}");
}

static void json_outcome(FILE *out, const mp_report_t *report, mp_direction_t direction)
{
    const mp_outcome_t *outcome = &report->outcomes[direction];
    int iters = report->options->iters, ranks = report->options->ranks;
    uint64_t wrong = 0, checked = 0;
    double error_ulp = 0;
    for (int r = 0; r < ranks; r++) {
        error_ulp = fmax(error_ulp, outcome->tally[r].error_ulp);
        wrong += outcome->tally[r].wrong;
        checked += outcome->tally[r].checked;
    }
    fprintf(out, "\"%s\":{\"ms\":{\"median\":%.6f,\"min\":%.6f,\"p95\":%.6f,", options_direction_name(direction),
            report_quantile(outcome->ms, iters, 0.5), report_quantile(outcome->ms, iters, 0),
            report_quantile(outcome->ms, iters, 0.95));
    json_array(out, "all", outcome->ms, iters, 1, "%.6f");
    fprintf(out, "},\"wrong\":%" PRIu64 ",\"checked_bytes\":%" PRIu64 ",\"bytes\":[", wrong, checked);
    for (int r = 0; r < ranks; r++) fprintf(out, "%s%.1f", r ? "," : "", (double)outcome->tally[r].bytes / iters);
    fprintf(out, "],\"off_rank_bytes\":[");
    for (int r = 0; r < ranks; r++) fprintf(out, "%s%.1f", r ? "," : "", (double)outcome->tally[r].off_rank / iters);
    fprintf(out, "],\"cpu_ms\":[");
    for (int r = 0; r < ranks; r++)
        fprintf(out, "%s%.3f", r ? "," : "", 1e-3 * (double)outcome->tally[r].cpu_us / iters);
    fprintf(out, "],");
    json_wire(out, report, outcome->tally);
    if (report->options->guided && !options_direction_out(direction))
        fprintf(out, ",\"max_error_ulp\":%.6f", error_ulp);
    fputc('}', out);
}

int report_json(const mp_report_t *report, const char *path)
{
    int written = 0;
    FILE *out = fopen(path, "w");
    if (!out) {
        say("cannot write %s: %s", path, strerror(errno));
        return -EIO;
    }
    fprintf(out, "{\"version\":%d,\"nccl_version\":%d,", MP_REPORT_VERSION, report->nccl_version);
    json_named(out, "nccl_path", report->nccl_path);
    fputc(',', out);
    json_named(out, "device", report->device);
    fputc(',', out);
    json_config(out, report);
    fputc(',', out);
    json_unique(out, report);
    fprintf(out, ",\"results\":{");
    for (int d = 0; d < MP_DIRECTIONS; d++) {
        if (!report->options->run[d]) continue;
        if (written++) fputc(',', out);
        json_outcome(out, report, (mp_direction_t)d);
    }
    fprintf(out, "}}\n");
    int failed = ferror(out);
    if (fclose(out) || failed) {
        say("cannot write %s", path);
        return -EIO;
    }
    return 0;
}
