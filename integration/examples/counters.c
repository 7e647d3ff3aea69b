/* Asks libhiermoe.so whether it is there, and what it did for a communicator.
 *
 *   cc -DON_GPU counters.c -I PREFIX/include -I CUDA/include -L CUDA/lib64 -rdynamic -lnccl -lcudart -ldl -o counters
 *   LD_PRELOAD=PREFIX/lib/libhiermoe.so HIERMOE_TRUST=example_all_to_all torchrun ... --no-python ./counters /tmp/id
 *
 * Each rank needs RANK, WORLD_SIZE and LOCAL_RANK, and a file name by which rank 0 hands the others the unique id: it
 * must not exist yet. Without -DON_GPU it works on host memory, for the stand-in NCCL of the tests. Also C++. */
#include <hiermoe.h>
#include <nccl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef ON_GPU
#include <cuda_runtime.h>
#endif

enum { TOKENS = 256, ROW = 1024, CALLS = 8 }; /* tokens of a rank, bytes of a token's row, all-to-alls */

typedef struct job {
    int rank, ranks;
    ncclComm_t comm;
    char *sent, *received; /* [ranks][TOKENS][ROW] */
} job_t;

/* Zeroed memory that this process and NCCL can use, or NULL. */
static char *memory_take(size_t bytes)
{
#ifdef ON_GPU
    void *memory = NULL;
    if (cudaMallocManaged(&memory, bytes, cudaMemAttachGlobal) != cudaSuccess) return NULL;
    return (char *)memset(memory, 0, bytes);
#else
    return (char *)calloc(1, bytes);
#endif
}

static void memory_give(char *memory)
{
#ifdef ON_GPU
    cudaFree(memory);
#else
    free(memory);
#endif
}

static int number(const char *name)
{
    const char *text = getenv(name);
    return text != NULL ? atoi(text) : -1;
}

/* Rank 0 writes the id beside the file and renames it, so that the others never read half of it. */
static int id_share(int rank, const char *path, ncclUniqueId *id)
{
    struct timespec pause = {0, 10000000};
    char fresh[4096];
    int done, tries;
    FILE *file;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    if (rank == 0) {
        if (ncclGetUniqueId(id) != ncclSuccess || (file = fopen(fresh, "wb")) == NULL) return -1;
        done = fwrite(id, sizeof *id, 1, file) == 1;
        return fclose(file) == 0 && done ? rename(fresh, path) : -1;
    }
    for (tries = 0; (file = fopen(path, "rb")) == NULL; tries++) {
        if (tries == 3000) return -1;
        nanosleep(&pause, NULL);
    }
    done = fread(id, sizeof *id, 1, file) == 1;
    fclose(file);
    return done ? 0 : -1;
}

/* Every token goes to every rank, so all but one of its copies on a node can be left out. Counts differ a little,
 * as they do where tokens are routed: the library knows the size of a row from them, and need not search for it.
 *
 * The library must know that a function issues whole all-to-alls on every rank. It knows PyTorch's; this one is named
 * in HIERMOE_TRUST and found in the call stack by its name. So it is exported (not static, linked with -rdynamic), not
 * inlined, and still there during ncclGroupEnd: the result is looked at afterwards. */
__attribute__((noinline)) ncclResult_t example_all_to_all(const job_t *job);

ncclResult_t example_all_to_all(const job_t *job)
{
    ncclResult_t result = ncclGroupStart();
    for (int peer = 0; peer < job->ranks && result == ncclSuccess; peer++) {
        size_t rows = (size_t)(TOKENS - (job->rank + peer) % 3), at = (size_t)peer * TOKENS * ROW;
        result = ncclSend(job->sent + at, rows * ROW, ncclUint8, peer, job->comm, NULL);
        if (result == ncclSuccess) result = ncclRecv(job->received + at, rows * ROW, ncclUint8, peer, job->comm, NULL);
    }
    ncclResult_t ended = ncclGroupEnd();
    return result != ncclSuccess ? result : ended;
}

static int job_run(job_t *job, const ncclUniqueId *id)
{
    size_t bytes = (size_t)job->ranks * TOKENS * ROW;
#ifdef ON_GPU
    if (cudaSetDevice(number("LOCAL_RANK")) != cudaSuccess) return -1;
#endif
    job->sent = memory_take(bytes);
    job->received = memory_take(bytes);
    if (job->sent == NULL || job->received == NULL) return -1;
    for (int i = 0; i < job->ranks * TOKENS; i++) memset(job->sent + (size_t)i * ROW, i % TOKENS, ROW);
    if (ncclCommInitRank(&job->comm, job->ranks, *id, job->rank) != ncclSuccess) return -1;
    for (int i = 0; i < CALLS; i++)
        if (example_all_to_all(job) != ncclSuccess) return -1;
#ifdef ON_GPU
    if (cudaDeviceSynchronize() != cudaSuccess) return -1;
#endif
    return 0;
}

/* The part to copy: what did the library do for this communicator? */
static void counters_print(ncclComm_t comm)
{
    const hiermoe_api_t *api = hiermoe_api_load();
    hiermoe_stats_t stats;
    if (api == NULL) {
        printf("libhiermoe.so is not preloaded\n");
        return;
    }
    memset(&stats, 0, sizeof stats);
    stats.size = sizeof stats;
    if (api->stats(comm, &stats) != 0) {
        printf("libhiermoe.so %s does not know this communicator\n", api->library);
        return;
    }
    printf("libhiermoe.so %s: %llu all-to-alls replaced, %llu left alone; %.0f %% of the bytes sent\n", api->library,
           (unsigned long long)stats.replaced, (unsigned long long)stats.left,
           stats.bytes_raw > 0 ? 100.0 * (double)stats.bytes_sent / (double)stats.bytes_raw : 100.0);
}

int main(int argc, char **argv)
{
    job_t job;
    ncclUniqueId id;
    memset(&job, 0, sizeof job);
    job.rank = number("RANK");
    job.ranks = number("WORLD_SIZE");
    if (argc != 2 || job.rank < 0 || job.ranks < 1) {
        fprintf(stderr, "usage: RANK=... WORLD_SIZE=... LOCAL_RANK=... %s ID_FILE\n", argv[0]);
        return 2;
    }
    if (id_share(job.rank, argv[1], &id) != 0 || job_run(&job, &id) != 0) {
        fprintf(stderr, "counters: rank %d failed\n", job.rank);
        return 1;
    }
    counters_print(job.comm); /* before the communicator ends: its counters end with it */
    if (ncclCommDestroy(job.comm) != ncclSuccess) return 1;
    memory_give(job.sent);
    memory_give(job.received);
    return 0;
}
