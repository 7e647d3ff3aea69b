/* Names of functions that no library exports, from .symtab by libunwind, where this machine has it. */
#ifndef HM_SYMBOL_H
#define HM_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>

#ifdef HM_LIBUNWIND
/* Writes the mangled name of the function that the instruction at `at` belongs to. false, name undefined: libunwind is
 * not there (said once), or knows no name that is surely this function's, or size is too small. The first call opens
 * libunwind; each call maps a file and reads its symbol table: milliseconds. Any thread. */
bool symbol_find(const void *at, char *name, size_t size);
#else
static inline bool symbol_find(const void *at, char *name, size_t size)
{
    (void)at, (void)name, (void)size;
    return false;
}
#endif

#endif
