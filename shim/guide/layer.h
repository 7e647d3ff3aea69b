/* Layers of experts, as adapters name them. Ids are places in a table of the process, which never shrinks: a key that
 * is opened again gets the id that it had. */
#ifndef HM_LAYER_H
#define HM_LAYER_H

#include "hiermoe.h"

#include <stdatomic.h>
#include <stdbool.h>

#define HM_LAYERS 4096
#define HM_ROLES 5 /* HIERMOE_OPAQUE ... */

typedef struct hm_layer {
    char *key;
    uint64_t hash;              /* of the key: what ranks compare */
    atomic_int open;            /* layer_open less layer_close */
    _Atomic(const void *) comm; /* ncclComm_t of its calls; NULL: not known yet */
    _Atomic uint64_t announced[HM_ROLES], guided[HM_ROLES], refused[HM_ROLES];
} hm_layer_t;

/* As in hiermoe.h. Any thread. */
int layers_open(const hiermoe_layer_t *wanted, int32_t *id);
int layers_close(int32_t id);

/* A communicator ends: its layers take that of their next call, whose address may be the same. Takes no lock. */
void layers_forget(const void *comm);

/* The layer of an id, open or not; NULL: layer_open did not give it. Takes no lock. */
hm_layer_t *layer_find(int32_t id);

static inline bool layer_is_open(const hm_layer_t *layer)
{
    return atomic_load(&layer->open) > 0;
}

#endif
