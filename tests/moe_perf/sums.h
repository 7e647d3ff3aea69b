/* Rows of numbers for exchanges whose receiver adds the rows of each token, and what the sums must be. In every other
 * iteration the numbers are small integers, whose sums are exact; else they have eight bits and several magnitudes. */
#ifndef MP_SUMS_H
#define MP_SUMS_H

#include "layout.h"
#include "payload.h"

/* Fills a row: the numbers follow from the name. */
void sums_write(uint8_t *row, size_t columns, mp_dtype_t dtype, mp_name_t name);

/* What a receiver got. */
typedef struct mp_sums {
    const mp_layout_t *layout; /* of the dispatch that the rows go back along */
    const uint8_t *recv;       /* [send_rows of the layout] */
    size_t columns;
    mp_dtype_t dtype;
    int iteration;
} mp_sums_t;

/* Adds the rows of each token up as a job does, one after the other, each sum rounded to the type, and compares with
 * the sum in fp64 of what was sent: equal for integers that fit; else off by at most one rounding for each row but the
 * first, of the sum of absolute values, which holds for sums in any order and nesting. *error_ulp becomes the largest
 * error if it was less: in units of the last place of that sum of absolute values. Rows of no token are not read.
 * Wrong numbers are counted in *wrong by their bytes, the first is said. 0 or -ENOMEM. */
int sums_check(const mp_sums_t *sums, mp_wrong_t *wrong, double *error_ulp);

#endif
