/* All that the calls of one communicator work with. The first meeting of its ranks (meet.c) makes it, every later call
 * uses it; a file takes the parts that it works on. */
#ifndef HM_PARTS_H
#define HM_PARTS_H

#include "agree/agree.h"
#include "carry/carry.h"
#include "carry/pool.h"
#include "know/know.h"

struct hm_words;

/* The first meeting, which may take several tries. Host memory is given back once it is over, unless it failed: then
 * NCCL may hold it. */
typedef struct hm_meeting {
    bool prepared; /* the back end is */
    uint32_t able; /* HM_ABLE_* of hello.h */
    void *offer;   /* hm_offer_t of offer.h, which host and device see; NULL before the first try */
    struct hm_words *words;
} hm_meeting_t;

typedef struct hm_parts {
    hm_channel_t channel; /* how this rank works: NCCL's calls, back end, stream */
    hm_place_t place;     /* where the ranks sit */
    hm_agree_t agree;     /* board, agreed table, equal rows */
    hm_know_t know;       /* profile, and what past calls taught */
    hm_carry_t carry;     /* scratch, windows, routes */
    hm_pool_t pool;       /* dispatches kept for the calls after them */
    hm_meeting_t meeting; /* the first, until the ranks have met */
    bool heard;           /* agreed: announcements count here, as all ranks have the same adapters */
    bool distrusted;      /* agreed: announced tokens were found to be wrong, so that rows are compared for good */
} hm_parts_t;

/* Memory for what any topology needs, before the ranks meet. 0 or -ENOMEM; parts_free frees what was made either way.
 */
int parts_reserve(hm_parts_t *parts, int ranks);

/* Takes over the agreed topology (place.h) and lays out what depends on it. 0 or -ENOMEM. */
int parts_place_set(hm_parts_t *parts, hm_topo_t *topo, bool spread);

/* Once NCCL has ended the communicator and the parts' channel is open. shared_stays: see channel_close. */
void parts_free(hm_parts_t *parts, bool shared_stays);

#endif
