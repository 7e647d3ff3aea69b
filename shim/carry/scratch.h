/* Device memory that replaced calls work in, kept from call to call. Its size is agreed: the same on all ranks. It is
 * of one of two kinds: private, or shared, which near ranks may read. */
#ifndef HM_SCRATCH_H
#define HM_SCRATCH_H

#include "talk/board.h"

/* Shared memory that this rank got and another rank did not; for the next scratch, since it cannot be freed. */
typedef struct hm_spare {
    void *memory;
    size_t bytes;
    unsigned char ticket[HM_TICKET];
} hm_spare_t;

typedef struct hm_scratch {
    void *memory;
    size_t capacity; /* agreed: bytes of it */
    bool shared;     /* agreed: near ranks may read it */
    bool stays;      /* this rank's is shared memory, which stays until the context ends */
    hm_spare_t spare;
    size_t kept;    /* agreed: bytes of shared memory that are not scratch any more */
    size_t refused; /* agreed: a capacity that some rank could not get; 0: none */
} hm_scratch_t;

void scratch_free(hm_scratch_t *scratch, const hm_channel_t *channel);

/* The most scratch that a call can have under HIERMOE_MAX_SCRATCH less what is for rows (rows_memory_most): what is
 * there, or what may still be made. */
size_t scratch_most(const hm_scratch_t *scratch);

/* The capacity to make where a call needs so many bytes: with room for changing loads. */
size_t scratch_wanted(const hm_scratch_t *scratch, size_t need);

/* Gives all ranks private scratch of `capacity` bytes, cut to what HIERMOE_MAX_SCRATCH leaves. *ready: all have at
 * least `need`. Where a rank cannot get it all ranks are left without private scratch, as what they had is given back
 * first: both together could be more than the cap. Same on all ranks; 0, or the communicator is lost. */
int scratch_grow(hm_scratch_t *scratch, hm_channel_t *channel, const hm_board_t *board, size_t need, size_t capacity,
                 bool *ready);

/* The same with memory that near ranks may read; *ready false where HIERMOE_MAX_SCRATCH is too little for it. The
 * ticket of this rank's is scratch->spare.ticket. */
int scratch_share(hm_scratch_t *scratch, hm_channel_t *channel, const hm_board_t *board, size_t capacity, bool *ready);

#endif
