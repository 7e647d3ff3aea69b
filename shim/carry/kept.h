/* What is kept of a dispatch that was carried out, so that later calls can go its way again or back (back.h): which
 * rows are one token, the rows of every message, lists of what is added where. None of them needs an agreement. */
#ifndef HM_KEPT_H
#define HM_KEPT_H

#include "carry.h"

typedef struct hm_kept hm_kept_t;

/* Bytes of device memory that keeping a planned dispatch takes, on the rank that needs most: the same on all ranks.
 * Call after prepare_run. O(ranks^2 * lanes). */
size_t kept_need(const hm_carry_t *carry, const hm_channel_t *channel, const hm_load_t *load);

/* Keeps a dispatch. Call right after exec_run returned ncclSuccess, with the same arguments and before anything else
 * of this communicator is enqueued: the work that this enqueues reads scratch and load->rows.
 * filler: device, one word: distinct number of the filler rows or UINT32_MAX (hm_tokens_found_t); NULL: no fillers. It
 * is read on the stream.
 * memory: device, kept_need bytes, aligned to 256; the caller's. It is in use until the stream has passed the last call
 * of this dispatch; after kept_free it may be reused by work that is ordered behind that.
 * 0 with *kept set; -ENOMEM (host memory) or -EIO: this rank alone failed, so that the communicator is lost. */
int kept_make(hm_carry_t *carry, hm_channel_t *channel, const hm_load_t *load, const uint32_t *filler, void *memory,
              hm_kept_t **kept);

/* Bytes of device memory that this rank uses of kept_need. */
size_t kept_bytes(const hm_kept_t *kept);

/* Frees host memory only, in any thread; NULL is let pass. */
void kept_free(hm_kept_t *kept);

/* Whether a call fits the dispatch: with `back`, it sends each rank as many rows as the dispatch brought from there,
 * and expects as many as the dispatch sent there; else the same counts as the dispatch. This rank's view alone. */
bool kept_fits(const hm_kept_t *kept, const hm_call_t *call, size_t row_bytes, bool back);

/* A call along the way of a kept dispatch (back.h). */
typedef struct hm_back_call {
    const hm_call_t *call; /* one that fits, kept_fits */
    size_t row_bytes;      /* the same on all ranks */
    hm_element_t type;     /* back_run: of elements; row_bytes is a multiple of theirs */
    bool filler_unread;    /* back_run: zeros are written to the rows of fillers; false: they are added as a token's */
} hm_back_call_t;

#endif
