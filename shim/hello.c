#include "hello.h"

#include "agree.h"
#include "bytes.h"
#include "fingerprint.h"
#include "gather.h"
#include "log.h"
#include "offer.h"
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_MAGIC 0x31456f4d72656948u /* "HierMoE1" */
#define FIRST_WORD_SECONDS 30.0         /* silent ranks are named this early, and once more when time is up */

/* Whether a rank can take part, and if not, why. */
enum { ABLE_NO_MEMORY, ABLE, ABLE_NO_BACK_END };

/* One rank's word to every other. Its size never changes, so that ranks with different versions of the library can
 * still find that out. A version is all sources: ranks whose planners differ in a constant would wait for each other's
 * messages, and a number that is raised by hand is forgotten. */
typedef struct hello {
    uint64_t magic;
    uint32_t version, mode;
    int32_t ranks, rank;
    uint64_t settings;
    uint32_t backend, able;
    uint32_t source; /* hm_source_t; rank 0's counts */
    uint32_t reserved;
    hm_seat_t seat;
    uint64_t spare[4];
    uint64_t check;
} hello_t;
_Static_assert(sizeof(hello_t) == 128, "ranks must exchange words of one size");

static uint64_t hello_check(const hello_t *hello)
{
    return bytes_hash(BYTES_HASH_START, hello, offsetof(hello_t, check));
}

static hello_t hello_make(const hm_comm_t *comm, const hm_a2a_state_t *state, uint32_t able, const hm_offer_t *offer)
{
    hello_t hello = {.magic = HELLO_MAGIC,
                     .version = HM_FINGERPRINT,
                     .mode = (uint32_t)settings_get()->mode,
                     .ranks = comm->ranks,
                     .rank = comm->rank,
                     .settings = settings_hash(),
                     .backend = (unsigned char)state->kernels->name[0],
                     .able = able,
                     .source = offer->source};
    topology_seat(comm, state->kernels->on_gpu, &hello.seat);
    hello.check = hello_check(&hello);
    return hello;
}

static bool hello_valid(const hello_t *hello, const hm_comm_t *comm, int rank)
{
    return hello->magic == HELLO_MAGIC && hello->check == hello_check(hello) && hello->rank == rank &&
           hello->ranks == comm->ranks;
}

static int silent_count(const hm_comm_t *comm, const hello_t *in)
{
    int silent = 0;
    for (int r = 0; r < comm->ranks; r++) silent += !hello_valid(&in[r], comm, r);
    return silent;
}

/* Lists the ranks without a valid word, such as "1, 3", as many as there is room for. */
static void silent_list(const hm_comm_t *comm, const hello_t *in, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int r = 0; r < comm->ranks && used + 16 < size; r++)
        if (!hello_valid(&in[r], comm, r))
            used += (size_t)snprintf(text + used, size - used, "%s%d", used > 0 ? ", " : "", r);
}

static ncclResult_t hello_exchange(const hm_call_t *call, hello_t *in, const hello_t *own)
{
    const hm_comm_t *comm = call->comm;
    ncclResult_t result = comm->real->ncclGroupStart();
    for (int r = 0; r < comm->ranks && result == ncclSuccess; r++) {
        if (r == comm->rank) continue;
        result = comm->real->ncclSend(own, sizeof *own, ncclUint8, r, comm->handle, call->stream);
        if (result == ncclSuccess)
            result = comm->real->ncclRecv(&in[r], sizeof in[r], ncclUint8, r, comm->handle, call->stream);
    }
    ncclResult_t end = comm->real->ncclGroupEnd();
    return result != ncclSuccess ? result : end;
}

/* Waits for all words, naming silent ranks on the way. 0 once the exchange is over, else the wait's errno. */
static int hello_wait(const hm_call_t *call, hm_a2a_state_t *state, const hello_t *in)
{
    char names[256];
    double limit = (double)settings_get()->timeout;
    double first = limit < FIRST_WORD_SECONDS ? limit : FIRST_WORD_SECONDS;
    int status = state->kernels->wait(state->context, call->stream, first, &call->comm->cancelled);
    if (status != -ETIMEDOUT || first >= limit) return status;
    silent_list(call->comm, in, names, sizeof names);
    log_say(HM_LOG_WARN, call->comm,
            "first all-to-all: no word from rank %s after %.0f s; it runs without libhiermoe.so or has not come to "
            "this call yet; waiting up to HIERMOE_TIMEOUT, %.0f s",
            names, first, limit);
    return state->kernels->wait(state->context, call->stream, limit - first, &call->comm->cancelled);
}

/* The reason for which all ranks leave everything alone, or HM_REASON_NONE. Alike on all ranks: it judges all words. */
static hm_reason_t hello_judge(const hm_comm_t *comm, const hello_t *in)
{
    for (int r = 0; r < comm->ranks; r++)
        if (in[r].mode == HM_MODE_OFF) return HM_REASON_MODE_OFF;
    for (int r = 1; r < comm->ranks; r++) {
        const char *what = in[r].version != in[0].version     ? "another version of libhiermoe.so"
                           : in[r].settings != in[0].settings ? "other HIERMOE settings"
                           : in[r].backend != in[0].backend   ? "another back end"
                                                              : NULL;
        if (what == NULL) continue;
        if (comm->rank == 0)
            log_say(HM_LOG_WARN, comm, "rank %d has %s than rank 0; all ranks leave this communicator alone", r, what);
        return HM_REASON_SETTINGS_DIFFER;
    }
    for (int r = 0; r < comm->ranks; r++)
        if (in[r].able != ABLE) return in[r].able == ABLE_NO_BACK_END ? HM_REASON_NO_BACK_END : HM_REASON_NO_MEMORY;
    return HM_REASON_NONE;
}

/* Says why the ranks did not meet and marks the communicator. */
static void hello_fail(const hm_call_t *call, const hello_t *in, int status)
{
    char names[256];
    int silent = in == NULL ? 0 : silent_count(call->comm, in);
    comm_fail(call->comm, status == 0 ? ncclRemoteError : state_result(status));
    if (status == -ECANCELED) return;
    if (silent > 0) {
        silent_list(call->comm, in, names, sizeof names);
        log_say(HM_LOG_WARN, call->comm,
                "first all-to-all: rank %s did not join the agreement: it runs without libhiermoe.so (LD_PRELOAD "
                "must reach every rank) or did not come to this call within HIERMOE_TIMEOUT, %.0f s",
                names, (double)settings_get()->timeout);
    } else {
        log_say(HM_LOG_WARN, call->comm, "first all-to-all: the ranks could not agree: %s",
                status != 0 ? strerror(-status) : "NCCL refused the exchange");
    }
}

/* Whether deep calls go in lanes: between sockets one connection seldom fills the wire. */
static bool spread_wanted(const hm_a2a_state_t *state, const hm_topo_t *topo, const hello_t *in)
{
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_SHM};
    long given = settings_get()->spread;
    if (given >= 0) return given != 0;
    topology_wires(topo, &in[0].seat, sizeof *in, wire);
    return wire[1] == HM_WIRE_TCP && state->kernels->lanes_over_tcp;
}

/* What the words of all ranks come to. A rank that lacks the memory for it says so before anything hangs on it. */
static void hello_conclude(const hm_call_t *call, hm_a2a_state_t *state, const hello_t *in, hm_offer_t *offer)
{
    bool all = false;
    hm_topo_t *topo = NULL;
    hm_reason_t reason = hello_judge(call->comm, in);
    if (reason != HM_REASON_NONE) {
        comm_close(call->comm, reason);
        return;
    }
    state->observe = settings_get()->mode == HM_MODE_OBSERVE;
    int status = topology_make(call->comm, &in[0].seat, sizeof *in, &topo);
    if (status == 0) status = state_topology_set(state, topo, spread_wanted(state, topo, in));
    if (status == 0 && !topology_near_together(topo, &in[0].seat, sizeof *in)) state->windows = HM_WINDOWS_OFF;
    status = agree_all(call, state, status == 0, &all);
    if (status == 0 && !all) {
        comm_close(call->comm, HM_REASON_NO_MEMORY);
        return;
    }
    if (status == 0) gather_rails_use(state);
    if (status == 0) status = offer_settle(call, state, (hm_source_t)in[0].source, offer, &in[0].seat, sizeof *in);
    state->met = status == 0;
    if (status != 0) hello_fail(call, NULL, status);
}

/* What this rank can do, which the others will hear of. */
static uint32_t able_find(const hm_comm_t *comm, hm_a2a_state_t *state)
{
    int status = state->kernels->prepare(state->context);
    if (status == 0) status = state_table_reserve(state, comm->ranks);
    return status == 0 ? ABLE : status == -ENOMEM ? ABLE_NO_MEMORY : ABLE_NO_BACK_END;
}

void hello_run(const hm_call_t *call, hm_a2a_state_t *state)
{
    const hm_kernels_t *kernels = state->kernels;
    size_t count = (size_t)call->comm->ranks, bytes = (count + 1) * sizeof(hello_t) + sizeof(hm_offer_t);
    hello_t *in = NULL;
    /* Pinned memory: it can be read here while the exchange still waits for a silent rank. */
    int status = kernels->host_alloc(state->context, bytes, (void **)&in);
    if (status != 0) {
        hello_fail(call, NULL, status);
        return;
    }
    memset(in, 0, bytes);
    hm_offer_t *offer = (hm_offer_t *)(void *)&in[count + 1];
    offer_make(call->comm, kernels->fit_bytes, offer);
    uint32_t able = able_find(call->comm, state);
    in[count] = in[call->comm->rank] = hello_make(call->comm, state, able, offer);
    if (hello_exchange(call, in, &in[count]) != ncclSuccess) {
        hello_fail(call, NULL, 0);
        return; /* NCCL may still hold the memory: left to it */
    }
    status = hello_wait(call, state, in);
    if (status != 0 || silent_count(call->comm, in) > 0) {
        hello_fail(call, in, status);
        return;
    }
    hello_conclude(call, state, in, offer);
    /* After a failure NCCL may still hold the memory: left to it. */
    if (comm_failure(call->comm) == ncclSuccess) kernels->host_free(state->context, in);
}
