/* Strict readers of option values: all of the text, in range, or -EINVAL after a sentence on stderr that names the
 * option and what it expects. *value is set on success only. */
#ifndef MP_PARSE_H
#define MP_PARSE_H

#include <stdint.h>

/* The index of `text` in the NULL-terminated `names`. */
int parse_choice(const char *name, const char *text, const char *const *names);

/* Digits only, up to the character `end` (0: up to the end of the text). */
int parse_number(const char *name, const char *text, char end, uint64_t low, uint64_t high, uint64_t *value);
int parse_int(const char *name, const char *text, int low, int high, int *value);
int parse_real(const char *name, const char *text, double low, double high, double *value);

#endif
