/* Dispatches that are kept for the calls after them, one handle each, and the device memory that they take. Handles are
 * made in the order of calls, on all ranks alike; whether this rank has the memory for one is its own affair, and said
 * in the agreement of a call that needs it. */
#ifndef HM_POOL_H
#define HM_POOL_H

#include "guide/handle.h"
#include "kept.h"

#include "planner/policy/kind.h"

/* One kept dispatch. */
typedef struct hm_held {
    hiermoe_handle_t handle;
    uint64_t serial;      /* the how many-th of the communicator: the same on all ranks */
    uint64_t layer;       /* hash of its layer's key, 0: none */
    int depth;            /* that it went at */
    hm_outcome_t outcome; /* that it was decided by */
    hm_kept_t *kept;      /* NULL: this rank could not keep it */
    void *memory;
    size_t bytes; /* of memory */
    struct hm_held *next;
} hm_held_t;

/* All zero: empty. */
typedef struct hm_pool {
    hm_held_t *held;   /* dispatches, the latest first */
    hm_held_t *spare;  /* of their structs only memory and bytes count: it may serve another dispatch */
    size_t bytes;      /* of all memory, at most HIERMOE_MAX_HANDLE_BYTES */
    uint64_t serial;   /* dispatches so far; agreed */
    unsigned releases; /* of the process, when the pool was last swept */
} hm_pool_t;

/* Keeps a dispatch that was carried out just now (kept_make); *handle: its number, 0 where this rank has no host memory
 * for one. What was released is taken back first. 0, or -EIO: the communicator is lost. */
int pool_keep(hm_pool_t *pool, hm_carry_t *carry, hm_channel_t *channel, const hm_load_t *load, uint64_t layer,
              const hm_outcome_t *outcome, hiermoe_handle_t *handle);

/* The dispatch of a handle; NULL where it is released, or of another communicator. */
hm_held_t *pool_find(const hm_pool_t *pool, hiermoe_handle_t handle);

/* Takes back what was released. Its memory is used again behind the calls that are under way, on the stream. */
void pool_sweep(hm_pool_t *pool);

void pool_free(hm_pool_t *pool, const hm_channel_t *channel);

#endif
