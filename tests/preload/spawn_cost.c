/* spawn_cost LIB PROGRAM ARGUMENT: median time of starting PROGRAM with and without LIB preloaded, by turns. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define RUNS 101

typedef struct cost {
    double elapsed, processor; /* microseconds */
} cost_t;

static double microseconds(struct timeval t)
{
    return (double)t.tv_sec * 1e6 + (double)t.tv_usec;
}

static cost_t start(char **argv, char **environment)
{
    struct rusage usage;
    posix_spawn_file_actions_t quiet;
    struct timespec from, to;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    if (posix_spawn(&pid, argv[0], &quiet, NULL, argv, environment) != 0 || wait4(pid, &status, 0, &usage) != pid)
        exit(1);
    clock_gettime(CLOCK_MONOTONIC, &to);
    posix_spawn_file_actions_destroy(&quiet);
    if (status != 0) exit(1);
    return (cost_t){(double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3,
                    microseconds(usage.ru_utime) + microseconds(usage.ru_stime)};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const cost_t *costs, int processor)
{
    double values[RUNS];
    for (int i = 0; i < RUNS; i++) values[i] = processor != 0 ? costs[i].processor : costs[i].elapsed;
    qsort(values, RUNS, sizeof values[0], compare);
    return values[RUNS / 2];
}

int main(int argc, char **argv)
{
    static cost_t plain[RUNS], preloaded[RUNS];
    char variable[4096], *none[] = {"PATH=/usr/bin", NULL}, *with[] = {"PATH=/usr/bin", variable, NULL};
    if (argc != 4) return 2;
    snprintf(variable, sizeof variable, "LD_PRELOAD=%s", argv[1]);
    for (int i = 0; i < RUNS; i++) {
        plain[i] = start(argv + 2, none);
        preloaded[i] = start(argv + 2, with);
    }
    double added = median(preloaded, 1) - median(plain, 1);
    printf("%s: elapsed %.0f us plain, %.0f us preloaded; processor %.0f us plain, %.0f us preloaded, added %.0f us\n",
           argv[2], median(plain, 0), median(preloaded, 0), median(plain, 1), median(preloaded, 1), added);
    return 0;
}
