#define _POSIX_C_SOURCE 199309L
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int bench_arguments(int argc, char **argv)
{
    int count = argc == 2 && strcmp(argv[1], "--count") == 0;
    if (argc == 1 || count) return count;
    fprintf(stderr, "%s: expected nothing or --count\n", argv[0]);
    exit(2);
}

/* callgrind knows this function and the next by name. */
void bench_counted(void (*run)(void *), void *argument)
{
    run(argument);
    __asm__ volatile("" ::: "memory"); /* so that the call is no jump, which would end this function too early */
}

void bench_case_end(const char *name, long most, int calls)
{
    printf("%ld %d %s\n", most, calls, name);
}

double bench_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}
