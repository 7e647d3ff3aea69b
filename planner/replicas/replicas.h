/* How many copies of each expert to keep, and where (SwiftMoE, later SYMI, arXiv 2504.19925).
 *
 * Every rank has the same number of expert slots. An expert fills one slot or more; its tokens are spread over them.
 * The copies of an iteration follow the loads of the one before, so all ranks must count the same loads (one all-reduce
 * of an integer for each expert). Pure arithmetic: only + - * / and comparisons, so every rank gets the same answer.
 * Callers own all memory. */
#ifndef HM_REPLICAS_H
#define HM_REPLICAS_H

#include <stdint.h>

/* Algorithm 1: count[e] copies of expert e, at least one each, ranks * slots together.
 * loads: [experts] tokens that chose each expert in the iteration before. work: [experts] to count in.
 * -EINVAL unless 1 <= experts <= ranks * slots, and ranks and slots are positive.
 *
 * The paper leaves open: which of equal experts comes first (here the one with the lower id), and loads that are all
 * zero (here they count as equal). Its loop also visits experts that cannot give up their last copy; skipping them
 * gives the same counts. */
int replicas_count(const uint64_t *loads, int experts, int ranks, int slots, int *count, double *work);

/* Lays experts over the slots, rank by rank, one expert's copies next to each other: slot[rank * slots + i] is an
 * expert. order: [experts] in which they are laid, NULL for that of their ids. slot has as many entries as all counts
 * together. */
void replicas_place(const int *order, const int *count, int experts, int *slot);

/* Tokens that one slot may take: factor * choices / (ranks * slots), where choices counts every chosen expert of every
 * token. The paper leaves the rounding open; this rounds up. */
uint64_t replicas_capacity(double factor, uint64_t choices, int ranks, int slots);

/* Tokens that do not fit: expert e has room for count[e] * capacity. */
uint64_t replicas_dropped(const uint64_t *loads, const int *count, int experts, uint64_t capacity);

/* Tokens of the rank that has most, each expert's tokens spread evenly over its copies. Divided by the mean, which is
 * all tokens / ranks, it is the imbalance. */
double replicas_heaviest(const uint64_t *loads, const int *count, const int *slot, int ranks, int slots);

/* One phase of an optimizer step: all gradients in, or all weights out. The optimizer state of an expert
 * lies in host memory: whole on the ranks that hold it (static), or in equal parts on all ranks (decoupled), from where
 * any slot can be filled. */
typedef struct hm_replicas_phase {
    int experts, ranks, slots;
    double bytes;               /* of one expert's gradient or weights */
    double host_ms, network_ms; /* per byte; host_ms 0: the state lies in GPU memory */
} hm_replicas_phase_t;

double replicas_phase_static(const hm_replicas_phase_t *phase);
double replicas_phase_decoupled(const hm_replicas_phase_t *phase);

/* What decoupling costs more, as a share of the static phase: dT/T = (E - s) / (sN - E (1 - BW_net / BW_host)). */
double replicas_phase_extra(const hm_replicas_phase_t *phase);

#endif
