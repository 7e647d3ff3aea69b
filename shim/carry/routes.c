#include "routes.h"

#include <errno.h>
#include <stdlib.h>

static void jobs_free(hm_jobs_t *jobs)
{
    free(jobs->pick);
    free(jobs->map);
    free(jobs->move);
    free(jobs->list[0]);
    *jobs = (hm_jobs_t){0};
}

/* Room for the jobs of any tick: exec_jobs.c says how many each of its functions adds. */
static int jobs_make(hm_route_t *const *route, int lanes, int ranks, hm_jobs_t *jobs)
{
    size_t n = (size_t)ranks, parts = 0;
    for (int lane = 0; lane < lanes; lane++) parts += (size_t)route[lane]->parts;
    *jobs = (hm_jobs_t){.pick = malloc((parts + 2 * n) * sizeof *jobs->pick),
                        .map = malloc(n * sizeof *jobs->map),
                        .move = malloc((2 * parts + n + 1) * sizeof *jobs->move)};
    jobs->list[0] = malloc((parts + 1) * sizeof *jobs->list[0]);
    if (jobs->pick == NULL || jobs->map == NULL || jobs->move == NULL || jobs->list[0] == NULL) {
        jobs_free(jobs);
        return -ENOMEM;
    }
    for (int lane = 1; lane < lanes; lane++) jobs->list[lane] = jobs->list[lane - 1] + route[lane - 1]->parts;
    return 0;
}

static int near_make(hm_depth_routes_t *at, const hm_place_t *place, int me, int lanes)
{
    int ranks = place->topo->ranks;
    if (at->near == NULL) at->near = calloc((size_t)(lanes * ranks), sizeof(hm_route_t *));
    if (at->near == NULL) return -ENOMEM;
    for (int i = 0; i < lanes * ranks; i++) {
        if (!place_near(place, me, i % ranks) || at->near[i] != NULL) continue;
        int status = route_create(at->paths[i / ranks], i % ranks, &at->near[i]);
        if (status != 0) return status;
    }
    return 0;
}

int routes_make(hm_routes_t *routes, const hm_place_t *place, int me, int depth, bool near)
{
    hm_depth_routes_t *at = &routes->depth[depth];
    int status = 0, lanes = place_lanes(place, depth);
    for (int lane = 0; lane < lanes && status == 0; lane++) {
        if (at->paths[lane] == NULL) status = paths_create(place->topo, depth, lane, lanes, &at->paths[lane]);
        if (status == 0 && at->route[lane] == NULL) status = route_create(at->paths[lane], me, &at->route[lane]);
    }
    if (status == 0 && at->jobs.pick == NULL) status = jobs_make(at->route, lanes, place->topo->ranks, &at->jobs);
    return status != 0 || !near ? status : near_make(at, place, me, lanes);
}

void routes_free(hm_routes_t *routes, const hm_place_t *place)
{
    for (int d = 0; d <= HM_MAX_LEVELS; d++) {
        hm_depth_routes_t *at = &routes->depth[d];
        int count = at->near != NULL ? place_lanes(place, d) * place->topo->ranks : 0;
        for (int i = 0; i < count; i++) route_destroy(at->near[i]);
        free(at->near);
        jobs_free(&at->jobs);
        for (int lane = 0; lane < HM_MAX_LANES; lane++) {
            route_destroy(at->route[lane]);
            paths_destroy(at->paths[lane]);
        }
    }
    *routes = (hm_routes_t){0};
}
