/* The CUDA back end gives what the host back end gives, and identify what a plain search gives.
 * usage: kernels_test [--small] [--seed n] [--in-order]
 *   77: no GPU; --small: few cases, for slow checkers; --in-order: the driver runs all work at once, nothing to wait
 * for */
#include "cuda_context.h"
#include "cuda_jobs.h"
#include "gpu.h"
#include "kernels_side.h"

#include <errno.h>
#include <stdlib.h>

static void test_pick_one(int count, uint32_t most_rows)
{
    enum { OUTPUTS = 3 };
    hm_pick_job_t *jobs[2] = {must_alloc((size_t)count * sizeof **jobs), must_alloc((size_t)count * sizeof **jobs)};
    void **mask = must_alloc((size_t)count * sizeof *mask);
    side_t *sides[2] = {&host, &cuda};
    for (int j = 0; j < count; j++) {
        uint32_t bits = below(3) == 0 ? 1 + below(1000) : 1 + below(64), first = below(bits);
        uint32_t rows = below(5) == 0 ? 0 : below(most_rows + 1), wanted = below(8), dense = below(3);
        size_t mask_bytes = hm_mask_bytes(bits) + (below(2) ? 0 : below(5));
        if (below(2)) mask_bytes = (mask_bytes + 3) / 4 * 4;
        uint8_t *plain = must_alloc(rows * mask_bytes);
        fill(plain, rows * mask_bytes);
        for (size_t i = 0; i < rows * mask_bytes && dense < 2; i++)
            if (below(dense == 0 ? 2 : 40) != 0) plain[i] = 0;
        uint32_t length = 1 + below(bits - first);
        for (int s = 0; s < 2; s++) {
            hm_pick_job_t *job = &jobs[s][j];
            *job = (hm_pick_job_t){.mask_bytes = mask_bytes, .rows = rows, .bits = {first, length}};
            job->mask = upload(sides[s], plain, rows * mask_bytes);
            size_t bytes[OUTPUTS] = {rows * (size_t)4, rows * (size_t)4, rows * hm_mask_bytes(length)};
            void *output[OUTPUTS] = {NULL};
            for (int o = 0; o < OUTPUTS; o++) {
                if (!(wanted >> o & 1)) continue;
                void *poison = must_alloc(bytes[o]);
                memset(poison, 0xC3, bytes[o]);
                output[o] = upload(sides[s], poison, bytes[o]);
                free(poison);
            }
            job->index = output[0], job->place = output[1], job->sub = output[2];
        }
        free(plain);
    }
    for (int s = 0; s < 2; s++) {
        must(sides[s]->kernels->pick(sides[s]->context, sides[s]->stream, jobs[s], count), "pick");
        must(sides[s]->kernels->wait(sides[s]->context, sides[s]->stream, 60, NULL), "wait");
    }
    for (int j = 0; j < count; j++) {
        static const char *const name[OUTPUTS] = {"index", "place", "sub"};
        char what[160];
        snprintf(what, sizeof what, "pick: job %d of %d, %u rows, masks of %zu bytes, bits %u+%u", j, count,
                 jobs[0][j].rows, jobs[0][j].mask_bytes, jobs[0][j].bits.first, jobs[0][j].bits.count);
        size_t rows = jobs[0][j].rows,
               bytes[OUTPUTS] = {rows * 4, rows * 4, rows * hm_mask_bytes(jobs[0][j].bits.count)};
        for (int o = 0; o < OUTPUTS; o++) {
            unsigned char *plain[2];
            for (int s = 0; s < 2; s++) {
                void *output[OUTPUTS] = {jobs[s][j].index, jobs[s][j].place, jobs[s][j].sub};
                plain[s] = must_alloc(bytes[o]);
                if (output[o] != NULL) download(sides[s], output[o], plain[s], bytes[o]);
                if (output[o] == NULL) memset(plain[s], 0, bytes[o]);
                device_free(sides[s], output[o]);
            }
            check(memcmp(plain[0], plain[1], bytes[o]) == 0, what, name[o]);
            free(plain[0]), free(plain[1]);
        }
        for (int s = 0; s < 2; s++) device_free(sides[s], (void *)jobs[s][j].mask);
    }
    free(jobs[0]), free(jobs[1]), free(mask);
}

static void test_map_one(int count, uint32_t most_rows)
{
    hm_map_job_t *jobs[2] = {must_alloc((size_t)count * sizeof **jobs), must_alloc((size_t)count * sizeof **jobs)};
    side_t *sides[2] = {&host, &cuda};
    for (int j = 0; j < count; j++) {
        uint32_t rows = below(5) == 0 ? 0 : below(most_rows + 1), ids = 1 + below(1000);
        uint32_t *id = must_alloc(rows * (size_t)4), *place = must_alloc(ids * (size_t)4);
        for (uint32_t i = 0; i < rows; i++) id[i] = below(ids);
        fill(place, ids * (size_t)4);
        for (int s = 0; s < 2; s++)
            jobs[s][j] =
                (hm_map_job_t){upload(sides[s], id, rows * (size_t)4), upload(sides[s], place, ids * (size_t)4),
                               device_alloc(sides[s], rows * (size_t)4), rows};
        free(id), free(place);
    }
    for (int s = 0; s < 2; s++)
        must(sides[s]->kernels->map(sides[s]->context, sides[s]->stream, jobs[s], count), "map");
    for (int j = 0; j < count; j++) {
        size_t bytes = jobs[0][j].rows * (size_t)4;
        void *plain[2];
        for (int s = 0; s < 2; s++) {
            plain[s] = must_alloc(bytes);
            download(sides[s], jobs[s][j].out, plain[s], bytes);
            device_free(sides[s], (void *)jobs[s][j].id), device_free(sides[s], (void *)jobs[s][j].place);
            device_free(sides[s], jobs[s][j].out);
        }
        check(memcmp(plain[0], plain[1], bytes) == 0, "map", "out");
        free(plain[0]), free(plain[1]);
    }
    free(jobs[0]), free(jobs[1]);
}

/* Jobs of one move write to parts of one poisoned buffer, so that a byte written beside them shows. */
static void test_move_one(int count, uint32_t most_rows, size_t most_width)
{
    side_t *sides[2] = {&host, &cuda};
    hm_move_job_t *jobs = must_alloc((size_t)count * sizeof *jobs);
    size_t *dst_at = must_alloc((size_t)count * sizeof *dst_at), dst_bytes = 0;
    size_t align = (size_t)1 << below(5), src_rows = 1 + below(300),
           row_bytes = (1 + below((uint32_t)most_width)) * align;
    size_t lead = below(2) ? 0 : below(20), src_bytes = lead + src_rows * row_bytes;
    int segments = 1 + (int)below(below(6) ? 12 : 600);
    size_t *rows = must_alloc((size_t)segments * sizeof *rows), left = src_rows;
    for (int p = 0; p < segments; p++) {
        rows[p] = p == segments - 1 ? left : below((uint32_t)left + 1);
        left -= rows[p];
    }
    unsigned char *src = must_alloc(src_bytes);
    fill(src, src_bytes);
    uint32_t entries = most_rows + 301, *index = must_alloc(entries * (size_t)4),
             *via = must_alloc(entries * (size_t)4);
    for (uint32_t i = 0; i < entries; i++) index[i] = below((uint32_t)src_rows), via[i] = below((uint32_t)src_rows);
    for (int j = 0; j < count; j++) {
        int kind = (int)below(4);
        uint32_t job_rows = below(6) == 0 ? 0 : below(most_rows + 1);
        if (kind == 0 && job_rows > src_rows) job_rows = (uint32_t)src_rows;
        size_t offset = below(2) ? 0 : below((uint32_t)(row_bytes / align)) * align;
        size_t width = (1 + below((uint32_t)((row_bytes - offset) / align))) * align,
               gap = below(2) ? 0 : below(3) * align;
        if (below(4) == 0) offset = 0, width = row_bytes, gap = 0;
        dst_at[j] = dst_bytes + (below(3) ? 0 : below(9));
        jobs[j] = (hm_move_job_t){
            .dst_stride = width + gap, .src_stride = row_bytes, .src_offset = offset, .width = width, .rows = job_rows};
        jobs[j].index = kind >= 1 ? index : NULL;
        jobs[j].src_rows = below(3) ? (uint32_t)src_rows : 0;
        jobs[j].via = kind == 3 ? via : NULL;
        dst_bytes = dst_at[j] + job_rows * (width + gap) + 3;
        dst_bytes = below(2) ? (dst_bytes + 15) / 16 * 16 : dst_bytes;
    }
    bool segmented = below(2);
    unsigned char *plain[2];
    int cache_bytes = cuda.context->device.cache_bytes;
    if (below(2))
        cuda.context->device.cache_bytes = (int)below(4 * (uint32_t)src_bytes); /* where rows are read in parts */
    for (int s = 0; s < 2; s++) {
        hm_move_job_t *here = must_alloc((size_t)count * sizeof *here);
        memcpy(here, jobs, (size_t)count * sizeof *here);
        unsigned char *device_src = upload(sides[s], src, src_bytes);
        uint32_t *device_index = upload(sides[s], index, entries * (size_t)4);
        uint32_t *device_via = upload(sides[s], via, entries * (size_t)4);
        const void **base = must_alloc((size_t)segments * sizeof *base);
        size_t number = 0;
        for (int p = 0; p < segments; p++) {
            base[p] = rows[p] == 0 ? NULL : device_src + lead + number * row_bytes;
            number += rows[p];
        }
        hm_rows_t table = {segments, base, rows, row_bytes};
        plain[s] = must_alloc(dst_bytes);
        memset(plain[s], 0x7E, dst_bytes);
        unsigned char *device_dst = upload(sides[s], plain[s], dst_bytes);
        for (int j = 0; j < count; j++) {
            here[j].dst = device_dst + dst_at[j];
            if (here[j].index != NULL) here[j].index = device_index;
            if (here[j].via != NULL) here[j].via = device_via;
            if (segmented) here[j].segments = &table;
            if (!segmented) here[j].src = device_src + lead;
        }
        must(sides[s]->kernels->move(sides[s]->context, sides[s]->stream, here, count), "move");
        memset(here, 0xEE, (size_t)count * sizeof *here);
        memset(base, 0xEE, (size_t)segments * sizeof *base);
        free(here), free(base);
        download(sides[s], device_dst, plain[s], dst_bytes);
        device_free(sides[s], device_dst), device_free(sides[s], device_src);
        device_free(sides[s], device_index), device_free(sides[s], device_via);
    }
    char what[160];
    snprintf(what, sizeof what, "move: %d jobs, rows of %zu bytes (+%zu), multiples of %zu, %s", count, row_bytes, lead,
             align, segmented ? "segments" : "one source");
    check(memcmp(plain[0], plain[1], dst_bytes) == 0, what, "destination");
    cuda.context->device.cache_bytes = cache_bytes;
    free(plain[0]), free(plain[1]);
    free(jobs), free(dst_at), free(rows), free(src), free(index), free(via);
}

/* Rows that are all read several times and together are much more than the cache holds, read in parts or not. */
static void test_move_repeated(uint32_t src_rows, size_t width, uint32_t rows)
{
    size_t stride = width + 48;
    unsigned char *src = must_alloc(src_rows * width), *got = must_alloc(rows * stride);
    uint32_t *index = must_alloc(rows * sizeof *index);
    fill(src, src_rows * width);
    memset(got, 0x11, rows * stride);
    for (uint32_t i = 0; i < rows; i++) index[i] = below(src_rows);
    hm_move_job_t job = {.dst = upload(&cuda, got, rows * stride),
                         .src = upload(&cuda, src, src_rows * width),
                         .dst_stride = stride,
                         .src_stride = width,
                         .width = width,
                         .rows = rows,
                         .src_rows = src_rows,
                         .index = upload(&cuda, index, rows * sizeof *index)};
    must(cuda.kernels->move(cuda.context, cuda.stream, &job, 1), "move");
    download(&cuda, job.dst, got, rows * stride);
    bool good = true, clean = true;
    for (uint32_t i = 0; i < rows; i++) {
        good &= memcmp(got + i * stride, src + index[i] * width, width) == 0;
        for (size_t at = width; at < stride; at++) clean &= got[i * stride + at] == 0x11;
    }
    check(good, "move of repeated rows", "rows");
    check(clean, "move of repeated rows", "bytes between them");
    device_free(&cuda, job.dst), device_free(&cuda, (void *)job.src), device_free(&cuda, (void *)job.index);
    free(src), free(got), free(index);
}

/* Long single copies: cut into pieces, with ends that are no multiple of them. */
static void test_move_long(size_t bytes, size_t lead)
{
    unsigned char *src = must_alloc(bytes + lead), *got = must_alloc(bytes + lead + 16);
    fill(src, bytes + lead);
    memset(got, 0x11, bytes + lead + 16);
    unsigned char *from = upload(&cuda, src, bytes + lead), *to = upload(&cuda, got, bytes + lead + 16);
    hm_move_job_t job = {
        .dst = to + lead, .src = from + lead, .width = bytes, .dst_stride = bytes, .src_stride = bytes};
    job.rows = 1;
    must(cuda.kernels->move(cuda.context, cuda.stream, &job, 1), "move");
    download(&cuda, to, got, bytes + lead + 16);
    check(memcmp(got + lead, src + lead, bytes) == 0, "long move", "bytes");
    bool clean = true;
    for (size_t i = 0; i < lead; i++) clean &= got[i] == 0x11;
    for (size_t i = 0; i < 16; i++) clean &= got[lead + bytes + i] == 0x11;
    check(clean, "long move", "bytes beside it");
    device_free(&cuda, from), device_free(&cuda, to);
    free(src), free(got);
}

/* Work spread over two streams keeps its order: each stream copies what the other one wrote. */
static void test_streams(void)
{
    enum { STEPS = 40, BYTES = 1 << 20 };
    void *other = gpu_stream(), *stream[2] = {cuda.stream, other};
    unsigned char *plain = must_alloc(BYTES), *got = must_alloc(BYTES), *buffer[2], *blank;
    fill(plain, BYTES);
    memset(got, 0, BYTES);
    buffer[0] = upload(&cuda, plain, BYTES), buffer[1] = device_alloc(&cuda, BYTES), blank = upload(&cuda, got, BYTES);
    for (int i = 0; i < STEPS; i++) {
        hm_move_job_t job = {.dst = buffer[(i + 1) % 2], .src = buffer[i % 2], .width = BYTES, .rows = 1};
        must(cuda.kernels->join(cuda.context, stream[i % 2]), "join");
        must(cuda.kernels->move(cuda.context, stream[i % 2], &job, 1), "move");
        job = (hm_move_job_t){.dst = buffer[i % 2], .src = blank, .width = BYTES, .rows = 1};
        must(cuda.kernels->move(cuda.context, stream[i % 2], &job, 1), "move");
    }
    must(cuda.kernels->join(cuda.context, cuda.stream), "join");
    download(&cuda, buffer[STEPS % 2], got, BYTES);
    check(memcmp(plain, got, BYTES) == 0, "two streams", "bytes after a chain of moves");
    device_free(&cuda, buffer[0]), device_free(&cuda, buffer[1]), device_free(&cuda, blank);
    free(plain), free(got);
}

/* A long queue of work: wait must end early when told to, and staging must not be overwritten meanwhile. */
static void test_wait(void)
{
    enum { MOVES = 60 };
    size_t bytes = (size_t)256 << 20;
    atomic_int cancel = 1;
    unsigned char *from = device_alloc(&cuda, bytes), *to = device_alloc(&cuda, bytes);
    hm_move_job_t job = {.dst = to, .src = from, .width = bytes, .rows = 1};
    must(cuda.kernels->capturing(cuda.context, cuda.stream), "capturing");
    for (int i = 0; i < MOVES; i++) must(cuda.kernels->move(cuda.context, cuda.stream, &job, 1), "move");
    check(cuda.kernels->wait(cuda.context, cuda.stream, 0, NULL) == -ETIMEDOUT, "wait", "a timeout of 0");
    check(cuda.kernels->wait(cuda.context, cuda.stream, 60, &cancel) == -ECANCELED, "wait", "cancelled");
    must(cuda.kernels->wait(cuda.context, cuda.stream, 60, NULL), "wait");
    device_free(&cuda, from), device_free(&cuda, to);
}

static void test_staging(void)
{
    enum { JOBS = 400, CALLS = 30 };
    hm_map_job_t *jobs = must_alloc(JOBS * sizeof *jobs);
    uint32_t zero[JOBS] = {0}, place[JOBS], *out, got[JOBS];
    for (uint32_t j = 0; j < JOBS; j++) place[j] = j;
    uint32_t *device_id = upload(&cuda, zero, sizeof zero), *device_place = upload(&cuda, place, sizeof place);
    out = device_alloc(&cuda, sizeof got);
    for (uint32_t call = 0; call < CALLS; call++) { /* no wait between them: tables queue up */
        for (uint32_t j = 0; j < JOBS; j++)
            jobs[j] = (hm_map_job_t){device_id, device_place + (j + call) % JOBS, out + j, 1};
        must(cuda.kernels->map(cuda.context, cuda.stream, jobs, JOBS), "map");
    }
    download(&cuda, out, got, sizeof got);
    bool good = true;
    for (uint32_t j = 0; j < JOBS; j++) good &= got[j] == (j + CALLS - 1) % JOBS;
    check(good, "staging", "the last of many calls without a wait");
    device_free(&cuda, device_id), device_free(&cuda, device_place), device_free(&cuda, out);
    free(jobs);
}

static void test_arguments(void)
{
    const void *base[1] = {NULL};
    size_t rows[1] = {0};
    uint32_t bit[1] = {0};
    hm_rows_t table = {1, base, rows, 0};
    hm_identity_t identity = {.mask_bytes = 4};
    check(cuda.kernels->identify(cuda.context, cuda.stream, &table, bit, NULL, 0, 64, NULL, &identity) == -EINVAL,
          "identify", "rows of 0 bytes are refused");
    check(cuda.kernels->identify_bytes((size_t)1 << 32) == 0, "identify_bytes", "too many rows give 0");
    check(cuda.kernels->move(cuda.context, cuda.stream, NULL, 0) == 0, "move", "no jobs");
    check(cuda.kernels->pick(cuda.context, cuda.stream, NULL, 0) == 0, "pick", "no jobs");
    check(cuda.kernels->map(cuda.context, cuda.stream, NULL, 0) == 0, "map", "no jobs");
}

/* Tables that just fit into a kernel's parameters, and tables that just do not. */
static void test_tables(void)
{
    int picks = HM_TABLES_HELD / sizeof(hm_pick_t), maps = HM_TABLES_HELD / sizeof(hm_map_t);
    int moves = HM_TABLES_HELD / sizeof(hm_move_t);
    for (int more = 0; more < 2; more++) {
        test_pick_one(picks + more, 30);
        test_map_one(maps + more, 30);
        for (int i = 0; i < 4; i++) test_move_one(moves + more - i, 30, 16); /* with segments or without */
    }
    test_pick_one(4 * picks, 30);
    test_map_one(4 * maps, 30);
    test_move_one(4 * moves, 30, 16);
}

/* Picks one after another tell their states from those of earlier ones, also when tags begin anew. */
static void test_pick_tags(void)
{
    test_pick_one(1, 9000);
    cuda.context->scan.tag = (1u << HM_PICK_TAG_BITS) - 4;
    for (int i = 0; i < 8; i++) test_pick_one(2, 9000);
    test_pick_one(1, 9000);
}

static void say(const char *text)
{
    fprintf(stderr, "said: %s\n", text);
}

int main(int argc, char **argv)
{
    bool small = false, emulated = false;
    const char *why = "?";
    for (int i = 1; i < argc; i++) {
        small |= strcmp(argv[i], "--small") == 0;
        emulated |= strcmp(argv[i], "--in-order") == 0;
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) seed = strtoull(argv[++i], NULL, 10);
    }
    cuda.kernels = kernels_cuda_open(&why);
    if (cuda.kernels == NULL || gpu_open() != 0) {
        printf("skipped: %s\n", cuda.kernels == NULL ? why : "no device");
        return 77;
    }
    hm_kernels_say = say;
    must(cuda.kernels->context_create(NULL, &cuda.context), "context_create");
    must(host.kernels->context_create(NULL, &host.context), "context_create");
    must(cuda.kernels->prepare(cuda.context), "prepare");
    cuda.stream = gpu_stream();
    test_arguments();
    test_identify(small);
    test_period(small);
    test_sums(small);
    for (int i = 0; i < (small ? 6 : 60); i++) test_pick_one(1 + (int)below(i % 3 == 0 ? 40 : 4), small ? 300 : 9000);
    test_tables();
    test_pick_tags();
    test_pick_one(3, small ? 9000 : 400000);
    for (int i = 0; i < (small ? 3 : 20); i++) test_map_one(1 + (int)below(40), small ? 500 : 20000);
    for (int i = 0; i < (small ? 12 : 200); i++)
        test_move_one(1 + (int)below(i % 4 == 0 ? 60 : 4), small ? 60 : 900, i % 3 == 0 ? 512 : 32);
    if (!small) test_move_repeated(20000, 1552, 50000);
    for (int i = 0; i < 3; i++) test_move_long(100000 + below(small ? 1000 : 5000000), below(20));
    test_streams();
    test_staging();
    test_claim();
    if (!emulated && !small) test_wait();
    cuda.kernels->context_destroy(cuda.context);
    host.kernels->context_destroy(host.context);
    printf("%d checks, %d failed\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
