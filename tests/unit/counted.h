/* Counts the memory that is held: what malloc and calloc gave (link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=free),
 * and what a back end gave, of which device and pinned memory are told apart. */
#ifndef COUNTED_H
#define COUNTED_H

#include <stdbool.h>
#include <stddef.h>

typedef enum counted_kind { COUNTED_HOST, COUNTED_DEVICE, COUNTED_PINNED, COUNTED_KINDS } counted_kind_t;

/* Bytes asked for and not given back yet, and the most there was at once. */
typedef struct counted {
    size_t held[COUNTED_KINDS], most[COUNTED_KINDS];
} counted_t;

extern counted_t counted;

/* Nothing is held, nothing was. */
void counted_reset(void);

/* From here on malloc and calloc are counted, or no longer. What is given back is, either way. */
void counted_switch(bool on);

/* Notes a piece of memory, and that it was given back: true where it was noted before. */
void counted_add(void *memory, size_t bytes, counted_kind_t kind);
bool counted_remove(void *memory);

/* The formulas of shim/MEMORY.md, as C. Fails the test unless the bytes are as the formula says and the page has it,
 * letter by letter: COUNTED_IS exactly, COUNTED_BELOW at most, and at least a quarter of it. */
#define COUNTED_IS(bytes, formula) counted_compare(bytes, formula, true, #formula)
#define COUNTED_BELOW(bytes, formula) counted_compare(bytes, formula, false, #formula)
void counted_compare(size_t bytes, size_t expected, bool exact, const char *formula);

#endif
