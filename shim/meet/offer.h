/* How all ranks come to the same profile: rank 0's is used everywhere. */
#ifndef HM_OFFER_H
#define HM_OFFER_H

#include "measure.h"
#include "parts.h"
#include "seat.h"

typedef enum hm_source { HM_SOURCE_PRIOR, HM_SOURCE_GIVEN, HM_SOURCE_MEASURED, HM_SOURCES } hm_source_t;

/* What rank 0 brings, plain data for the wire. */
typedef struct hm_offer {
    uint32_t source, reserved; /* hm_source_t */
    hm_measure_sizes_t sizes;  /* MEASURED */
    hm_profile_t profile;      /* GIVEN, and MEASURED once it is */
    uint64_t check;
} hm_offer_t;

/* Rank 0: reads HIERMOE_PROFILE and HIERMOE_FIT_FILE; what cannot be used is said once and becomes PRIOR. Other ranks
 * offer PRIOR and look at no file, so that a missing or other file there changes nothing. */
void offer_make(const hm_comm_t *comm, size_t fit_bytes, hm_offer_t *offer);

/* Sets the profile of parts->know alike on all ranks: the prior for the agreed topology, or what rank 0 offers. source:
 * what rank 0 said in its first word; offer: made by offer_make, in memory that NCCL can send from. The parts must be
 * ready for agreements. 0, or the communicator is lost. */
int offer_settle(hm_parts_t *parts, hm_source_t source, hm_offer_t *offer, const hm_seat_t *seats, size_t stride);

#endif
