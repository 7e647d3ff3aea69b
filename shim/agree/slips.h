/* Slips: what this rank's row is copied from. One for each agreement whose row the stream may still have to read,
 * because the job holds the stream back. */
#ifndef HM_SLIPS_H
#define HM_SLIPS_H

#include "talk/channel.h"

/* Each agreement that is held back makes the next one twice as many calls away (know/hold.h). */
#define HM_SLIPS 16

/* Memory that host and device see. */
typedef struct hm_slip {
    _Alignas(16) hm_claim_t claim; /* of the row's word `able` */
    _Alignas(16) uint32_t row[];   /* the host's part of it */
} hm_slip_t;

typedef struct hm_slips {
    size_t stride; /* bytes from one slip to the next */
    char *memory;
} hm_slips_t;

/* Slips for rows of so many bytes. 0 or -ENOMEM. */
int slips_create(hm_slips_t *slips, const hm_channel_t *channel, size_t bytes);
void slips_free(hm_slips_t *slips, const hm_channel_t *channel);

/* A slip that no stream reads any more. Where there is none, waits for the stream. 0; -EBUSY: it was held back for all
 * of HIERMOE_TIMEOUT; -ECANCELED, -EIO. */
int slips_take(const hm_slips_t *slips, const hm_channel_t *channel, hm_slip_t **slip);

#endif
