/* What the planner's benchmarks share. Without arguments they print times, for a machine that does nothing else. With
 * --count they are for instructions.sh, which holds on any machine: it counts what bench_counted runs, case by case. */
#ifndef HM_BENCH_H
#define HM_BENCH_H

/* Whether to count. Ends the program where the arguments are others. */
int bench_arguments(int argc, char **argv);

void bench_counted(void (*run)(void *), void *argument);

/* Ends a case: prints what instructions.sh reads. most: instructions of one of the counted calls. */
void bench_case_end(const char *name, long most, int calls);

/* The thread's own time. */
double bench_now_ms(void);

#endif
