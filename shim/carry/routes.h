/* The ways of rows and the messages that carry them, by depth and lane, with memory for the jobs that they bring. Made
 * when a depth is first used, agreed once. */
#ifndef HM_ROUTES_H
#define HM_ROUTES_H

#include "talk/place.h"

#include "kernels/kernels.h"
#include "planner/call/route.h"

/* Memory that jobs for the kernels are written to; sized for the routes of all lanes, so that nothing is allocated
 * under way. */
typedef struct hm_jobs {
    hm_pick_job_t *pick;
    hm_map_job_t *map;
    hm_move_job_t *move;
    uint32_t **list[HM_MAX_LANES]; /* [lane][part] row lists of a call: what was picked for an outgoing part, or this
                                      rank's rows of an incoming one; one piece of memory, that of lane 0 */
} hm_jobs_t;

typedef struct hm_depth_routes {
    hm_paths_t *paths[HM_MAX_LANES];
    hm_route_t *route[HM_MAX_LANES]; /* of this rank */
    hm_route_t **near;               /* [lane * ranks + rank] of near ranks, else NULL; NULL: not made */
    hm_jobs_t jobs;
    bool ready; /* agreed: every rank has all of it */
} hm_depth_routes_t;

typedef struct hm_routes {
    hm_depth_routes_t depth[HM_MAX_LEVELS + 1];
} hm_routes_t;

/* Makes what is missing for a depth; near: also the routes of near ranks, which windows need. 0 or -ENOMEM. */
int routes_make(hm_routes_t *routes, const hm_place_t *place, int me, int depth, bool near);
void routes_free(hm_routes_t *routes, const hm_place_t *place);

#endif
