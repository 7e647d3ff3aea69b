/* Which two experts should trade places so that the next all-to-alls move less (HierMoE 2508.09591, Eq. 8-11).
 *
 * The modelled time of a placement is Eq. 3 at a fixed depth, with each level's maximum taken by `objective`. All
 * E(E-1)/2 pairs are scored in closed form from swap_stats.h. The same statistics and options give the same answer on
 * every rank. */
#ifndef HM_SWAP_H
#define HM_SWAP_H

#include "swap_shape.h"
#include "swap_stats.h"
#include "wires/profile.h"

typedef struct hm_swap_options {
    hm_swap_objective_t objective;
    int gamma;           /* 1..HM_SMOOTH_MAX_GAMMA; the paper's default is 10 */
    double scale;        /* tokens that each one in the statistics stands for; 1 if they are complete */
    int routing_groups;  /* > 1: ids are parted into so many equal runs, and only pairs inside one run are swapped */
    double compute_ms;   /* > 0: ms of compute per row of the rank that gets most raw rows; added to the time */
    double expert_bytes; /* what moves with one expert, each way: weights and optimizer state */
    double horizon;      /* all-to-alls that will profit from a swap; <= 0: moving costs nothing */
} hm_swap_options_t;
#define HM_SWAP_DEFAULTS \
    { \
        .objective = HM_SWAP_SMOOTH_MAX, .gamma = 10, .scale = 1 \
    }

/* One exchange. a == b == -1: none is worth it. Times are of one all-to-all, by the objective; move_ms is paid once for
 * the exchange. */
typedef struct hm_swap_choice {
    int a, b;
    double before_ms, after_ms, move_ms;
} hm_swap_choice_t;

typedef struct hm_swap hm_swap_t;

/* A scorer with its working memory, 8 * experts^2 bytes. options is copied; profile and topology are not kept. 0,
 * -EINVAL (depth, gamma, scale or routing groups out of range), -ENOMEM. */
int swap_create(const hm_topo_t *topo, const hm_profile_t *profile, const hm_placement_t *placement, size_t row_bytes,
                int depth, const hm_swap_options_t *options, hm_swap_t **swap);
void swap_destroy(hm_swap_t *swap);

/* The best single exchange, the first among equals. O(levels * E^2), no allocation. */
void swap_choose(hm_swap_t *swap, const hm_swap_stats_t *stats, hm_swap_choice_t *choice);

/* Up to `most` exchanges that may help, of different experts, the most promising first: those whose lower bounds of the
 * change are least and below 0. What each brings is for swap_score to say. Returns their number. O(levels * E^2). */
int swap_candidates(hm_swap_t *swap, const hm_swap_stats_t *stats, int most, int *a, int *b);

/* The modelled time with a and b exchanged (a == b: the present time), by the objective. */
double swap_score(hm_swap_t *swap, const hm_swap_stats_t *stats, int a, int b);

/* Brings statistics up to date after a and b traded places: places and sums. Returns 0 or a negative errno, which ends
 * swap_choose_several with it. */
typedef int (*hm_swap_update_t)(void *context, hm_swap_stats_t *stats, int a, int b);

/* Up to `most` exchanges, each scored after the one before. Without `update`, stats' sums stay those of the first
 * placement, and only its group maps follow. Then an exchange may only touch groups that no earlier one touched, at any
 * level where its two experts differ: for these the sums are still exact. Returns the number of exchanges, or a
 * negative errno. */
int swap_choose_several(hm_swap_t *swap, hm_swap_stats_t *stats, hm_swap_update_t update, void *context, int most,
                        hm_swap_choice_t *choice);

#endif
