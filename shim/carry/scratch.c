#include "scratch.h"

#include "agree/rows.h"
#include "base/settings.h"

#define SCRATCH_STEP ((size_t)1 << 20)

void scratch_free(hm_scratch_t *scratch, const hm_channel_t *channel)
{
    if (!scratch->stays) channel_free(channel, scratch->memory);
    *scratch = (hm_scratch_t){.memory = NULL};
}

/* All scratch that there may be. */
static size_t scratch_cap(void)
{
    return settings_get()->max_scratch - rows_memory_most();
}

/* Bytes that count against the cap beside new scratch. */
static size_t bytes_kept(const hm_scratch_t *scratch)
{
    return scratch->kept + (scratch->shared ? scratch->capacity : 0);
}

size_t scratch_most(const hm_scratch_t *scratch)
{
    size_t cap = scratch_cap(), kept = bytes_kept(scratch), more = kept < cap ? cap - kept : 0;
    return more > scratch->capacity ? more : scratch->capacity;
}

size_t scratch_wanted(const hm_scratch_t *scratch, size_t need)
{
    size_t wanted = (need + need / 4) / SCRATCH_STEP * SCRATCH_STEP + SCRATCH_STEP, most = scratch_most(scratch);
    return wanted < most ? wanted : most;
}

/* Leaves this rank without scratch. What may not be freed is the next spare. */
static void private_drop(hm_scratch_t *scratch, const hm_channel_t *channel)
{
    if (scratch->stays) {
        scratch->spare.memory = scratch->memory;
        scratch->spare.bytes = scratch->capacity;
    } else {
        channel_free(channel, scratch->memory);
    }
    scratch->memory = NULL;
    scratch->stays = false;
    scratch->capacity = 0;
}

int scratch_grow(hm_scratch_t *scratch, hm_channel_t *channel, const hm_board_t *board, size_t need, size_t capacity,
                 bool *ready)
{
    void *memory = NULL;
    hm_spare_t *spare = &scratch->spare;
    size_t kept = bytes_kept(scratch), cap = scratch_cap();
    *ready = false;
    scratch->refused = capacity;
    if (capacity + kept > cap) capacity = kept < cap ? cap - kept : 0;
    if (capacity < need) return 0;
    if (!scratch->shared) private_drop(scratch, channel);
    bool spared = spare->memory != NULL && spare->bytes >= capacity; /* it could not be freed anyway */
    bool mine = spared || channel_alloc(channel, capacity, &memory) == 0;
    int status = board_vote(board, channel, mine, ready);
    if (status != 0 || !*ready) {
        channel_free(channel, memory);
        return status;
    }
    scratch->memory = spared ? spare->memory : memory;
    if (spared) spare->memory = NULL;
    scratch->stays = spared;
    scratch->shared = false;
    scratch->capacity = capacity;
    scratch->kept = kept;
    scratch->refused = 0;
    return 0;
}

/* Shared memory of so many bytes: a new one, or what was left over when another rank had none. */
static bool spare_take(hm_spare_t *spare, hm_channel_t *channel, size_t capacity)
{
    if (spare->memory != NULL && spare->bytes >= capacity) return true;
    spare->bytes = capacity;
    if (channel_share(channel, capacity, &spare->memory, spare->ticket) == 0) return true;
    spare->memory = NULL;
    return false;
}

/* Memory that others read is kept until the communicator ends, since freeing it may wait for the whole device; so it
 * grows in large steps. */
int scratch_share(hm_scratch_t *scratch, hm_channel_t *channel, const hm_board_t *board, size_t capacity, bool *ready)
{
    size_t had = scratch->capacity, kept = scratch->kept + had, most = scratch_cap();
    *ready = false;
    if (capacity < 2 * had && kept + 2 * had <= most) capacity = 2 * had;
    if (kept + capacity > most) return 0;
    bool mine = spare_take(&scratch->spare, channel, capacity);
    int status = board_vote(board, channel, mine, ready);
    if (status != 0 || !*ready) return status;
    scratch->memory = scratch->spare.memory;
    scratch->spare.memory = NULL;
    scratch->shared = scratch->stays = true;
    scratch->kept = kept;
    scratch->capacity = capacity;
    return 0;
}
