/* All-to-all between ranks that nodes.sh started: bytes to each other rank, and rounds. Checks every byte, and tells
 * the slowest rank's median time and rate. */
#include "ranks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void fill(unsigned char *data, size_t bytes, int from, int to)
{
    uint32_t state = (uint32_t)(from * 1009 + to + 1);
    for (size_t i = 0; i < bytes; i++) data[i] = (unsigned char)((state = state * 1664525u + 1013904223u) >> 24);
}

static double round_time(ncclComm_t comm, const unsigned char *out, unsigned char *in, size_t bytes)
{
    char token = 0;
    CHECK(ncclAllReduce(&token, &token, 1, ncclInt8, ncclSum, comm, NULL) == ncclSuccess);
    CHECK(hostncclStreamWait(NULL, RANKS_SECONDS) == 0);
    double begin = clock_now();
    CHECK(ncclAlltoAll(out, in, bytes, ncclUint8, comm, NULL) == ncclSuccess);
    CHECK(hostncclStreamWait(NULL, RANKS_SECONDS) == 0);
    double mine = clock_now() - begin, slowest = 0;
    CHECK(ncclAllReduce(&mine, &slowest, 1, ncclFloat64, ncclMax, comm, NULL) == ncclSuccess);
    CHECK(hostncclStreamWait(NULL, RANKS_SECONDS) == 0);
    return slowest;
}

int main(int argc, char **argv)
{
    ranks_t ranks;
    size_t bytes = argc > 1 ? strtoull(argv[1], NULL, 0) : 4 << 20;
    int rounds = argc > 2 ? atoi(argv[2]) : 5;
    if (rounds < 1 || !ranks_from_environment(&ranks)) return 2;
    ncclComm_t comm = ranks_comm(&ranks);
    size_t total = bytes * (size_t)ranks.ranks;
    unsigned char *out = malloc(total + 1), *in = malloc(total + 1), *expected = malloc(bytes + 1);
    double *times = calloc((size_t)rounds, sizeof *times);
    CHECK(out && in && expected && times);
    for (int peer = 0; peer < ranks.ranks; peer++) fill(out + bytes * (size_t)peer, bytes, ranks.rank, peer);
    memset(in, 0, total);
    for (int i = -1; i < rounds; i++) { /* the first one is not counted */
        double seconds = round_time(comm, out, in, bytes);
        if (i >= 0) times[i] = seconds;
    }
    for (int peer = 0; peer < ranks.ranks; peer++) {
        fill(expected, bytes, peer, ranks.rank);
        CHECK(memcmp(in + bytes * (size_t)peer, expected, bytes) == 0);
    }
    qsort(times, (size_t)rounds, sizeof *times, compare_doubles);
    double median = times[rounds / 2];
    if (ranks.rank == 0)
        printf("%d ranks, %zu bytes to each: %.3f ms, best %.3f ms, %.0f MB/s out of each rank\n", ranks.ranks, bytes,
               median * 1e3, times[0] * 1e3, (double)bytes * (ranks.ranks - 1) / median * 1e-6);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    free(out), free(in), free(expected), free(times);
    return 0;
}
