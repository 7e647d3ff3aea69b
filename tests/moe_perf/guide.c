#include "guide.h"

#include "say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t roles[MP_DIRECTIONS] = {HIERMOE_DISPATCH, HIERMOE_COMBINE, HIERMOE_COMBINE_BACKWARD,
                                              HIERMOE_DISPATCH_BACKWARD};

/* The tokens of a rank's rows; unused rows of padded patterns are fillers. */
static int map_make(const mp_device_t *device, const mp_layout_t *layout, mp_guide_layer_t *layer)
{
    size_t bytes = layout->send_rows * sizeof(int32_t);
    int status = device->alloc(bytes, &layer->map);
    if (status) return status;
    for (size_t i = 0; i < layout->send_rows; i++)
        if (layout->send_token[i] != MP_PAD && layout->send_token[i] >= layer->tokens)
            layer->tokens = layout->send_token[i] + 1u;
    for (size_t i = 0; i < layout->send_rows; i++) {
        int32_t token = (int32_t)(layout->send_token[i] != MP_PAD ? layout->send_token[i] : layer->tokens);
        memcpy(layer->map.host + i * sizeof(token), &token, sizeof(token));
    }
    return device->upload(&layer->map, bytes);
}

static int layer_make(mp_guide_t *guide, const mp_layout_t *layout, int number)
{
    char key[32];
    snprintf(key, sizeof(key), "moe_perf.%d", number);
    hiermoe_layer_t layer = {.size = sizeof(layer), .key = key};
    int status = guide->api->layer_open(&layer, &guide->layer[number].id);
    if (status) say("the library refused layer %s: %s", key, strerror(-status));
    return status ? status : map_make(guide->device, layout, &guide->layer[number]);
}

int guide_open(mp_guide_t *guide, const mp_device_t *device, const mp_options_t *options, const mp_layout_t *layouts,
               int layers)
{
    static const uint32_t types[] = {HIERMOE_BF16, HIERMOE_FP16, HIERMOE_FP32, HIERMOE_BYTES};
    const hiermoe_api_t *api = hiermoe_api_load();
    *guide = (mp_guide_t){.device = device, .type = types[options->dtype], .width = options->hidden};
    if (!api || api->version < 2) return 0;
    guide->layer = calloc((size_t)layers, sizeof(*guide->layer));
    if (!guide->layer) {
        say("out of memory");
        return -ENOMEM;
    }
    guide->api = api;
    guide->roles = api->attach("moe_perf", 1);
    int status = 0;
    for (int l = 0; !status && l < layers; l++) {
        guide->layers = l + 1;
        status = layer_make(guide, &layouts[l], l);
    }
    return status;
}

void guide_close(mp_guide_t *guide)
{
    for (int l = 0; l < guide->layers; l++) {
        guide->api->release(guide->layer[l].handle);
        guide->api->layer_close(guide->layer[l].id);
        if (guide->layer[l].map.device) guide->device->free(&guide->layer[l].map);
    }
    free(guide->layer);
    *guide = (mp_guide_t){0};
}

void guide_announce(const mp_guide_t *guide, mp_direction_t direction, int number, const mp_layout_t *layout)
{
    if (!guide->api) return;
    const mp_guide_layer_t *layer = &guide->layer[number];
    bool out = options_direction_out(direction);
    hiermoe_announcement_t what = {.size = sizeof(what),
                                   .role = roles[direction],
                                   .type = guide->type,
                                   .layer = layer->id,
                                   .width = guide->width,
                                   .rows_out = out ? layout->send_rows : layout->recv_rows,
                                   .rows_in = out ? layout->recv_rows : layout->send_rows};
    if (direction == MP_DISPATCH) {
        what.map = layer->map.device;
        what.map_bytes = sizeof(int32_t);
        what.tokens = layer->tokens;
    } else {
        what.handle = layer->handle;
        what.flags = out ? HIERMOE_COPIES : HIERMOE_SUM | HIERMOE_FILLER_UNREAD;
    }
    int status = guide->api->announce(&what);
    if (status) say("an announcement was refused: %s", strerror(-status));
}

void guide_settle(const mp_guide_t *guide, mp_direction_t direction, int number)
{
    hiermoe_handle_t made;
    if (!guide->api) return;
    int status = guide->api->settle(&made);
    if (status == -EPROTO) say("an announcement did not fit its exchange");
    if (direction != MP_DISPATCH) return;
    guide->api->release(guide->layer[number].handle);
    guide->layer[number].handle = made;
}

bool guide_follows(const mp_guide_t *guide, mp_direction_t direction)
{
    return guide->api && direction != MP_DISPATCH && (guide->roles >> roles[direction] & 1);
}
