/* What a whole arrangement of experts (arrange.h) is searched and judged by. */
#ifndef HM_ARRANGE_OPTIONS_H
#define HM_ARRANGE_OPTIONS_H

#include "swap.h"

typedef struct hm_arrange_options {
    int depth; /* of the calls that profit */
    size_t row_bytes;
    int steps;            /* most exchanges from one start */
    hm_swap_options_t by; /* objective and gamma of the search; scale, compute_ms, expert_bytes, horizon */
} hm_arrange_options_t;
#define HM_ARRANGE_DEFAULTS \
    { \
        .depth = 1, .steps = 16, .by = HM_SWAP_DEFAULTS \
    }

#endif
