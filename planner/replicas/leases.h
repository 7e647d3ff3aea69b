/* Experts lent for one batch: the alternative to copies that stay. A rank with too many tokens lets another one compute
 * some of them; that rank borrows the expert's weights and gives the gradient back (Least-Loaded Expert Parallelism,
 * arXiv 2601.17111, Algorithms 2 and 3; MoonEP and UltraEP lend alike). Optimizer state stays at home.
 *
 * Decided from the loads of the batch itself. Same loads and options, same leases on every rank. */
#ifndef HM_LEASES_H
#define HM_LEASES_H

#include <stdint.h>

typedef struct hm_lease_options {
    double threshold;      /* lambda: below this ratio of the heaviest rank to the mean nothing is lent */
    double factor;         /* alpha: a rank is full at this many times the mean */
    uint64_t least_tokens; /* m: fewer tokens are not worth lending an expert for */
} hm_lease_options_t;
#define HM_LEASE_DEFAULTS \
    { \
        .threshold = 1.3, .factor = 1, .least_tokens = 1024 \
    } /* as in the authors' program */

/* Rank `to` computes `tokens` of the tokens that chose `expert`, whose home is `from`. */
typedef struct hm_lease {
    int expert, from, to;
    uint64_t tokens;
} hm_lease_t;

/* Leases there can be: each but the last of an expert fills a rank. */
static inline int leases_most(int experts, int ranks)
{
    return experts + ranks;
}

/* Longest processing time first: the most loaded experts are placed first, each at home as far as there is room, the
 * rest where least has been placed or is still to come. home: [experts] ranks. rank_load: [ranks], set to the tokens
 * that each rank computes. work: [2 * experts + 2 * ranks] and pending: [ranks] are scratch. lease: room for
 * leases_most(). Returns the number of leases. O((experts + leases) log ranks + experts log experts).
 *
 * The paper leaves open: rounding of a rank's room (here up), which of equal ranks or experts comes first (the one with
 * the lower number). Its text and Algorithm 3 differ where less than least_tokens are in excess; as in the text, those
 * stay at home. */
int leases_choose(const uint64_t *loads, const int *home, int experts, int ranks, const hm_lease_options_t *options,
                  int *work, uint64_t *pending, uint64_t *rank_load, hm_lease_t *lease);

/* Tokens of the heaviest rank over the mean; 1 where there are none. */
double leases_imbalance(const uint64_t *rank_load, int ranks);

#endif
