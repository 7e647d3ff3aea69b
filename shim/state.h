/* What the library keeps per communicator while it replaces calls: memory, topology, routes, what calls taught. */
#ifndef HM_STATE_H
#define HM_STATE_H

#include "a2a.h"
#include "comm.h"
#include "learn.h"

#include "../kernels/kernels.h"
#include "../planner/profile.h"
#include "../planner/refine.h"
#include "../planner/route.h"

#include <pthread.h>

/* A buffer of the job as addresses [from, to). */
typedef struct hm_interval {
    uintptr_t from, to;
    bool written;
} hm_interval_t;

/* Memory that jobs for the kernels are written to; sized for the routes of all lanes, so that nothing is allocated
 * under way. */
typedef struct hm_jobs {
    hm_pick_job_t *pick;
    hm_map_job_t *map;
    hm_move_job_t *move;
    uint32_t **list[HM_MAX_LANES]; /* [lane][part] row lists of a call: what was picked for an outgoing part, or for me
                                      of an incoming one; one piece of memory, that of lane 0 */
} hm_jobs_t;

/* A call whose transfer is timed. */
typedef struct hm_timed {
    bool planned;        /* all of it is enqueued: the rest means something */
    int depth, size;     /* size: class of refine_size */
    int steps;           /* parts of it that are marked */
    bool begun;          /* its begin is marked */
    bool marked;         /* every mark could be set */
    double model_ms;     /* predicted by the model alone; 0: nothing was */
    double predicted_ms; /* predicted with what earlier calls taught */
} hm_timed_t;

/* See timing.h. */
typedef struct hm_times {
    uint32_t calls;
    hm_timed_t timed[2];           /* by call number */
    hm_timed_t read;               /* the call that the times below are of */
    uint32_t lead_us, transfer_us; /* on this rank; 0: not known */
} hm_times_t;

typedef enum hm_windows { HM_WINDOWS_UNTRIED, HM_WINDOWS_ON, HM_WINDOWS_OFF } hm_windows_t;

typedef struct hm_a2a_state {
    pthread_mutex_t lock;
    bool met; /* the ranks have met: agreements may follow unless the communicator was closed or failed since */
    bool observe;
    uint64_t observed; /* calls seen in observe mode */

    const hm_kernels_t *kernels;
    hm_context_t *context;
    hm_host_stream_t host_stream;

    hm_topo_t *topo;
    int lanes;                                          /* agreed: of deep calls, see state_lanes */
    hm_paths_t *paths[HM_MAX_LEVELS + 1][HM_MAX_LANES]; /* by depth and lane, made when first used */
    hm_route_t *route[HM_MAX_LEVELS + 1][HM_MAX_LANES];
    hm_jobs_t jobs[HM_MAX_LEVELS + 1];
    bool route_ready[HM_MAX_LEVELS + 1]; /* agreed: every rank has route and jobs */
    hm_bits_t *groups;                   /* all groups of levels 1..levels, in this order */
    int group_count;
    uint32_t *bit; /* [ranks] position of each rank: the bit of segment p */

    bool profile_known; /* agreed: set once, by the first agreement */
    hm_profile_t profile;
    double *plan_memory; /* of plan_choose */

    hm_learn_t learn;
    hm_times_t timing;
    hm_refine_t refine;
    uint32_t sequence; /* agreements so far */

    bool rails;       /* agreed: see gather.h */
    uint32_t *slot;   /* [ranks] */
    size_t row_words; /* one rank's row of the agreed table, 32-bit words */
    uint32_t *table_device, *table_host;
    hm_table_t table; /* the agreed table taken apart; arrays below */
    uint32_t *table_memory, *distinct;
    size_t *work;          /* [ranks] */
    size_t *rows;          /* [ranks] rows of the current call by destination */
    hm_interval_t *ranges; /* [2 * ranks] buffers of the current call */

    void *identity_memory;
    size_t identity_bytes;
    void *scratch;
    size_t capacity;     /* agreed: the same on all ranks */
    bool scratch_shared; /* agreed: the scratch may be read by near ranks */
    bool scratch_stays;  /* this rank's scratch is of that kind, and stays until the context ends */
    void *spare;         /* memory of that kind which another rank could not get; for the next scratch */
    size_t spare_bytes;
    unsigned char spare_ticket[HM_TICKET];
    size_t kept;                                /* agreed: bytes of such memory that are not scratch any more */
    hm_windows_t windows;                       /* agreed; see window.h */
    void **window;                              /* [ranks] scratch of near ranks while windows are on, else NULL */
    hm_route_t **near_route[HM_MAX_LEVELS + 1]; /* [depth][lane * ranks + rank] of near ranks */
    long allocs;                                /* so far, for HIERMOE_TEST_FAIL_ALLOC */
    size_t refused;                             /* agreed: a capacity that some rank could not get; 0: none */
} hm_a2a_state_t;

/* Makes the state of a communicator, without talking to anyone. NULL with the reason set: NO_MEMORY where this rank
 * lacks what it would say so with, TOO_MANY_RANKS, or NO_BACK_END where library or driver cannot reach this NCCL's
 * memory at all, which has to be so on all ranks. */
hm_a2a_state_t *state_create(hm_comm_t *comm, hm_reason_t *reason);

/* Memory for the agreed table, enough for any topology the settings allow. Before the ranks meet, so that a rank
 * without it can say so. 0 or -ENOMEM. */
int state_table_reserve(hm_a2a_state_t *state, int ranks);

/* Takes over the agreed topology and makes what depends on it; spread: deep calls go in lanes where it has them. 0 or
 * -ENOMEM. */
int state_topology_set(hm_a2a_state_t *state, hm_topo_t *topo, bool spread);

/* Lanes of a call (route.h). */
static inline int state_lanes(const hm_a2a_state_t *state, int depth)
{
    return depth > 1 ? state->lanes : 1;
}

/* Paths, routes and job memory of a depth, made on first use. 0 or -ENOMEM. */
int state_route_prepare(hm_a2a_state_t *state, const hm_comm_t *comm, int depth);

/* Device memory under the rule of HIERMOE_TEST_FAIL_ALLOC. 0 or -ENOMEM. */
int state_scratch_alloc(hm_a2a_state_t *state, size_t bytes, void **memory);
int state_scratch_share(hm_a2a_state_t *state, size_t bytes, void **memory, unsigned char *ticket);

/* NCCL's word for a negative errno of the kernels or of a wait. */
ncclResult_t state_result(int status);

#endif
