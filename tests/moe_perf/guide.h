/* What an adapter does for the library in front of NCCL, if there is one: announces each exchange (shim/hiermoe.h). */
#ifndef MP_GUIDE_H
#define MP_GUIDE_H

#include "device.h"
#include "hiermoe.h"
#include "layout.h"

/* One layer's dispatch: its map on the device, and the handle of the last one that was kept. */
typedef struct mp_guide_layer {
    int32_t id;
    uint64_t tokens;
    mp_buffer_t map; /* int32_t [send_rows] */
    hiermoe_handle_t handle;
} mp_guide_layer_t;

typedef struct mp_guide {
    const hiermoe_api_t *api; /* NULL: no such library, or one that knows no announcements; then nothing is done */
    const mp_device_t *device;
    int roles; /* that may be guided, as attach says */
    uint32_t type;
    uint64_t width;
    int layers;
    mp_guide_layer_t *layer; /* [layers] */
} mp_guide_t;

/* Before the first exchange. 0, or a negative errno, said. */
int guide_open(mp_guide_t *guide, const mp_device_t *device, const mp_options_t *options, const mp_layout_t *layouts,
               int layers);
void guide_close(mp_guide_t *guide);

/* Around each exchange of a layer, on the same thread. */
void guide_announce(const mp_guide_t *guide, mp_direction_t direction, int layer, const mp_layout_t *layout);
void guide_settle(const mp_guide_t *guide, mp_direction_t direction, int layer);

/* Whether exchanges of a direction may go along a dispatch. The same on all ranks that have the same settings. */
bool guide_follows(const mp_guide_t *guide, mp_direction_t direction);

#endif
