/* One replaced call under way: what exec.c, exec_jobs.c and near.c share. Lives on the stack of exec_run. */
#ifndef HM_RUN_H
#define HM_RUN_H

#include "carry.h"

/* Scratch, parted. */
typedef struct hm_areas {
    char *out, *in;   /* of the messages of all lanes */
    char *free, *end; /* behind them, for row lists */
} hm_areas_t;

/* The lane at hand. */
typedef struct hm_lane {
    int number;
    hm_route_t *route;
    uint32_t **list; /* by part, see hm_jobs_t */
} hm_lane_t;

/* Jobs that are not enqueued yet; they lie in the routes' hm_jobs_t. */
typedef struct hm_queue {
    int picks, maps, moves;
} hm_queue_t;

typedef struct hm_run {
    const hm_load_t *load;
    hm_channel_t *channel;
    const hm_windows_t *windows;
    hm_depth_routes_t *routes; /* of the call's depth */
    int lanes, slices;
    bool near; /* messages to near ranks go through windows */
    hm_areas_t areas;
    hm_lane_t lane;
    hm_queue_t queue;
} hm_run_t;

static inline void run_lane_enter(hm_run_t *run, int lane)
{
    run->lane = (hm_lane_t){lane, run->routes->route[lane], run->routes->jobs.list[lane]};
}

/* The bytes of every row that a slice carries in the lane at hand. */
static inline hm_piece_t run_piece(const hm_run_t *run, int slice)
{
    return message_piece(run->load->table->row_bytes, run->load->width, slice * run->lanes + run->lane.number);
}

static inline size_t run_rows_raw(const hm_run_t *run, int source, int rank)
{
    return run->load->table->raw[(size_t)source * (size_t)run->load->place->topo->ranks + (size_t)rank];
}

#endif
