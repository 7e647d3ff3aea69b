#include "pool.h"

#include "base/settings.h"

#include <errno.h>
#include <stdlib.h>

hm_held_t *pool_find(const hm_pool_t *pool, hiermoe_handle_t handle)
{
    return handle_content(handle, pool);
}

static void held_push(hm_held_t **list, hm_held_t *held)
{
    held->next = *list;
    *list = held;
}

void pool_sweep(hm_pool_t *pool)
{
    unsigned releases = handle_releases();
    hm_held_t **link = &pool->held;
    if (releases == pool->releases) return;
    pool->releases = releases;
    while (*link != NULL) {
        hm_held_t *held = *link;
        if (handle_is_live(held->handle)) {
            link = &held->next;
            continue;
        }
        *link = held->next;
        handle_forget(held->handle);
        kept_free(held->kept);
        if (held->memory != NULL)
            held_push(&pool->spare, held);
        else
            free(held);
    }
}

static void spare_free(hm_pool_t *pool, const hm_channel_t *channel)
{
    while (pool->spare != NULL) {
        hm_held_t *spare = pool->spare;
        pool->spare = spare->next;
        pool->bytes -= spare->bytes;
        channel_free(channel, spare->memory);
        free(spare);
    }
}

/* Spare memory that a dispatch of so many bytes fits into without wasting more than that. */
static bool spare_take(hm_pool_t *pool, size_t need, hm_held_t *held)
{
    hm_held_t **link = &pool->spare;
    while (*link != NULL && ((*link)->bytes < need || (*link)->bytes / 2 > need)) link = &(*link)->next;
    hm_held_t *spare = *link;
    if (spare == NULL) return false;
    *link = spare->next;
    held->memory = spare->memory;
    held->bytes = spare->bytes;
    free(spare);
    return true;
}

/* Memory for a dispatch, under the cap. false: there is none. */
static bool memory_take(hm_pool_t *pool, hm_channel_t *channel, size_t need, hm_held_t *held)
{
    size_t most = settings_get()->max_handle_bytes, wanted = need + need / 8; /* for the next one, which is like it */
    if (need > most) return false;
    if (spare_take(pool, need, held)) return true;
    if (wanted > most) wanted = need;
    if (wanted > most - pool->bytes) spare_free(pool, channel);
    if (wanted > most - pool->bytes) wanted = need;
    if (wanted > most - pool->bytes || channel_alloc(channel, wanted, &held->memory) != 0) return false;
    held->bytes = wanted;
    pool->bytes += wanted;
    _Atomic uint64_t *peak = &channel->comm->stats.handle_bytes_most;
    if (pool->bytes > *peak) *peak = pool->bytes; /* nobody else writes it */
    return true;
}

/* Where there is no memory the dispatch has a handle all the same, which ranks can name alike. */
int pool_keep(hm_pool_t *pool, hm_carry_t *carry, hm_channel_t *channel, const hm_load_t *load, uint64_t layer,
              const hm_outcome_t *outcome, hiermoe_handle_t *handle)
{
    uint64_t serial = ++pool->serial;
    *handle = 0;
    pool_sweep(pool);
    hm_held_t *held = calloc(1, sizeof *held);
    if (held == NULL) return 0;
    held->handle = handle_make(pool, held);
    if (held->handle == 0) {
        free(held);
        return 0;
    }
    held->serial = serial;
    held->layer = layer;
    held->depth = load->depth;
    held->outcome = *outcome;
    held_push(&pool->held, held);
    *handle = held->handle;
    if (!memory_take(pool, channel, kept_need(carry, channel, load), held)) return 0;
    int status = kept_make(carry, channel, load, load->rows->filler, held->memory, &held->kept);
    if (status == 0) atomic_fetch_add(&channel->comm->stats.handles, 1);
    return status == -EIO ? -EIO : 0;
}

void pool_free(hm_pool_t *pool, const hm_channel_t *channel)
{
    while (pool->held != NULL) {
        hm_held_t *held = pool->held;
        pool->held = held->next;
        handle_forget(held->handle);
        kept_free(held->kept);
        if (held->memory != NULL)
            held_push(&pool->spare, held);
        else
            free(held);
    }
    spare_free(pool, channel);
}
