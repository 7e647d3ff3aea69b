/* Who closed a complete group: code that is known to do so on every rank, or just anyone. */
#ifndef HM_CALLER_H
#define HM_CALLER_H

#include <stdbool.h>

/* HIERMOE_TRUST decides: known callers, any (shape), or more symbol names. return_address is where the job will go on;
 * call on the thread that made the call; NULL is nobody known. Walks the stack, and reads names once per distinct chain
 * of callers, then remembers. Names of functions that are not exported count where libunwind is installed and the
 * job's files are not stripped: the same on all ranks, or one waits for the others. */
bool caller_trusted(const void *return_address);

#endif
