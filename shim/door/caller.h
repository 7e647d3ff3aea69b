/* Who closed a complete group: code that is known to do so on every rank, or just anyone. */
#ifndef HM_CALLER_H
#define HM_CALLER_H

#include <stdbool.h>

/* HIERMOE_TRUST decides: known callers, any (shape), or more symbol names. return_address is where the job will go on;
 * call on the thread that made the call; NULL is nobody known. Walks the stack, and reads names once per distinct chain
 * of callers, then remembers. A function that is not exported is known by the symbol table of its file: files must be
 * stripped on all ranks or on none, or ranks that believe the caller wait for those that do not. */
bool caller_trusted(const void *return_address);

#endif
