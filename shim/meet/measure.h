/* Times the flavours of all-to-all that plans are made of, on the job's communicator: what a profile is fitted to. */
#ifndef HM_MEASURE_H
#define HM_MEASURE_H

#include "base/fit_sizes.h"
#include "parts.h"

#define HM_MEASURE_SIZES HM_FIT_SIZES_MOST

/* Bytes of one rank's whole buffer, ascending; time to measure them in, 0: eight seconds. */
typedef struct hm_measure_sizes {
    uint32_t count, budget_ms;
    uint64_t bytes[HM_MEASURE_SIZES];
} hm_measure_sizes_t;

/* Reads a list such as 256k,1M,4M by fit_sizes_parse. 0 or -EINVAL. */
int measure_sizes_parse(const char *text, hm_measure_sizes_t *sizes);

/* Six sizes up to `most`. */
void measure_sizes_default(size_t most, hm_measure_sizes_t *sizes);

/* Measures on all ranks together and fits the links and extra terms of *profile, whose levels must be the topology's;
 * takes at most about ten seconds. *done: false where a rank lacked memory or HIERMOE_MAX_SCRATCH is too small, alike
 * on all ranks, *profile unchanged. Place and agreement must be ready; the agreed table is overwritten, and windows and
 * a little scratch that near ranks read may stay for the calls. 0, or the communicator is lost (board.h). */
int measure_run(hm_parts_t *parts, const hm_measure_sizes_t *sizes, hm_profile_t *profile, bool *done);

#endif
