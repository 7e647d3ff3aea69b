#include "bench.h"

#include "exchange.h"
#include "say.h"
#include "sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GUARD 256 /* bytes of poison behind the receive buffer that must stay */

typedef struct run {
    const mp_bench_t *bench;
    mp_direction_t direction;
    mp_buffer_t send, recv;
    size_t row_bytes;
    size_t *send_rows, *recv_rows, *send_count, *recv_count; /* [ranks] */
    uint8_t *scratch;                                        /* one row */
    struct run *dispatch;                                    /* that guided exchanges go along; NULL: they need none */
    mp_result_t *result;
} run_t;

/* Rows of this rank's exchange with each peer; a combine goes back the way the dispatch came. */
static void run_counts(const run_t *run, const mp_layout_t *layout)
{
    size_t ranks = (size_t)layout->ranks, me = (size_t)layout->rank;
    for (size_t p = 0; p < ranks; p++) {
        size_t there = layout->counts[me * ranks + p], back = layout->counts[p * ranks + me];
        run->send_rows[p] = options_direction_out(run->direction) ? there : back;
        run->recv_rows[p] = options_direction_out(run->direction) ? back : there;
        run->send_count[p] = run->send_rows[p] * run->bench->options->hidden;
        run->recv_count[p] = run->recv_rows[p] * run->bench->options->hidden;
    }
}

static size_t sum(const size_t *rows, int count)
{
    size_t all = 0;
    for (int p = 0; p < count; p++) all += rows[p];
    return all;
}

/* How rows are named: those of a backward like the way that they go. */
static mp_direction_t named_direction(const run_t *run)
{
    return options_direction_out(run->direction) ? MP_DISPATCH : MP_COMBINE;
}

/* Whether rows hold numbers, which the receiver adds up. */
static bool run_adds(const run_t *run)
{
    return run->bench->options->guided && !options_direction_out(run->direction);
}

/* The name of row i of this rank's send buffer. Rows of a combine are all different: experts' outputs. */
static mp_name_t send_name(const run_t *run, const mp_layout_t *layout, int iteration, size_t i)
{
    uint32_t row = options_direction_out(run->direction) ? layout->send_token[i] : (uint32_t)i;
    return (mp_name_t){named_direction(run), iteration, layout->rank, row};
}

/* Row i of this rank's send buffer. */
static void row_write(const run_t *run, const mp_layout_t *layout, int iteration, size_t i, uint8_t *row)
{
    const mp_options_t *options = run->bench->options;
    mp_name_t name = send_name(run, layout, iteration, i);
    if (run_adds(run))
        sums_write(row, options->hidden, options->dtype, name);
    else
        payload_write(row, run->row_bytes, name);
}

static void run_fill(const run_t *run, const mp_layout_t *layout, int iteration)
{
    size_t rows = sum(run->send_rows, layout->ranks);
    for (size_t i = 0; i < rows; i++) row_write(run, layout, iteration, i, run->send.host + i * run->row_bytes);
}

/* Where the rows that `source` sends to this rank begin in its combine's send buffer. */
static size_t combine_start(const mp_layout_t *layout, int source)
{
    size_t ranks = (size_t)layout->ranks, at = 0;
    for (int q = 0; q < layout->rank; q++) at += layout->counts[(size_t)q * ranks + (size_t)source];
    return at;
}

/* Looks at every byte that was received. */
static void rows_check(const run_t *run, const mp_layout_t *layout, int iteration)
{
    mp_wrong_t *wrong = &run->result->wrong;
    size_t row = 0;
    for (int s = 0; s < layout->ranks; s++) {
        size_t start = !options_direction_out(run->direction) ? combine_start(layout, s) : 0;
        for (size_t i = 0; i < run->recv_rows[s]; i++, row++) {
            uint32_t named = options_direction_out(run->direction) ? layout->recv_token[row] : (uint32_t)(start + i);
            payload_check(run->recv.host + row * run->row_bytes, run->row_bytes,
                          (mp_name_t){named_direction(run), iteration, s, named}, row, run->scratch, wrong);
        }
    }
}

/* The job's send buffer is only read. */
static void send_check(const run_t *run, const mp_layout_t *layout, int iteration)
{
    size_t rows = sum(run->send_rows, layout->ranks);
    for (size_t i = 0; i < rows; i++) {
        const uint8_t *row = run->send.host + i * run->row_bytes;
        mp_name_t name = send_name(run, layout, iteration, i);
        if (run_adds(run)) {
            row_write(run, layout, iteration, i, run->scratch);
            if (memcmp(row, run->scratch, run->row_bytes) != 0) run->result->wrong.bytes += run->row_bytes;
        } else {
            payload_check(row, run->row_bytes, name, i, run->scratch, &run->result->wrong);
        }
    }
}

static int run_check(const run_t *run, const mp_layout_t *layout, int iteration)
{
    const mp_options_t *options = run->bench->options;
    size_t bytes = sum(run->recv_rows, layout->ranks) * run->row_bytes;
    mp_sums_t sums = {layout, run->recv.host, options->hidden, options->dtype, iteration};
    int status = 0;
    if (run_adds(run))
        status = sums_check(&sums, &run->result->wrong, &run->result->error_ulp);
    else
        rows_check(run, layout, iteration);
    run->result->checked += bytes;
    payload_check_poison(run->recv.host + bytes, GUARD, &run->result->wrong);
    send_check(run, layout, iteration);
    return status;
}

static int run_prepare(const run_t *run, const mp_layout_t *layout, int iteration, bool checked)
{
    const mp_device_t *device = run->bench->comm->device;
    size_t send_bytes = sum(run->send_rows, layout->ranks) * run->row_bytes;
    size_t recv_bytes = sum(run->recv_rows, layout->ranks) * run->row_bytes + GUARD;
    run_fill(run, layout, iteration);
    int status = device->upload(&run->send, send_bytes);
    if (status || !checked) return status;
    memset(run->recv.host, MP_POISON, recv_bytes);
    return device->upload(&run->recv, recv_bytes);
}

static int run_verify(const run_t *run, const mp_layout_t *layout, int iteration)
{
    const mp_device_t *device = run->bench->comm->device;
    int status = device->download(&run->recv, sum(run->recv_rows, layout->ranks) * run->row_bytes + GUARD);
    if (!status) status = device->download(&run->send, sum(run->send_rows, layout->ranks) * run->row_bytes);
    return status ? status : run_check(run, layout, iteration);
}

static double ms_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

/* What all threads of this process have taken. */
static uint64_t cpu_us_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The timed region: the call, and the wait for its end. */
static int run_exchange(const run_t *run, int layer, double *ms)
{
    const mp_bench_t *bench = run->bench;
    mp_exchange_t exchange = {.send = sum(run->send_rows, bench->comm->ranks) ? run->send.device : NULL,
                              .recv = sum(run->recv_rows, bench->comm->ranks) ? run->recv.device : NULL,
                              .send_count = run->send_count,
                              .recv_count = run->recv_count,
                              .ranks = bench->comm->ranks,
                              .type = bench->type,
                              .type_bytes = options_dtype_bytes(bench->options->dtype),
                              .comm = bench->comm->comm,
                              .stream = (cudaStream_t)bench->comm->stream};
    double start = ms_now();
    guide_announce(bench->guide, run->direction, layer, &bench->layouts[layer]);
    ncclResult_t result = bench->options->pattern == MP_ALLTOALL ? moe_perf_all_to_all(&exchange, bench->alltoall)
                                                                 : moe_perf_all_to_all_v(&exchange);
    guide_settle(bench->guide, run->direction, layer);
    int status = comm_failed("all-to-all", result);
    if (!status) status = comm_wait(bench->comm);
    *ms = ms_now() - start;
    return status;
}

static void pause_make(double ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1e3)};
    left.tv_nsec = (long)((ms - 1e3 * (double)left.tv_sec) * 1e6);
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* Between two barriers, so that what the counters show belongs to this exchange on all ranks. */
static int run_measure(const run_t *run, int layer, double *ms, uint64_t *cpu_us, mp_wire_t *wire)
{
    const mp_bench_t *bench = run->bench;
    mp_wire_t before = {0, 0}, after = {0, 0};
    int status = bench->reads_wire ? wire_read(bench->options->wire_if, &before) : 0;
    if (bench->options->between_ms > 0) pause_make(bench->options->between_ms);
    if (!status) status = comm_barrier(bench->comm);
    *cpu_us = cpu_us_now();
    if (!status) status = run_exchange(run, layer, ms);
    *cpu_us = cpu_us_now() - *cpu_us;
    if (!status) status = comm_barrier(bench->comm);
    if (!status && bench->reads_wire) status = wire_read(bench->options->wire_if, &after);
    wire->rx = after.rx - before.rx;
    wire->tx = after.tx - before.tx;
    return status;
}

/* The dispatch that an exchange belongs to, untimed: where exchanges are guided, each follows one of its own, as in a
 * job. */
static int dispatch_make(const run_t *run, int layer)
{
    double ms;
    run_t *out = run->dispatch;
    if (out == NULL) return 0;
    run_counts(out, &run->bench->layouts[layer]);
    int status = run_prepare(out, &run->bench->layouts[layer], 0, false);
    return status ? status : run_exchange(out, layer, &ms);
}

static int run_iterations(const run_t *run)
{
    const mp_options_t *options = run->bench->options;
    mp_result_t *result = run->result;
    int status = 0;
    for (int i = -options->warmup; !status && i < options->iters; i++) {
        int count = i + options->warmup, layer = count % run->bench->layers;
        const mp_layout_t *layout = &run->bench->layouts[layer];
        bool checked = options->check && count % options->check == 0;
        double ms = 0;
        uint64_t cpu_us = 0;
        mp_wire_t wire;
        run_counts(run, layout);
        if (checked || run->bench->layers > 1 || !count) status = run_prepare(run, layout, count, checked);
        if (!status) status = dispatch_make(run, layer);
        if (!status) status = run_measure(run, layer, &ms, &cpu_us, &wire);
        if (!status && checked) status = run_verify(run, layout, count);
        if (status || i < 0) continue;
        result->ms[i] = ms;
        result->cpu_us += cpu_us;
        result->wire.rx += wire.rx;
        result->wire.tx += wire.tx;
        result->bytes += sum(run->send_rows, layout->ranks) * run->row_bytes;
        result->off_rank += (sum(run->send_rows, layout->ranks) - run->send_rows[layout->rank]) * run->row_bytes;
    }
    return status ? status : comm_max(run->bench->comm, result->ms, (size_t)options->iters);
}

static int run_alloc(run_t *run)
{
    const mp_bench_t *bench = run->bench;
    size_t send = 0, recv = 0, ranks = (size_t)bench->comm->ranks;
    for (int l = 0; l < bench->layers; l++) {
        const mp_layout_t *layout = &bench->layouts[l];
        if (layout->send_rows > send) send = layout->send_rows;
        if (layout->recv_rows > recv) recv = layout->recv_rows;
    }
    if (!options_direction_out(run->direction)) {
        size_t swap = send;
        send = recv;
        recv = swap;
    }
    if (send > MP_NAME_ROWS || recv > MP_NAME_ROWS || run->row_bytes > MP_NAME_ROW_BYTES) {
        say("expected at most %d rows of %d bytes in a buffer", MP_NAME_ROWS, MP_NAME_ROW_BYTES);
        return -EINVAL;
    }
    run->scratch = malloc(run->row_bytes);
    run->send_rows = calloc(4 * ranks, sizeof(size_t));
    run->result->ms = calloc((size_t)bench->options->iters, sizeof(double));
    if (!run->scratch || !run->send_rows || !run->result->ms) {
        say("out of memory");
        return -ENOMEM;
    }
    run->recv_rows = run->send_rows + ranks;
    run->send_count = run->send_rows + 2 * ranks;
    run->recv_count = run->send_rows + 3 * ranks;
    int status = bench->comm->device->alloc(send * run->row_bytes, &run->send);
    return status ? status : bench->comm->device->alloc(recv * run->row_bytes + GUARD, &run->recv);
}

/* After a failure NCCL may still be writing to the buffers; the process is about to end. */
static void run_free(run_t *run, int status)
{
    if (!status) {
        run->bench->comm->device->free(&run->send);
        run->bench->comm->device->free(&run->recv);
    }
    free(run->send_rows);
    free(run->scratch);
}

int bench_run(const mp_bench_t *bench, mp_direction_t direction, mp_result_t *result)
{
    mp_result_t unused = {0};
    run_t run = {.bench = bench,
                 .direction = direction,
                 .result = result,
                 .row_bytes = bench->options->hidden * options_dtype_bytes(bench->options->dtype)};
    run_t out = run;
    out.direction = MP_DISPATCH;
    out.result = &unused;
    *result = (mp_result_t){0};
    bool follows = guide_follows(bench->guide, direction);
    int status = run_alloc(&run);
    if (!status && follows) status = run_alloc(&out);
    run.dispatch = follows ? &out : NULL;
    if (!status) status = run_iterations(&run);
    run_free(&run, status);
    if (follows) run_free(&out, status);
    bench_result_free(&unused);
    if (status) bench_result_free(result);
    return status;
}

void bench_result_free(mp_result_t *result)
{
    free(result->ms);
    result->ms = NULL;
}
