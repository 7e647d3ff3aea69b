/* Searching the bytes of this rank for the size of its rows, on the device. */
#ifndef HM_SEARCH_H
#define HM_SEARCH_H

#include "rows.h"

/* Enqueues it. gcd: of all counts of this rank, bytes. found: two words on the device, zeros; they stay so where there
 * is nothing to find or no memory to search with: what `set` leaves of rows_memory_most, given back behind the search.
 * 0; else the communicator is lost. */
int search_enqueue(const hm_row_set_t *set, hm_channel_t *channel, const hm_call_t *call, size_t gcd, uint32_t *found);

#endif
