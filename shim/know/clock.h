/* What calls that are looked at took, read without waiting: when a call has waited for its table, the look before the
 * last is over. Marks are set on the channel's stream; the host's own time is read beside them. What they say travels
 * in the next table. */
#ifndef HM_CLOCK_H
#define HM_CLOCK_H

#include "talk/channel.h"

/* A call whose transfer is timed. */
typedef struct hm_timed {
    bool planned;        /* all of it is enqueued: the rest means something */
    bool marked;         /* every mark could be set */
    int depth;           /* 0: left alone */
    int steps;           /* parts of it that are marked */
    double model_ms;     /* predicted by the model alone; 0: nothing was */
    double predicted_ms; /* predicted with what earlier calls taught */
} hm_timed_t;

typedef struct hm_clock {
    uint32_t calls;
    hm_timed_t timed[2];           /* by call number; two calls are under way at a time */
    hm_timed_t read;               /* the call that the times below are of */
    uint32_t lead_us, transfer_us; /* on this rank; 0: not known */
    double begun_ms, table_ms;     /* the host's time at the last clock_begin and clock_table; 0: never */
    uint32_t span_us, wait_us;     /* of the last look, as in hm_word_t; 0: not known */
} hm_clock_t;

/* Begins call number ++clock->calls: what the last but one took is read first. */
void clock_begin(hm_clock_t *clock, const hm_channel_t *channel);

/* The stream is behind all earlier work. */
void clock_joined(hm_clock_t *clock, const hm_channel_t *channel);

/* The table is here. */
void clock_table(hm_clock_t *clock);

/* No table came, on any rank: as if the call had not been looked at. */
void clock_drop(hm_clock_t *clock);

/* The table is judged: what follows is the transfer. planned: depth and times that are predicted. */
void clock_agreed(hm_clock_t *clock, const hm_channel_t *channel, const hm_timed_t *planned);

/* A part of the transfer is enqueued. Only marked where HIERMOE_DEBUG=TRACE wants to know. */
void clock_step(hm_clock_t *clock, const hm_channel_t *channel);

/* The transfer is enqueued. */
void clock_end(hm_clock_t *clock, const hm_channel_t *channel);

#endif
