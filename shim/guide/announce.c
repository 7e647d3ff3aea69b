#include "announce.h"

#include "handle.h"

#include <errno.h>
#include <string.h>

#define WIDTH_MOST ((uint64_t)1 << 30) /* elements of a row */
#define TOKENS_MOST ((uint64_t)UINT32_MAX / 4)

static _Thread_local hm_announced_t mine;

/* Flags that mean something for a role. */
static uint32_t flags_of(uint32_t role)
{
    if (role == HIERMOE_COMBINE || role == HIERMOE_DISPATCH_BACKWARD) return HIERMOE_SUM | HIERMOE_FILLER_UNREAD;
    return role == HIERMOE_COMBINE_BACKWARD ? HIERMOE_COPIES : 0;
}

/* A map is there where its entries have a size: a rank without rows may have no memory for it. */
static bool map_valid(const hiermoe_announcement_t *what)
{
    if (what->map_bytes == 0) return what->map == NULL;
    if (what->role != HIERMOE_DISPATCH || (what->map_bytes != 4 && what->map_bytes != 8)) return false;
    if (what->rows_out == UINT64_MAX || what->tokens > TOKENS_MOST) return false;
    return (uintptr_t)what->map % what->map_bytes == 0 && (what->map != NULL || what->rows_out == 0);
}

static bool announcement_valid(const hiermoe_announcement_t *what)
{
    if (what->role >= HM_ROLES || what->type > HIERMOE_FP32) return false;
    if ((what->flags & ~flags_of(what->role)) != 0) return false;
    if ((what->flags & HIERMOE_SUM) != 0 && what->type == HIERMOE_BYTES) return false;
    if (what->role != HIERMOE_OPAQUE && (what->width == 0 || what->width > WIDTH_MOST)) return false;
    if (what->handle != 0 && (what->role == HIERMOE_OPAQUE || what->role == HIERMOE_DISPATCH)) return false;
    return map_valid(what);
}

/* Whether a job's struct, which may be of a later release, says something that is not known here. */
static bool says_more(const hiermoe_announcement_t *what)
{
    const unsigned char *at = (const unsigned char *)what;
    for (size_t i = sizeof *what; i < what->size; i++)
        if (at[i] != 0) return true;
    return what->spare != 0;
}

int announce_make(const hiermoe_announcement_t *what)
{
    hm_layer_t *layer = NULL;
    if (mine.state == HM_ANNOUNCED_TAKEN && mine.made != 0) handle_release(mine.made); /* nobody settled it */
    mine.state = HM_ANNOUNCED_NOTHING;
    if (what == NULL || what->size < sizeof *what) return -EINVAL;
    if (says_more(what)) return -E2BIG;
    if (!announcement_valid(what)) return -EINVAL;
    if (what->layer != -1) {
        layer = layer_find(what->layer);
        if (layer == NULL || !layer_is_open(layer)) return -ENOENT;
    }
    if (what->handle != 0 && !handle_is_live(what->handle)) return -ESTALE;
    mine = (hm_announced_t){.state = HM_ANNOUNCED_WAITING, .what = *what, .layer = layer};
    return 0;
}

int announce_settle(hiermoe_handle_t *made)
{
    int outcome = mine.state == HM_ANNOUNCED_TAKEN ? mine.outcome : -ENOMSG;
    if (made != NULL) *made = mine.state == HM_ANNOUNCED_TAKEN ? mine.made : 0;
    mine.state = HM_ANNOUNCED_NOTHING;
    return outcome;
}

/* The communicator that the announcement is for: the layer's is the one of its first call. */
static bool comm_matches(const void *comm)
{
    const void *wanted = mine.what.comm, *unknown = NULL;
    if (wanted == NULL && mine.layer != NULL) {
        if (atomic_compare_exchange_strong(&mine.layer->comm, &unknown, comm)) return true;
        wanted = unknown; /* what the layer has */
    }
    return wanted == NULL || wanted == comm;
}

hm_announced_t *announce_take(const void *comm)
{
    if (mine.state != HM_ANNOUNCED_WAITING || !comm_matches(comm)) return NULL;
    mine.state = HM_ANNOUNCED_TAKEN;
    mine.outcome = 0;
    mine.made = 0;
    if (mine.layer != NULL) atomic_fetch_add(&mine.layer->announced[mine.what.role], 1);
    return &mine;
}

bool announce_pass(const void *comm)
{
    announce_take(comm);
    return mine.state == HM_ANNOUNCED_WAITING;
}

/* Whether the bytes to or from all ranks are whole rows, and as many as announced. */
static bool rows_fit(const size_t *bytes, int ranks, size_t row_bytes, uint64_t rows)
{
    uint64_t sum = 0;
    for (int r = 0; r < ranks; r++) {
        if (bytes[r] % row_bytes != 0) return false;
        sum += bytes[r] / row_bytes;
    }
    return rows == UINT64_MAX || rows == sum;
}

const char *announced_misfit(const hm_announced_t *announced, int ranks, const size_t *send_bytes,
                             const size_t *recv_bytes)
{
    const hiermoe_announcement_t *what = &announced->what;
    size_t row_bytes = announced_row_bytes(announced);
    if (row_bytes == 0) return NULL;
    if (!rows_fit(send_bytes, ranks, row_bytes, what->rows_out))
        return "says another number of rows to send than the call has, or another size";
    if (!rows_fit(recv_bytes, ranks, row_bytes, what->rows_in))
        return "says another number of rows to receive than the call has, or another size";
    return NULL;
}

void announce_end(hm_announced_t *announced, int outcome, hiermoe_handle_t made)
{
    uint32_t role = announced->what.role;
    announced->outcome = outcome;
    announced->made = made;
    if (announced->layer == NULL) return;
    if (outcome == 1) atomic_fetch_add(&announced->layer->guided[role], 1);
    if (outcome < 0) atomic_fetch_add(&announced->layer->refused[role], 1);
}
