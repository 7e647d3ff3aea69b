/* HIERMOE_FIT_SIZES, which the library and hiermoe fit take alike. */
#ifndef HM_FIT_SIZES_H
#define HM_FIT_SIZES_H

#include "bytes.h"

#define HM_FIT_SIZES_LEAST 2 /* sizes in the list */
#define HM_FIT_SIZES_MOST 8
#define HM_FIT_SIZE_LEAST ((size_t)1 << 10) /* bytes of one */
#define HM_FIT_SIZE_MOST ((size_t)1 << 40)

/* Reads such a list. How many sizes it has, or 0 where it is none; then sizes are undefined. */
static inline int fit_sizes_parse(const char *text, size_t sizes[HM_FIT_SIZES_MOST])
{
    for (int count = 0; count < HM_FIT_SIZES_MOST; count++, text++) {
        if (!bytes_size_parse(text, &text, &sizes[count])) return 0;
        if (sizes[count] < HM_FIT_SIZE_LEAST || sizes[count] > HM_FIT_SIZE_MOST) return 0;
        if (count > 0 && sizes[count] <= sizes[count - 1]) return 0;
        if (*text == '\0') return count + 1 < HM_FIT_SIZES_LEAST ? 0 : count + 1;
        if (*text != ',') return 0;
    }
    return 0;
}

#endif
