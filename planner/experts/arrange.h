/* A whole new arrangement of one layer's experts: pairs that trade places, and blocks of experts that move between
 * groups together, since pairs alone get stuck where each single exchange makes things worse. What a part of the routes
 * proposes, the other part has to confirm. The same input gives the same answer on every rank. */
#ifndef HM_ARRANGE_H
#define HM_ARRANGE_H

#include "arrange_options.h"
#include "routes.h"

#include <stdbool.h>

typedef enum hm_arrangement_kind {
    HM_ARRANGED_NOW,      /* as it is */
    HM_ARRANGED_PAIRS,    /* exchanges of two experts, one after the other */
    HM_ARRANGED_BLOCKS,   /* experts dealt anew by what is chosen together, then exchanges */
    HM_ARRANGED_PACKED,   /* by counts alone, as EPLB: balance_pack */
    HM_ARRANGED_BALANCED, /* by counts alone, as SmartMoE: balance_swap */
    HM_ARRANGEMENTS
} hm_arrangement_kind_t;

/* A name for tables; NULL past the last. */
const char *arrange_name(int kind);

/* What one arrangement is worth. Times are of one all-to-all by true maxima (Eq. 3 of the paper at a fixed depth),
 * compute included; move_ms is paid once. */
typedef struct hm_arrangement {
    bool tried;
    double ms, held_ms; /* on the routes that proposed it, on those that confirm it */
    double move_ms;
    int moved; /* experts on another rank than now */
} hm_arrangement_t;

/* Proposes from `routes`, confirms with `held`; both of the same router, neither empty. An arrangement is taken where
 * both parts gain at least HM_ARRANGE_GAIN, the held one at least half of what the other gains, and the horizon's
 * all-to-alls gain twice what moving costs; of several the one with the least time on both parts together. Sets
 * rank[experts] (now->rank where none is taken), *taken and, for all kinds, result. Arrangements by counts alone are
 * for comparison, but are taken like the others. 0, -EINVAL (an id out of range, options), -ENOMEM, with outputs
 * unchanged.
 */
#define HM_ARRANGE_GAIN 0.01
int arrange_choose(const hm_topo_t *topo, const hm_profile_t *profile, const hm_placement_t *now,
                   const hm_routes_t *routes, const hm_routes_t *held, const hm_arrange_options_t *options, int *rank,
                   hm_arrangement_kind_t *taken, hm_arrangement_t result[HM_ARRANGEMENTS]);

#endif
