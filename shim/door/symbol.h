/* Names of functions that no library exports, from the symbol tables of the files that the job was loaded from. */
#ifndef HM_SYMBOL_H
#define HM_SYMBOL_H

#include <stdbool.h>

typedef bool (*hm_symbol_judge_t)(const char *name, const void *context);

/* Asks `judge` about the mangled name of each function that the instruction at `at` lies in, aliases included, until it
 * says true; that is the result. `at` must be code that stays loaded during the call. No function is known where the
 * file is stripped, cannot be read, or is not the one that was loaded. Names are cut at 4095 bytes. Reads the symbol
 * table from the file: milliseconds. Any thread. */
bool symbol_any(const void *at, hm_symbol_judge_t judge, const void *context);

#endif
