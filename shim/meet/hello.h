/* The first word of a rank to every other: whether they can work together at all. words.c exchanges them. */
#ifndef HM_HELLO_H
#define HM_HELLO_H

#include "seat.h"
#include "talk/channel.h"

#define HM_HELLO_WITHDRAWN 0x44574857u

/* Whether a rank can take part, and if not, why. */
enum { HM_ABLE_NO_MEMORY, HM_ABLE, HM_ABLE_NO_BACK_END };

/* Its size never changes, so that ranks with different versions of the library can still find that out. A version is
 * all sources: ranks whose planners differ in a constant would wait for each other's messages, and a number that is
 * raised by hand is forgotten. */
typedef struct hm_hello {
    uint64_t magic;
    uint32_t version, mode;
    int32_t ranks, rank;
    uint64_t settings;
    uint32_t backend, able;
    uint32_t source; /* hm_source_t of offer.h; rank 0's is used on all ranks */
    uint32_t
        withdrawn; /* HM_HELLO_WITHDRAWN: written on the stream of a rank that does not wait for the others; else 0 */
    hm_seat_t seat;
    uint64_t adapters; /* adapters_hash */
    uint64_t spare[3];
    uint64_t check;
} hm_hello_t;

/* This rank's word. able: HM_ABLE*; source: of its profile. */
hm_hello_t hello_make(const hm_channel_t *channel, uint32_t able, uint32_t source);

/* How many ranks have no valid word in in[ranks], and which, such as "1, 3", as far as there is room. */
int hello_silent(const hm_comm_t *comm, const hm_hello_t *in, char *names, size_t size);

/* The reason for which all ranks leave everything alone, or HM_REASON_NONE. Alike on all ranks: it judges all words. */
hm_reason_t hello_judge(const hm_comm_t *comm, const hm_hello_t *in);

/* Whether all ranks have the same adapters at work, so that announcements mean the same on all of them. Said once where
 * they differ. Alike on all ranks. */
bool hello_adapters_alike(const hm_comm_t *comm, const hm_hello_t *in);

/* Says why the ranks did not meet, and marks the communicator as failed. in: words so far, NULL once all were there. */
void hello_fail(hm_comm_t *comm, const hm_hello_t *in, int status);

#endif
