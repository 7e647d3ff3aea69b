#include "layer.h"

#include "base/bytes.h"
#include "base/fork.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static _Atomic(hm_layer_t *) layers[HM_LAYERS]; /* filled from the start, never emptied */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static hm_layer_t *layer_make(const char *key)
{
    hm_layer_t *layer = calloc(1, sizeof *layer);
    if (layer == NULL) return NULL;
    layer->key = strdup(key);
    if (layer->key == NULL) {
        free(layer);
        return NULL;
    }
    layer->hash = bytes_hash(HM_BYTES_HASH_START, key, strlen(key));
    return layer;
}

/* The place of a key, made if it is new; with the lock held. */
static int place_find(const char *key)
{
    int at = 0;
    hm_layer_t *layer;
    while (at < HM_LAYERS && (layer = atomic_load(&layers[at])) != NULL) {
        if (strcmp(layer->key, key) == 0) return at;
        at++;
    }
    if (at == HM_LAYERS) return -ENOSPC;
    layer = layer_make(key);
    if (layer == NULL) return -ENOMEM;
    atomic_store(&layers[at], layer);
    return at;
}

int layers_open(const hiermoe_layer_t *wanted, int32_t *id)
{
    if (wanted == NULL || id == NULL || wanted->size < sizeof *wanted) return -EINVAL;
    if (wanted->key == NULL || wanted->key[0] == '\0') return -EINVAL;
    pthread_mutex_lock(&lock);
    int at = place_find(wanted->key);
    if (at >= 0) {
        if (wanted->comm != NULL) atomic_store(&layers[at]->comm, wanted->comm);
        atomic_fetch_add(&layers[at]->open, 1);
    }
    pthread_mutex_unlock(&lock);
    if (at < 0) return at;
    *id = at;
    return 0;
}

/* Its communicator may be gone by the time that the key is opened again. */
int layers_close(int32_t id)
{
    int status = -ENOENT;
    hm_layer_t *layer = layer_find(id);
    if (layer == NULL) return status;
    pthread_mutex_lock(&lock);
    if (layer_is_open(layer)) {
        if (atomic_fetch_sub(&layer->open, 1) == 1) atomic_store(&layer->comm, NULL);
        status = 0;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void layers_forget(const void *comm)
{
    hm_layer_t *layer;
    for (int i = 0; i < HM_LAYERS && (layer = atomic_load(&layers[i])) != NULL; i++) {
        const void *same = comm;
        atomic_compare_exchange_strong(&layer->comm, &same, NULL);
    }
}

hm_layer_t *layer_find(int32_t id)
{
    return id >= 0 && id < HM_LAYERS ? atomic_load(&layers[id]) : NULL;
}

/* Another thread of the parent may have held the lock. */
static void layers_after_fork(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

__attribute__((constructor)) static void layers_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = layers_after_fork};
    fork_handler_add(&handler);
}
