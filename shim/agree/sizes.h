/* The size of a row where counts do not tell it: which sizes are in question, what all ranks together make of what each
 * found in its bytes, and which size each round of an agreement looks with.
 *
 * Fed with agreed data only and asked in the order of calls, so every rank looks alike. A wrong size costs a gain,
 * never a byte: identity compares bytes whatever the size. */
#ifndef HM_SIZES_H
#define HM_SIZES_H

#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HM_ROW_BYTES_MIN 32 /* smaller rows are not looked at: the map costs as much as the copies */
#define HM_SIZE_KINDS 16    /* kinds of calls whose size is remembered; the one not used for longest makes room */
#define HM_SIZE_ROUNDS 4    /* of one agreement, at most */

/* Sizes in question for counts with this gcd, in bytes: its divisors from 64 bytes to 64 KB that are multiples of 16,
 * or of as much as the gcd is a multiple of. Descending, the largest HM_PERIOD_SIZES; returns how many. */
int sizes_list(size_t gcd, uint32_t *size);

/* What ranks found, by size. */
typedef struct hm_size_vote {
    int sizes;
    struct {
        uint32_t row_bytes, ranks;
        uint64_t share; /* summed over these ranks */
    } found[16];
} hm_size_vote_t;

/* What one rank found, as kernels' period says it. Nothing where row_bytes is 0; sizes beyond the sixteenth pass over.
 */
void sizes_vote_add(hm_size_vote_t *vote, uint32_t row_bytes, uint32_t share);

/* The size that saves most on all ranks together, the largest where several do; 0: none saves anything. Rows repeat in
 * every divisor of the size at which they do. It divides `gcd`. *net: saved on the mean of `ranks`, as period_net. */
size_t sizes_vote_count(const hm_size_vote_t *vote, size_t gcd, int ranks, int64_t *net);

/* Calls are of one kind here where their counts have the same gcd: bytes for each peer, where counts are equal. */
typedef struct hm_size_kind {
    size_t gcd; /* 0: free */
    size_t row_bytes;
    uint64_t used;
} hm_size_kind_t;

typedef struct hm_sizes {
    hm_size_kind_t kind[HM_SIZE_KINDS];
    uint64_t looks;
    uint64_t due;    /* look from which bytes may be searched again */
    unsigned barren; /* searches in a row that brought nothing */
} hm_sizes_t;

/* What a round of an agreement looks with. */
typedef struct hm_size_try {
    size_t row_bytes; /* 0: only to learn the gcd */
    bool search;      /* search the bytes for a size */
} hm_size_try_t;

/* What all ranks learned in a round. */
typedef struct hm_size_outcome {
    bool crowded;      /* a rank has no room for so many rows: only a larger size will do */
    bool fits;         /* the size divides all counts: */
    int64_t net;       /* what it saves, as period_net */
    size_t gcd;        /* of all counts */
    size_t found;      /* by a search; 0: nothing */
    int64_t found_net; /* what that may save */
} hm_size_outcome_t;

/* The rounds of one agreement. */
typedef struct hm_size_look {
    int rounds;
    hm_size_try_t try[HM_SIZE_ROUNDS];
    bool searched;
    size_t found, best; /* 0: none */
    int64_t found_net, best_net;
} hm_size_look_t;

void sizes_init(hm_sizes_t *sizes);

/* The first round of a look at a call for which rows of `expected` bytes are expected, 0: nothing is. */
hm_size_try_t sizes_begin(hm_sizes_t *sizes, size_t expected, hm_size_look_t *look);

/* What to do after a round: true with the next one, or false: what the last round agreed on stands. */
bool sizes_next(hm_sizes_t *sizes, hm_size_look_t *look, const hm_size_outcome_t *outcome, hm_size_try_t *next);

/* Whether this size is known from the bytes of some kind of calls: counts that would allow a larger one say nothing. */
bool sizes_proven(const hm_sizes_t *sizes, size_t row_bytes);

#endif
