/* Expert-parallel dispatch and combine over whichever NCCL is loaded, timed and checked in the manner of nccl-tests. */
#include "bench.h"
#include "report.h"
#include "say.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EXIT_WRONG = 1, EXIT_USAGE = 2, EXIT_BROKEN = 3 };

typedef struct app {
    mp_options_t options;
    mp_routing_t routing;
    mp_layout_t *layouts; /* [routing.layers] */
    mp_volume_t volume;
    const mp_device_t *device;
    mp_comm_t comm;
    mp_guide_t guide; /* options.guided */
    mp_seat_t *seats; /* [ranks] */
    mp_result_t results[MP_DIRECTIONS];
    mp_tally_t *tally[MP_DIRECTIONS]; /* [ranks] each */
} app_t;

/* The routing, this rank's buffers' layouts, and how often the timed iterations use each layer. */
static int app_plan(app_t *app)
{
    const mp_options_t *options = &app->options;
    int status = routing_create(options, &app->routing), layers = app->routing.layers;
    if (status) return status;
    app->layouts = calloc((size_t)layers, sizeof(*app->layouts));
    status = app->layouts ? volume_create(options->nodes, &app->volume) : -ENOMEM;
    for (int l = 0; !status && l < layers; l++) {
        int uses = 0;
        for (int i = 0; i < options->iters; i++) uses += (i + options->warmup) % layers == l;
        status = layout_create(&app->routing, l, options->rank, options->pattern != MP_MEGATRON,
                               options->capacity_factor, &app->layouts[l]);
        if (!status && uses && !options->rank)
            status = volume_add(&app->volume, &app->routing, l, app->layouts[l].capacity, options->node_of,
                                (double)uses / options->iters);
    }
    if (status) say("out of memory for the layout of %d layers", layers);
    return status;
}

/* The one rank among those that share a network namespace that reads its counters. */
static bool app_reads_wire(const app_t *app)
{
    int me = app->options.rank;
    for (int r = 0; r < me; r++)
        if (app->seats[r].host_key == app->seats[me].host_key) return false;
    return true;
}

static int app_introduce(app_t *app, const char *device)
{
    mp_seat_t mine = {.pid = (uint64_t)getpid(), .host_key = wire_host_key()};
    gethostname(mine.host, sizeof(mine.host) - 1);
    snprintf(mine.device, sizeof(mine.device), "%s", device);
    app->seats = calloc((size_t)app->options.ranks, sizeof(*app->seats));
    if (!app->seats) return -ENOMEM;
    return comm_gather(&app->comm, &mine, sizeof(mine), app->seats);
}

static ncclDataType_t app_type(mp_dtype_t dtype, int nccl_version)
{
    static const ncclDataType_t types[] = {ncclBfloat16, ncclFloat16, ncclFloat32, ncclFloat8e4m3};
    /* NCCL has 8-bit floats since 2.24; before, jobs send them as plain bytes. */
    return dtype == MP_FP8 && nccl_version < 22400 ? ncclUint8 : types[dtype];
}

static int app_measure(app_t *app, mp_bench_t *bench, mp_direction_t direction)
{
    mp_result_t *result = &app->results[direction];
    int status = bench_run(bench, direction, result);
    if (status) return status;
    mp_tally_t mine = {result->wrong.bytes, result->checked,   result->bytes,  result->off_rank,
                       result->wire,        bench->reads_wire, result->cpu_us, result->error_ulp};
    app->tally[direction] = calloc((size_t)app->options.ranks, sizeof(mp_tally_t));
    if (!app->tally[direction]) return -ENOMEM;
    if (result->wrong.bytes && !result->wrong.said) {
        char text[512];
        payload_describe(&result->wrong, options_dtype_bytes(app->options.dtype), text, sizeof(text));
        say("%llu wrong bytes; the first: %s", (unsigned long long)result->wrong.bytes, text);
    }
    return comm_gather(&app->comm, &mine, sizeof(mine), app->tally[direction]);
}

static int app_benchmark(app_t *app, mp_report_t *report)
{
    mp_bench_t bench = {.options = &app->options,
                        .comm = &app->comm,
                        .layouts = app->layouts,
                        .layers = app->routing.layers,
                        .guide = &app->guide,
                        .type = app_type(app->options.dtype, report->nccl_version),
                        .reads_wire = app_reads_wire(app)};
    int status = 0;
    if (app->options.pattern == MP_ALLTOALL) {
        *(void **)&bench.alltoall = dlsym(RTLD_DEFAULT, "ncclAlltoAll");
        if (!bench.alltoall) {
            say("--pattern alltoall: the loaded NCCL has no ncclAlltoAll (2.28 and later have)");
            return -ENOSYS;
        }
    }
    if (!app->options.rank) report_header(report);
    for (int d = 0; !status && d < MP_DIRECTIONS; d++) {
        if (!app->options.run[d]) continue;
        status = app_measure(app, &bench, (mp_direction_t)d);
        if (status) break;
        report->outcomes[d] = (mp_outcome_t){app->results[d].ms, app->tally[d]};
        if (!app->options.rank) report_row(report, (mp_direction_t)d);
    }
    if (status || app->options.rank) return status;
    report_footer(report);
    return app->options.json ? report_json(report, app->options.json) : 0;
}

static int app_run(app_t *app, mp_report_t *report)
{
    char label[128];
    Dl_info image = {0};
    int status = comm_failed("ncclGetVersion", ncclGetVersion(&report->nccl_version));
    app->device = status ? NULL : device_find();
    if (!app->device) return -ENODEV;
    status = app->device->open(app->options.local_rank, label, sizeof(label));
    if (status) return status;
    status = comm_open(app->device, app->options.ranks, app->options.rank, app->options.id_file, app->options.timeout,
                       &app->comm);
    if (status) return status;
    status = app_introduce(app, label);
    *report = (mp_report_t){.options = &app->options,
                            .routing = &app->routing,
                            .volume = &app->volume,
                            .capacity = app->layouts[0].capacity,
                            .nccl_version = report->nccl_version,
                            .device = app->device->name,
                            .seats = app->seats};
    /* With a library preloaded in front, this is that library. */
    report->nccl_path = dladdr((void *)ncclSend, &image) && image.dli_fname ? image.dli_fname : "unknown";
    if (!status && app->options.guided)
        status = guide_open(&app->guide, app->device, &app->options, app->layouts, app->routing.layers);
    if (!status) status = app_benchmark(app, report);
    if (!status) guide_close(&app->guide);
    comm_close(&app->comm, !status);
    return status;
}

static void app_free(app_t *app)
{
    for (int l = 0; app->layouts && l < app->routing.layers; l++) layout_free(&app->layouts[l]);
    for (int d = 0; d < MP_DIRECTIONS; d++) {
        bench_result_free(&app->results[d]);
        free(app->tally[d]);
    }
    free(app->layouts);
    free(app->seats);
    volume_free(&app->volume);
    routing_free(&app->routing);
    options_free(&app->options);
}

int main(int argc, char **argv)
{
    app_t app = {0};
    mp_report_t report = {0};
    int status = options_parse(argc, argv, &app.options);
    if (status) return status > 0 ? 0 : EXIT_USAGE;
    status = app_plan(&app) ? EXIT_USAGE : 0;
    if (!status && app_run(&app, &report)) status = EXIT_BROKEN;
    if (!status && report_wrong(&report)) status = EXIT_WRONG;
    app_free(&app);
    return status;
}
