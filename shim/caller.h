/* Who closed a complete group: code that is known to do so on every rank, or just anyone. */
#ifndef HM_CALLER_H
#define HM_CALLER_H

#include <stdbool.h>

/* HIERMOE_TRUST decides: known callers, any (shape), or more symbol names. return_address is where the job will go on;
 * call on the thread that made the call. Walks the stack and reads names once per call site, then remembers. */
bool caller_trusted(const void *return_address);

#endif
