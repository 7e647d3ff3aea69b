/* The library's only thread: runs one function every few seconds beside the job. It takes no signals, has a small
 * stack, and is called hiermoe-stats in lists of threads. A child of fork has none until it starts its own. */
#ifndef HM_TICKER_H
#define HM_TICKER_H

#include <stdbool.h>

/* Starts the thread, once in a process: run() is called every `seconds`, the first time after that many. Calls after
 * the first do nothing, nor do calls after ticker_stop. Where no thread can be had that is said, once, and run is never
 * called. Any thread. */
void ticker_start(void (*run)(void), long seconds);

/* True once the thread is to end: a run that takes long should return. */
bool ticker_stopping(void);

/* Ends the thread for good. true: run is not running and will not be called any more, also where there never was a
 * thread. false: it is still running after a second. */
bool ticker_stop(void);

#endif
