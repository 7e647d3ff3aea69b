#include "handle.h"

#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define CHUNK 1024
#define CHUNKS 256
#define PLACE_BITS 18 /* of CHUNK * CHUNKS places */
_Static_assert(CHUNK *CHUNKS == 1 << PLACE_BITS, "a number holds a place");

typedef struct place {
    _Atomic hiermoe_handle_t live; /* the number while it is in use and not released, else 0 */
    _Atomic(const void *) owner;
    void *content;
    uint64_t uses;
    int next; /* free place behind this one, -1: none */
} place_t;

static _Atomic(place_t *) chunks[CHUNKS]; /* never given back */
static int chunks_made, free_first = -1;  /* with the lock held */
static atomic_uint releases;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static place_t *place_at(size_t number)
{
    place_t *chunk = atomic_load(&chunks[number / CHUNK]);
    return chunk != NULL ? &chunk[number % CHUNK] : NULL;
}

static size_t number_of(hiermoe_handle_t handle)
{
    return (size_t)(handle & ((1u << PLACE_BITS) - 1));
}

/* With the lock held. */
static bool chunk_add(void)
{
    if (chunks_made == CHUNKS) return false;
    place_t *chunk = calloc(CHUNK, sizeof *chunk);
    if (chunk == NULL) return false;
    for (int i = 0; i < CHUNK; i++) chunk[i].next = i + 1 < CHUNK ? chunks_made * CHUNK + i + 1 : -1;
    free_first = chunks_made * CHUNK;
    atomic_store(&chunks[chunks_made++], chunk);
    return true;
}

hiermoe_handle_t handle_make(const void *owner, void *content)
{
    hiermoe_handle_t handle = 0;
    pthread_mutex_lock(&lock);
    if (free_first >= 0 || chunk_add()) {
        size_t number = (size_t)free_first;
        place_t *place = place_at(number);
        free_first = place->next;
        handle = (++place->uses << PLACE_BITS) | number;
        place->content = content;
        atomic_store(&place->owner, owner);
        atomic_store(&place->live, handle);
    }
    pthread_mutex_unlock(&lock);
    return handle;
}

bool handle_is_live(hiermoe_handle_t handle)
{
    place_t *place = handle != 0 ? place_at(number_of(handle)) : NULL;
    return place != NULL && atomic_load(&place->live) == handle;
}

/* The owner alone makes and forgets its numbers, so that one that is live and its own stays so while it looks. */
void *handle_content(hiermoe_handle_t handle, const void *owner)
{
    if (!handle_is_live(handle)) return NULL;
    const place_t *place = place_at(number_of(handle));
    return atomic_load(&place->owner) == owner ? place->content : NULL;
}

void handle_release(hiermoe_handle_t handle)
{
    hiermoe_handle_t live = handle;
    place_t *place = handle != 0 ? place_at(number_of(handle)) : NULL;
    if (place != NULL && atomic_compare_exchange_strong(&place->live, &live, 0)) atomic_fetch_add(&releases, 1);
}

unsigned handle_releases(void)
{
    return atomic_load(&releases);
}

void handle_forget(hiermoe_handle_t handle)
{
    size_t number = number_of(handle);
    place_t *place = place_at(number);
    pthread_mutex_lock(&lock);
    atomic_store(&place->live, 0);
    atomic_store(&place->owner, NULL);
    place->next = free_first;
    free_first = (int)number;
    pthread_mutex_unlock(&lock);
}

/* Another thread of the parent may have held the lock. */
static void handles_after_fork(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

__attribute__((constructor)) static void handles_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = handles_after_fork};
    fork_handler_add(&handler);
}
