/* Times the CUDA back end: each operation as a job sees it, and each kernel within identify. The floor is the time that
 * the device's own copy would need for the bytes (input read once, output written once); the share is floor / time.
 * usage: kernels_bench [--repeats n] [--tiny] [--cache bytes]   prints a table, then one JSON line for each row.
 *   --cache: cut repeated rows as for a level 2 cache of that size */
#include "cuda_context.h"
#include "gpu.h"

#include <stdlib.h>

enum { MOST_LAUNCHES = 64, MOST_REPEATS = 200, MOST_LINES = 128 };

static hm_context_t *context;
static const hm_kernels_t *kernels;
static CUstream stream;
static hm_cuda_t timed; /* the driver with launches timed */
static CUresult (*launch)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream,
                          void **, void **);
static CUevent begin_event[MOST_LAUNCHES], end_event[MOST_LAUNCHES];
static CUfunction launched[MOST_LAUNCHES];
static int launches, repeats = 30;
static double copy_rate; /* bytes per second, read and written */

static char lines[MOST_LINES][256];
static int line_count;

static void must(int status, const char *what)
{
    if (status == 0) return;
    fprintf(stderr, "%s failed: %d\n", what, status);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

static CUresult launch_timed(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                             unsigned bz, unsigned shared, CUstream on, void **arguments, void **extra)
{
    if (launches == MOST_LAUNCHES) return launch(function, gx, gy, gz, bx, by, bz, shared, on, arguments, extra);
    gpu.cuEventRecord_(begin_event[launches], on);
    CUresult result = launch(function, gx, gy, gz, bx, by, bz, shared, on, arguments, extra);
    gpu.cuEventRecord_(end_event[launches], on);
    launched[launches++] = function;
    return result;
}

static const char *kernel_name(CUfunction function)
{
    static const char *const name[] = {
#define NAME(kernel) #kernel,
        HM_CUDA_KERNELS(NAME)
#undef NAME
    };
    for (int i = 0; i < HM_CUDA_KERNEL_COUNT; i++)
        if (context->device.kernel[i] == function) return name[i];
    return "?";
}

static void line_add(const char *shape, const char *what, double seconds, double bytes)
{
    double floor = bytes / copy_rate;
    printf("%-28s %-22s %10.1f us", shape, what, seconds * 1e6);
    if (bytes > 0) printf(" %12.0f B %10.1f us %7.1f %%", bytes, floor * 1e6, 100 * floor / seconds);
    putchar('\n');
    if (line_count < MOST_LINES)
        snprintf(
            lines[line_count++], sizeof lines[0],
            "{\"shape\": \"%s\", \"what\": \"%s\", \"us\": %.2f, \"bytes\": %.0f, \"floor_us\": %.2f, \"share\": %.4f}",
            shape, what, seconds * 1e6, bytes, floor * 1e6, floor / seconds);
}

/* An operation and its arguments. */
typedef int (*operation_t)(void *arguments);

/* Median time of an operation between two events; then, with `kernel_bytes` (bytes by kernel name), of its kernels. */
static void measure(const char *shape, const char *what, operation_t run, void *arguments, double bytes, int by_kernel,
                    double compare_bytes)
{
    static double times[MOST_REPEATS], each[MOST_LAUNCHES][MOST_REPEATS];
    const hm_cuda_t *plain = context->cuda;
    float ms;
    for (int r = -3; r < repeats; r++) {
        launches = 0;
        gpu.cuEventRecord_(begin_event[0], stream);
        must(run(arguments), what);
        gpu.cuEventRecord_(end_event[0], stream);
        must(kernels->wait(context, stream, 60, NULL), "wait");
        gpu.elapsed(&ms, begin_event[0], end_event[0]);
        if (r >= 0) times[r] = ms * 1e-3;
    }
    line_add(shape, what, median(times, repeats), bytes);
    if (!by_kernel) return;
    for (int r = -3; r < repeats; r++) {
        launches = 0;
        context->cuda = &timed;
        must(run(arguments), what);
        context->cuda = plain;
        must(kernels->wait(context, stream, 60, NULL), "wait");
        for (int i = 0; i < launches; i++) {
            gpu.elapsed(&ms, begin_event[i], end_event[i]);
            if (r >= 0) each[i][r] = ms * 1e-3;
        }
    }
    for (int i = 0; i < launches; i++) {
        char name[64];
        snprintf(name, sizeof name, "  %d %s", i, kernel_name(launched[i]));
        int compares = strcmp(kernel_name(launched[i]), "compare") == 0;
        line_add(shape, name, median(each[i], repeats), compares ? compare_bytes : 0);
    }
}

static void copy_measure(size_t bytes)
{
    double times[MOST_REPEATS];
    void *from, *to;
    float ms;
    must(kernels->alloc(context, bytes, &from), "alloc");
    must(kernels->alloc(context, bytes, &to), "alloc");
    gpu.cuMemsetD8Async_((CUdeviceptr)(uintptr_t)from, 0, bytes, stream);
    for (int r = -3; r < repeats; r++) {
        gpu.cuEventRecord_(begin_event[0], stream);
        gpu.cuMemcpyDtoDAsync_((CUdeviceptr)(uintptr_t)to, (CUdeviceptr)(uintptr_t)from, bytes, stream);
        gpu.cuEventRecord_(end_event[0], stream);
        gpu.cuStreamSynchronize_(stream);
        gpu.elapsed(&ms, begin_event[0], end_event[0]);
        if (r >= 0) times[r] = ms * 1e-3;
    }
    copy_rate = 2.0 * (double)bytes / median(times, repeats);
    kernels->free(context, from);
    kernels->free(context, to);
}

typedef struct shape {
    char name[64];
    size_t n, row_bytes, tokens;
    int destinations, random;
    hm_rows_t rows;
    const void **base;
    size_t *count;
    uint32_t *bit;
    hm_bits_t *group;
    void *work, *data, *packed, *spread;
    hm_identity_t identity;
    hm_pick_job_t *pick;
    hm_map_job_t map;
    hm_move_job_t move;
    uint32_t distinct;
    hm_period_job_t period;
    void *period_work;
} shape_t;

static int run_identify(void *memory)
{
    shape_t *s = memory;
    return kernels->identify(context, stream, &s->rows, s->bit, s->group, s->destinations, 64, s->work, &s->identity);
}

static int run_period(void *memory)
{
    shape_t *s = memory;
    return kernels->period(context, stream, &s->period, s->period_work, s->identity.counts);
}

static int run_pick(void *memory)
{
    shape_t *s = memory;
    return kernels->pick(context, stream, s->pick, s->destinations);
}

static int run_map(void *memory)
{
    return kernels->map(context, stream, &((shape_t *)memory)->map, 1);
}

static int run_move(void *memory)
{
    return kernels->move(context, stream, &((shape_t *)memory)->move, 1);
}

static void *device_memory(size_t bytes)
{
    void *memory;
    must(kernels->alloc(context, bytes, &memory), "alloc");
    return memory;
}

static void *pinned_memory(size_t bytes)
{
    void *memory;
    must(kernels->host_alloc(context, bytes, &memory), "host_alloc");
    return memory;
}

/* The search for the size of rows, which the first calls with equal counts pay for. */
static void period_measure(shape_t *s)
{
    uint32_t size[HM_PERIOD_SIZES];
    size_t *bytes = calloc((size_t)s->destinations, sizeof *bytes);
    int sizes = 0;
    if (bytes == NULL) must(-1, "calloc");
    for (int p = 0; p < s->destinations; p++) bytes[p] = s->count[p] * s->row_bytes;
    for (size_t b = 65536; b >= 64; b -= 16)
        if (bytes[0] % b == 0 && sizes < HM_PERIOD_SIZES) size[sizes++] = (uint32_t)b;
    s->period = (hm_period_job_t){s->destinations, sizes, s->base, bytes, size};
    s->period_work = device_memory(kernels->period_bytes(&s->period));
    measure(s->name, "period", run_period, s, 0, 1, 0);
    kernels->free(context, s->period_work);
    free(bytes);
}

/* Random tokens, spread to rows: each destination gets all tokens in order again and again, or tokens by chance. */
static void shape_fill(shape_t *s)
{
    uint64_t *token = pinned_memory(s->tokens * s->row_bytes), state = 88172645463325252u;
    uint32_t *index = pinned_memory(s->n * 4), *device_index = device_memory(s->n * 4);
    for (size_t i = 0; i < s->tokens * s->row_bytes / 8; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        token[i] = state;
    }
    for (size_t i = 0; i < s->n; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        index[i] = (uint32_t)(s->random ? state % s->tokens : i % s->tokens);
    }
    must(kernels->copy(context, stream, s->packed, token, s->tokens * s->row_bytes), "copy");
    must(kernels->copy(context, stream, device_index, index, s->n * 4), "copy");
    s->move = (hm_move_job_t){.dst = s->data,
                              .src = s->packed,
                              .dst_stride = s->row_bytes,
                              .src_stride = s->row_bytes,
                              .width = s->row_bytes,
                              .rows = (uint32_t)s->n,
                              .index = device_index};
    must(run_move(s), "move");
    must(kernels->wait(context, stream, 60, NULL), "wait");
    kernels->free(context, device_index);
    kernels->host_free(context, token);
    kernels->host_free(context, index);
}

static void shape_make(shape_t *s)
{
    size_t mask_bytes = (hm_mask_bytes((uint32_t)s->destinations) + 3) / 4 * 4, each = s->n / (size_t)s->destinations;
    s->data = device_memory(s->n * s->row_bytes), s->spread = device_memory(s->n * s->row_bytes);
    s->packed = device_memory(s->n * s->row_bytes), s->work = device_memory(kernels->identify_bytes(s->n));
    s->identity = (hm_identity_t){device_memory(s->n * 4), device_memory(s->n * 4), device_memory(s->n * mask_bytes),
                                  device_memory(4 * (size_t)(1 + s->destinations)), mask_bytes};
    size_t wanted = (size_t)s->destinations;
    s->base = calloc(wanted, sizeof *s->base), s->count = calloc(wanted, sizeof *s->count);
    s->bit = calloc(wanted, sizeof *s->bit), s->group = calloc(wanted, sizeof *s->group);
    s->pick = calloc(wanted, sizeof *s->pick);
    if (!s->base || !s->count || !s->bit || !s->group || !s->pick) must(-1, "calloc");
    for (uint32_t p = 0; p < (uint32_t)s->destinations; p++) {
        s->base[p] = (char *)s->data + p * each * s->row_bytes;
        s->count[p] = each, s->bit[p] = p, s->group[p] = (hm_bits_t){p, 1};
    }
    s->rows = (hm_rows_t){s->destinations, s->base, s->count, s->row_bytes};
    shape_fill(s);
}

static void shape_measure(shape_t *s)
{
    uint32_t *counts = pinned_memory(4);
    double row = (double)s->row_bytes, all = (double)s->n * row;
    shape_make(s);
    period_measure(s);
    measure(s->name, "identify", run_identify, s, all, 1, all);
    must(kernels->copy(context, stream, counts, s->identity.counts, 4), "copy");
    must(kernels->wait(context, stream, 60, NULL), "wait");
    s->distinct = counts[0];
    uint32_t *place = device_memory((size_t)s->destinations * s->distinct * 4);
    uint32_t *index = device_memory((size_t)s->destinations * s->distinct * 4);
    for (uint32_t p = 0; p < (uint32_t)s->destinations; p++)
        s->pick[p] = (hm_pick_job_t){.mask = s->identity.mask,
                                     .mask_bytes = s->identity.mask_bytes,
                                     .rows = s->distinct,
                                     .bits = {p, 1},
                                     .index = index + (size_t)p * s->distinct,
                                     .place = place + (size_t)p * s->distinct};
    measure(s->name, "pick, all destinations", run_pick, s, s->destinations * 12.0 * s->distinct, 1, 0);
    s->map = (hm_map_job_t){s->identity.id, place, (uint32_t *)s->work, (uint32_t)s->n};
    measure(s->name, "map, all rows", run_map, s, 8.0 * (double)s->n, 1, 0);
    s->move = (hm_move_job_t){.dst = s->packed,
                              .dst_stride = s->row_bytes,
                              .width = s->row_bytes,
                              .rows = s->distinct,
                              .index = s->identity.first,
                              .segments = &s->rows};
    measure(s->name, "move: pack distinct", run_move, s, 2 * row * s->distinct, 1, 0);
    s->move = (hm_move_job_t){.dst = s->spread,
                              .src = s->packed,
                              .dst_stride = s->row_bytes,
                              .src_stride = s->row_bytes,
                              .width = s->row_bytes,
                              .rows = (uint32_t)s->n,
                              .src_rows = s->distinct,
                              .index = s->identity.id};
    measure(s->name, "move: expand", run_move, s, row * s->distinct + all, 1, 0);
    s->move = (hm_move_job_t){.dst = s->spread,
                              .src = s->data,
                              .dst_stride = s->row_bytes,
                              .src_stride = s->row_bytes,
                              .width = s->row_bytes,
                              .rows = (uint32_t)s->n};
    measure(s->name, "move: plain copy", run_move, s, 2 * all, 1, 0);
    printf("%-28s %u distinct of %zu rows\n", s->name, s->distinct, s->n);
    kernels->free(context, place), kernels->free(context, index), kernels->free(context, s->data);
    kernels->free(context, s->packed), kernels->free(context, s->spread), kernels->free(context, s->work);
    kernels->free(context, s->identity.id), kernels->free(context, s->identity.first);
    kernels->free(context, s->identity.mask), kernels->free(context, s->identity.counts);
    kernels->host_free(context, counts);
    free(s->base), free(s->count), free(s->bit), free(s->group), free(s->pick);
}

static void say(const char *text)
{
    fprintf(stderr, "said: %s\n", text);
}

int main(int argc, char **argv)
{
    const char *why = "no device";
    size_t shrink = 1;
    int cache_bytes = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--tiny") == 0) shrink = 512;
        if (strcmp(argv[i], "--cache") == 0 && i + 1 < argc) cache_bytes = atoi(argv[++i]);
        if (strcmp(argv[i], "--repeats") == 0 && i + 1 < argc) repeats = atoi(argv[++i]);
    }
    repeats = repeats < 1 ? 1 : repeats > MOST_REPEATS ? MOST_REPEATS : repeats;
    kernels = kernels_cuda_open(&why);
    if (kernels == NULL || gpu_open() != 0) {
        printf("skipped: %s\n", why);
        return 77;
    }
    hm_kernels_say = say;
    must(kernels->context_create(NULL, &context), "context_create");
    must(kernels->prepare(context), "prepare");
    if (cache_bytes > 0) context->device.cache_bytes = cache_bytes;
    stream = gpu_stream();
    for (int i = 0; i < MOST_LAUNCHES; i++) {
        gpu.cuEventCreate_(&begin_event[i], CU_EVENT_DEFAULT);
        gpu.cuEventCreate_(&end_event[i], CU_EVENT_DEFAULT);
    }
    timed = *context->cuda;
    launch = timed.cuLaunchKernel_;
    timed.cuLaunchKernel_ = launch_timed;
    timed.launch_with = NULL;
    copy_measure(((size_t)1 << 30) / shrink);
    printf("device copy: %.1f GB/s, read and written\n", copy_rate * 1e-9);
    printf("kernels start before the one ahead has ended: %s; not where each is timed\n",
           context->device.chains && context->cuda->launch_with != NULL ? "yes" : "no");
    printf("%-28s %-22s %13s %14s %13s %9s\n", "shape", "what", "time", "bytes", "floor", "share");
    shape_t shapes[] = {{.name = "131072x4096 to 2", .n = 131072, .tokens = 16384, .destinations = 2},
                        {.name = "32768x4096 to 8", .n = 32768, .tokens = 8192, .destinations = 8, .random = 1},
                        {.name = "32768x14336 to 8", .n = 32768, .tokens = 8192, .destinations = 8, .random = 1},
                        {.name = "65536x2048 to 64", .n = 65536, .tokens = 16384, .destinations = 64, .random = 1}};
    static const size_t row_bytes[] = {4096, 4096, 14336, 2048};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        shapes[i].row_bytes = row_bytes[i];
        shapes[i].n /= shrink, shapes[i].tokens /= shrink;
        shape_measure(&shapes[i]);
    }
    for (int i = 0; i < line_count; i++) puts(lines[i]);
    kernels->context_destroy(context);
    return 0;
}
