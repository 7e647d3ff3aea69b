/* What one kind of transfer costs. */
#ifndef HM_LINK_H
#define HM_LINK_H

#include <stdint.h>

/* Time in ms = alpha_ms + (bytes - free_bytes) * beta_ms + (bytes - turn_bytes) * turn_ms, either difference at least
 * 0, bytes being one rank's whole buffer, own share included. */
typedef struct hm_link {
    double alpha_ms;
    double beta_ms;    /* ms per byte */
    double r2;         /* 0..1; NaN where nothing was fitted */
    uint32_t samples;  /* 0: a prior */
    double free_bytes; /* taken by buffers on the way and shapers' allowances before the wire slows anything down */
    double turn_bytes; /* from where on flows disturb each other, or a faster protocol is used */
    double turn_ms;    /* ms per byte on top from there, below 0 where bytes get cheaper; at least -beta_ms */
} hm_link_t;

/* Time of so many bytes without start-up. */
static inline double link_wire_ms(const hm_link_t *link, double bytes)
{
    double held = bytes - link->free_bytes, turned = bytes - link->turn_bytes;
    return (held > 0 ? held * link->beta_ms : 0) + (turned > 0 ? turned * link->turn_ms : 0);
}

static inline double link_ms(const hm_link_t *link, double bytes)
{
    return link->alpha_ms + link_wire_ms(link, bytes);
}

/* ms per byte that leaves a rank, where a buffer goes to `peers` groups in equal shares, own one included. */
static inline double link_leaving_beta(const hm_link_t *link, double peers)
{
    return peers > 1 ? link->beta_ms * peers / (peers - 1) : 0;
}

#endif
