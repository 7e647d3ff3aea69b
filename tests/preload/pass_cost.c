/* pass_cost: prints the time of one call in ns, one line per kind. pass_cost N: makes N calls of each kind inside
 * calls_counted and prints the kinds, for counting instructions. */
#define _GNU_SOURCE
#include "fake_nccl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 21
#define CALLS 100000

static ncclComm_t comm;
static char data[8];

static void one(const char *kind)
{
    switch (kind[0]) {
    case 'a':
        ncclAllReduce(data, data, 8, ncclInt8, ncclSum, comm, NULL);
        break;
    case 's':
        ncclSend(data, 8, ncclInt8, 1, comm, NULL);
        break;
    case 'p':
        ncclPutSignal(data, 8, ncclInt8, 1, NULL, 0, 0, 0, 0, comm, NULL);
        break;
    default: /* one exchange, as pipelines do: recorded and handed on */
        ncclGroupStart();
        ncclSend(data, 8, ncclInt8, 1, comm, NULL);
        ncclRecv(data, 8, ncclInt8, 1, comm, NULL);
        ncclGroupEnd();
    }
}

/* callgrind knows it by name. */
void calls_counted(const char *kind, long calls);

__attribute__((noinline)) void calls_counted(const char *kind, long calls)
{
    for (long i = 0; i < calls; i++) one(kind);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"allreduce", "send", "putsignal", "group"};
    ncclUniqueId id = {{0}};
    if (ncclCommInitRank(&comm, 4, id, 0) != ncclSuccess) return 1;
    for (size_t k = 0; argc == 2 && k < sizeof kinds / sizeof kinds[0]; k++) {
        one(kinds[k]); /* whatever happens once */
        calls_counted(kinds[k], atol(argv[1]));
        puts(kinds[k]);
    }
    for (size_t k = 0; argc == 1 && k < sizeof kinds / sizeof kinds[0]; k++) {
        double best = 1e18;
        for (int round = 0; round < ROUNDS; round++) {
            double start = now();
            for (int n = 0; n < CALLS; n++) one(kinds[k]);
            double each = (now() - start) / CALLS;
            if (each < best) best = each;
        }
        printf("%s %.1f\n", kinds[k], best);
    }
    return 0;
}
