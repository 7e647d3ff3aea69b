/* Which adapters are at work in this process. */
#ifndef HM_ADAPTERS_H
#define HM_ADAPTERS_H

#include <stdint.h>

/* Notes one more. Any thread. */
void adapters_add(const char *name, uint64_t code_hash);

/* A number that is equal on two ranks with the same adapters, attached in the same order; 0: none is. Any thread. */
uint64_t adapters_hash(void);

#endif
