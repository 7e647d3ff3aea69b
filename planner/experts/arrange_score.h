/* What an arrangement of experts costs: its all-to-alls by true maxima, and getting there. */
#ifndef HM_ARRANGE_SCORE_H
#define HM_ARRANGE_SCORE_H

#include "arrange_options.h"
#include "routes.h"

typedef struct hm_score hm_score_t;

/* Times will be those of `tokens` tokens, however many the routes have that are asked about. 0, -EINVAL (depth),
 * -ENOMEM. The topology is kept, the rest is not. */
int score_create(const hm_topo_t *topo, const hm_profile_t *profile, const hm_arrange_options_t *options, int experts,
                 size_t tokens, hm_score_t **score);
void score_destroy(hm_score_t *score);

/* 0, or -EINVAL where an id is no expert or there are no tokens. */
int score_check(const hm_score_t *score, const hm_routes_t *routes);

/* ms of one all-to-all whose tokens, each for `scale` tokens, are routed as these and go to experts at rank[experts].
 */
double score_ms(hm_score_t *score, const hm_routes_t *routes, const int *rank);

/* ms to move experts from one place to another: of every level's links, what the busiest rank sends or receives; moves
 * within a rank are free. */
double score_move_ms(hm_score_t *score, const int *from, const int *to);

#endif
