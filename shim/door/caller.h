/* Whether the code that closes a complete group is known to do so on every rank. */
#ifndef HM_CALLER_H
#define HM_CALLER_H

#include <stdbool.h>

/* HIERMOE_TRUST decides: known callers, any (shape), or more symbol names. return_address: where the job goes on after
 * the call; NULL is not trusted. On the thread that made the call: walks its stack. The names of a chain of callers are
 * read once, then the decision is remembered. A function that is not exported is known by the symbol table of its file:
 * files must be stripped on all ranks or on none, or ranks that believe the caller wait for those that do not. */
bool caller_trusted(const void *return_address);

#endif
