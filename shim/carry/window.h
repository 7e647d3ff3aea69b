/* Windows: ranks of one innermost group read each other's outgoing messages straight from their memory, where NCCL
 * would carry them over the few channels that it gives a peer in a communicator of several nodes. Either all ranks use
 * windows or none does. This file opens them; near.c moves messages through them. */
#ifndef HM_WINDOW_H
#define HM_WINDOW_H

#include "scratch.h"
#include "talk/place.h"

typedef enum hm_windows_use { HM_WINDOWS_UNTRIED, HM_WINDOWS_ON, HM_WINDOWS_OFF } hm_windows_use_t;

typedef struct hm_windows {
    hm_windows_use_t use; /* agreed */
    void **window;        /* [ranks] scratch of near ranks while windows are on, else NULL */
} hm_windows_t;

/* 0 or -ENOMEM. */
int windows_create(hm_windows_t *windows, int ranks);
void windows_free(hm_windows_t *windows);

/* Whether windows may be used at all by settings and back end, and were not found impossible. Alike on all ranks. */
bool windows_possible(const hm_windows_t *windows, const hm_channel_t *channel);

/* Finds out once whether near ranks can read each other's memory; where they can, tries to give all ranks `capacity`
 * bytes of scratch that near ranks may read, within HIERMOE_MAX_SCRATCH. *ready: all have it, and windows->use says
 * whether all were let in. Same on all ranks; 0, or the communicator is lost. */
int windows_scratch_share(hm_windows_t *windows, hm_scratch_t *scratch, hm_channel_t *channel, const hm_board_t *board,
                          const hm_place_t *place, size_t capacity, bool *ready);

/* Whether messages to and from a rank go through a window. */
static inline bool windows_lead_to(const hm_windows_t *windows, int rank)
{
    return windows->use == HM_WINDOWS_ON && windows->window[rank] != NULL;
}

#endif
