/* One call along the way of a kept dispatch: what back.c and again.c share. Lives on the stack of back_run or
 * again_run.
 *
 * A call goes in ticks, as a dispatch does (exec.c): slice k makes step s at tick k + s - 1. On the way back what was
 * sent in step s comes in in step depth + 1 - s. All children of a node come in in one step, so that a slice's messages
 * are used up before the next slice's overwrite them. */
#ifndef HM_WAY_H
#define HM_WAY_H

#include "kept_parts.h"

typedef struct hm_way {
    hm_channel_t *channel;
    hm_kept_t *kept;
    const hm_back_call_t *call;
    char *scratch;
    size_t width; /* of a piece of a row */
    int slices;
    bool back;
} hm_way_t;

/* The width of the pieces of such a call's rows, from agreed numbers alone; 0: scratch is too little. */
size_t way_width(const hm_carry_t *carry, const hm_kept_t *kept, size_t row_bytes);

/* Lays the messages of a call out in scratch, which is enough. */
hm_way_t way_open(hm_carry_t *carry, hm_channel_t *channel, hm_kept_t *kept, const hm_back_call_t *call, bool back);

/* Ticks until all slices have made all steps; one more reads what the last one brought. */
static inline int way_ticks(const hm_way_t *way)
{
    return way->slices + way->kept->depth - 1;
}

/* The slice that is in a step at a tick, or -1. */
static inline int way_slice(const hm_way_t *way, int tick, int step)
{
    int index = tick - (step - 1);
    return index >= 0 && index < way->slices ? index : -1;
}

/* The dispatch's step of the messages that go in a step of this call. */
static inline int way_step(const hm_way_t *way, int step)
{
    return way->back ? way->kept->depth + 1 - step : step;
}

/* The bytes of every row that a slice carries in a lane. */
static inline hm_piece_t way_piece(const hm_way_t *way, int slice, int lane)
{
    return message_piece(way->call->row_bytes, way->width, slice * way->kept->lanes + lane);
}

/* Where the rows of a part lie. */
static inline char *way_part(const hm_way_t *way, const hm_message_t *message, const hm_part_t *part, size_t width)
{
    return way->scratch + message->at + part->row_at * width;
}

/* The messages of all steps of a tick, a group of NCCL's. */
ncclResult_t way_exchange(hm_way_t *way, int tick);

#endif
