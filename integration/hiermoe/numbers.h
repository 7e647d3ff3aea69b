/* Lists of numbers as options hold them: "9,4,1". */
#ifndef HM_NUMBERS_H
#define HM_NUMBERS_H

#include <stdint.h>

#define HM_NUMBERS_LOAD_MOST 1000000000000 /* tokens of an expert */

/* Whole numbers from 0 to `most`, between commas without blanks. Returns how many, at most `room`; 0 with *why naming
 * what was expected. */
int numbers_whole(const char *text, uint64_t most, uint64_t *value, int room, const char **why);

/* Exactly `count` numbers from 0 to 1e18, as 0.5,2e-3. 0, or -1 with *why. */
int numbers_real(const char *text, double *value, int count, const char **why);

#endif
