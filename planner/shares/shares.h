/* Inference on one GPU that is too small for all experts: which experts of a layer stay in its memory, which are
 * streamed there for a batch, and which the CPU computes, so that CPU, link and GPU are busy at the same time.
 *
 * ScheInfer (arXiv 2411.15715) divides work so; its formulas could not be read, and what follows is not taken from it.
 * An expert that n tokens chose takes cpu_alpha + cpu_beta n on the CPU, gpu_alpha + gpu_beta n on the GPU, and, where
 * it is streamed, stream_ms of the link before. The CPU works through its experts one by one, beside a flow shop of two
 * machines: the link brings an expert, then the GPU computes it. Johnson's order (1954) is best for that: first those
 * that need no transfer, then the streamed ones, the largest first. An expert without tokens takes no time.
 *
 * Only + - * / and comparisons: same answer on every machine. */
#ifndef HM_SHARES_H
#define HM_SHARES_H

#include <stdbool.h>
#include <stdint.h>

/* All >= 0, in ms; betas per token. */
typedef struct hm_shares_cost {
    double cpu_alpha_ms, cpu_beta_ms;
    double gpu_alpha_ms, gpu_beta_ms;
    double stream_ms; /* one expert's weights over the link */
} hm_shares_cost_t;

typedef enum hm_share { HM_SHARE_CPU, HM_SHARE_STREAM, HM_SHARE_RESIDENT } hm_share_t;

/* When CPU, link and GPU are done; makespan_ms is the latest. */
typedef struct hm_shares_time {
    double cpu_ms, link_ms, gpu_ms, makespan_ms;
} hm_shares_time_t;

/* Working memory for layers of so many experts; used by one thread at a time. -EINVAL (fewer than 1), -ENOMEM. */
typedef struct hm_shares hm_shares_t;
int shares_create(int experts, hm_shares_t **shares);
void shares_destroy(hm_shares_t *shares);

/* The time of a division. share: [experts]. O(experts log^2 experts), no allocation. */
hm_shares_time_t shares_time(hm_shares_t *shares, const hm_shares_cost_t *cost, const uint64_t *loads,
                             const hm_share_t *share);

/* Chooses a division, sets share: [experts], and returns its time. held: [experts] those that are in the GPU's memory
 * already; the GPU computes these, no others are resident. NULL: up to `resident` of them are chosen too, as if their
 * transfer cost nothing. Experts without tokens are left to the CPU, which has nothing to do for them.
 *
 * First the best division in which the CPU takes a run of the experts ordered by load (the coldest, if nothing better):
 * it includes that of shares_fiddler, so the answer is never worse. From there branch and bound, among the 64 coldest,
 * for divisions that are better by HM_SHARES_CLOSE, for a number of steps that keeps 256 experts below 50 us. Up to 12
 * experts are searched to the end: then the answer is that close to the best. */
#define HM_SHARES_CLOSE 0.001
hm_shares_time_t shares_choose(hm_shares_t *shares, const hm_shares_cost_t *cost, const uint64_t *loads, int resident,
                               const bool *held, hm_share_t *share);

/* What Fiddler (arXiv 2402.07033) would do: the GPU computes residents, and each other expert goes where it alone is
 * done sooner, whatever the others do. Without `held` the most loaded are resident. Arguments as above. */
hm_shares_time_t shares_fiddler(hm_shares_t *shares, const hm_shares_cost_t *cost, const uint64_t *loads, int resident,
                                const bool *held, hm_share_t *share);

#endif
