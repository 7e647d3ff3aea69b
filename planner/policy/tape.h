/* What the next call will be, from what the last calls were: prediction by the longest context.
 *
 * A symbol stands for what a call is (kind.h), never for what was decided about it: decisions change while a job goes
 * on, its sequence of calls does not. The next call is expected to be what followed the last place where the longest
 * run of latest symbols stood before (Ehrenfeucht and Mycielski, A pseudorandom sequence, Am. Math. Monthly 99, 1992;
 * PPM* in data compression). A call that was not looked at is taken for what was expected. */
#ifndef HM_TAPE_H
#define HM_TAPE_H

#include <stdbool.h>
#include <stdint.h>

#define HM_TAPE_CALLS 2048  /* remembered */
#define HM_TAPE_LONGEST 256 /* of a context, and of a period */
#define HM_TAPE_UNKNOWN 0   /* no symbol: nothing is known of the call */
#define HM_TAPE_SYMBOLS 127 /* 1..127 are symbols */

/* All zero: nothing happened yet. */
typedef struct hm_tape {
    uint8_t symbol[HM_TAPE_CALLS]; /* by call number; the high bit: it was looked at */
    uint64_t calls;                /* so far */
    uint64_t at;                   /* where the context stood before: symbol[at] is what is expected */
    bool found;                    /* at means something */
} hm_tape_t;

/* What the next call is expected to be, or HM_TAPE_UNKNOWN. */
uint8_t tape_next(const hm_tape_t *tape);

/* The next call: what it was (seen), or what it is taken for. Where something else was seen than expected, what was
 * taken for granted since the last look is unknown again, so that no error is learned. Costs a search of the tape only
 * where the expectation was wrong. */
void tape_append(hm_tape_t *tape, uint8_t symbol, bool seen);

/* The symbol that was appended last. */
uint8_t tape_last(const hm_tape_t *tape);

/* Makes all places of a symbol unknown. */
void tape_forget(hm_tape_t *tape, uint8_t symbol);

/* The period in which the last calls repeat best, all but a few of them; 0: none up to HM_TAPE_LONGEST. */
uint32_t tape_period(const hm_tape_t *tape);

#endif
