/* Which rows of the current call are the same bytes, on this rank. */
#ifndef HM_ROWS_H
#define HM_ROWS_H

#include "door/call.h"
#include "talk/channel.h"
#include "talk/place.h"

/* A buffer of the job as addresses [from, to). */
typedef struct hm_interval {
    uintptr_t from, to;
    bool written;
} hm_interval_t;

typedef struct hm_row_set {
    size_t *count;          /* [ranks] rows of the current call by destination */
    hm_interval_t *ranges;  /* [2 * ranks] its buffers */
    hm_identity_t identity; /* of its rows; lies in memory */
    uint32_t *filler;       /* lies in memory: distinct number of the filler rows (hm_tokens_found_t); NULL: there is no
                               such row, as rows were compared */
    void *memory;           /* on the device */
    size_t bytes;
} hm_row_set_t;

/* 0 or -ENOMEM. */
int rows_create(hm_row_set_t *set, int ranks);
void rows_free(hm_row_set_t *set, const hm_channel_t *channel);

/* Whether a receive buffer of the call overlaps another of its buffers. */
bool rows_overlap(hm_row_set_t *set, const hm_call_t *call);

/* The part of HIERMOE_MAX_SCRATCH that the identity of rows may take; the rest is for scratch (carry/scratch.h). Parts
 * of a setting that is equal on all ranks, since how much scratch there may be must not hang on what one rank sends. */
size_t rows_memory_most(void);

/* Enqueues the search for equal rows of so many bytes; set->identity and set->count are of this call afterwards.
 * counts: [1 + groups] on the device, filled by it. 0; where this rank cannot: -ENOMEM, -EFBIG for more rows than can
 * be numbered, -EDQUOT for more than rows_memory_most leaves room for; else the communicator is lost. */
int rows_identify(hm_row_set_t *set, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
                  size_t row_bytes, uint32_t *counts);

/* The same from what was announced instead: rows of one token count as the same bytes. wrong: one word on the device,
 * the number of rows that were found to be announced wrongly. Same results. */
int rows_mark(hm_row_set_t *set, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
              size_t row_bytes, const hm_tokens_t *tokens, uint32_t *counts, uint32_t *wrong);

/* Bytes of the masks of one row, and of memory for the identity of n rows without their counts; 0 if n is too many. */
size_t rows_mask_bytes(int ranks);
size_t rows_memory_bytes(const hm_channel_t *channel, int ranks, size_t n);

/* Lays the identity of n rows out in such memory; returns the work memory of the kernels' identify. */
void *rows_memory_lay(const hm_channel_t *channel, int ranks, size_t n, void *memory, hm_identity_t *identity);

#endif
