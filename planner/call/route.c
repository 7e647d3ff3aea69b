#include "route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The first used level at which two ranks are in different groups. */
static int level_parting(const hm_paths_t *paths, int a, int b)
{
    int level = 1;
    while (paths->topo->group[paths->level[level]][a] == paths->topo->group[paths->level[level]][b]) level++;
    return level;
}

static hm_path_t path_walk(const hm_paths_t *paths, int source, int rank)
{
    hm_path_t path = {-1, 0, 0};
    for (int at = source; at != rank;) {
        int level = level_parting(paths, at, rank), l = paths->level[level];
        int lane = level == 1 ? paths->lane : 0;
        path = (hm_path_t){at, (short)level, (short)(path.step + 1)};
        at = topo_lane_peer(paths->topo, l, paths->topo->group[l][rank], at, lane);
    }
    return path;
}

int paths_create(const hm_topo_t *topo, int depth, int lane, int lanes, hm_paths_t **out)
{
    if (depth < 1 || depth > topo->levels || lane < 0 || lane >= lanes) return -EINVAL;
    if (lanes != 1 && (depth < 2 || lanes != topo_lanes(topo))) return -EINVAL;
    size_t n = (size_t)topo->ranks;
    hm_paths_t *paths = calloc(1, sizeof *paths);
    hm_path_t *path = malloc(n * n * sizeof *path);
    if (paths == NULL || path == NULL) {
        free(path);
        free(paths);
        return -ENOMEM;
    }
    *paths = (hm_paths_t){.topo = topo, .depth = depth, .lane = lane, .lanes = lanes, .path = path};
    for (int i = 1; i < depth; i++) paths->level[i] = i;
    paths->level[depth] = topo->levels;
    for (int s = 0; s < topo->ranks; s++)
        for (int r = 0; r < topo->ranks; r++) path[(size_t)s * n + (size_t)r] = path_walk(paths, s, r);
    *out = paths;
    return 0;
}

void paths_destroy(hm_paths_t *paths)
{
    if (paths == NULL) return;
    free(paths->path);
    free(paths);
}

/* Counts the messages from or to `me` and their parts, and lists them where `route` has the memory: for each step and
 * peer the sources whose rows make that hop. */
static void messages_list(const hm_paths_t *paths, int me, bool outgoing, hm_route_t *route, int *messages, int *parts)
{
    int n = paths->topo->ranks;
    hm_message_t *list = route == NULL ? NULL : outgoing ? route->out : route->in;
    for (int step = 1; step <= paths->depth; step++) {
        for (int peer = 0; peer < n; peer++) {
            int from = outgoing ? me : peer, to = outgoing ? peer : me, first = *parts;
            for (int source = 0; source < n; source++) {
                const hm_path_t *path = &paths->path[(size_t)source * (size_t)n + (size_t)to];
                if (path->prev != from || path->step != step) continue;
                if (route != NULL) route->part[*parts] = (hm_part_t){.source = source};
                if (route != NULL && !outgoing) route->in_part[source] = *parts;
                (*parts)++;
            }
            if (*parts == first) continue;
            if (route != NULL) {
                int level = level_parting(paths, from, to), l = paths->level[level];
                int group = paths->topo->group[l][to];
                list[*messages] = (hm_message_t){.peer = peer,
                                                 .step = step,
                                                 .level = level,
                                                 .first = paths->topo->start[l][group],
                                                 .count = topo_group_size(paths->topo, l, group),
                                                 .part = first,
                                                 .parts = *parts - first};
            }
            (*messages)++;
        }
    }
}

int route_create(const hm_paths_t *paths, int me, hm_route_t **out)
{
    int outs = 0, ins = 0, parts = 0;
    messages_list(paths, me, true, NULL, &outs, &parts);
    messages_list(paths, me, false, NULL, &ins, &parts);
    hm_route_t *route = calloc(1, sizeof *route);
    if (route == NULL) return -ENOMEM;
    *route = (hm_route_t){.paths = paths, .me = me, .outs = outs, .ins = ins, .parts = parts};
    route->out = calloc((size_t)outs + 1, sizeof *route->out);
    route->in = calloc((size_t)ins + 1, sizeof *route->in);
    route->part = calloc((size_t)parts + 1, sizeof *route->part);
    route->in_part = malloc((size_t)paths->topo->ranks * sizeof *route->in_part);
    if (route->out == NULL || route->in == NULL || route->part == NULL || route->in_part == NULL) {
        route_destroy(route);
        return -ENOMEM;
    }
    for (int r = 0; r < paths->topo->ranks; r++) route->in_part[r] = -1;
    outs = ins = parts = 0;
    messages_list(paths, me, true, route, &outs, &parts);
    messages_list(paths, me, false, route, &ins, &parts);
    *out = route;
    return 0;
}

void route_destroy(hm_route_t *route)
{
    if (route == NULL) return;
    free(route->out);
    free(route->in);
    free(route->part);
    free(route->in_part);
    free(route);
}
