#define _GNU_SOURCE
#include "offer.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/settings.h"
#include "measure.h"
#include "profile_file.h"
#include "profile_kept.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void sizes_take(const hm_comm_t *comm, size_t most, hm_measure_sizes_t *sizes)
{
    const char *text = settings_get()->fit_sizes;
    if (text != NULL && measure_sizes_parse(text, sizes) == 0) return;
    measure_sizes_default(most, sizes);
    if (text != NULL)
        comm_say(HM_LOG_WARN, comm,
                 "HIERMOE_FIT_SIZES=%s is not understood and not used; expected 2 to %d ascending sizes of at least 1K "
                 "with commas between",
                 text, HM_MEASURE_SIZES);
}

void offer_make(const hm_comm_t *comm, size_t fit_bytes, hm_offer_t *offer)
{
    const char *name = settings_get()->profile;
    bool fit = settings_get()->fit_file != NULL;
    *offer = (hm_offer_t){.source = HM_SOURCE_PRIOR};
    if (comm->rank != 0) return;
    bool automatic = name != NULL && strcasecmp(name, "auto") == 0;
    if (fit || automatic) {
        offer->source = HM_SOURCE_MEASURED;
        sizes_take(comm, fit_bytes, &offer->sizes);
    } else if (name != NULL && strcasecmp(name, "prior") != 0) {
        if (profile_file_load(comm, name, &offer->profile)) offer->source = HM_SOURCE_GIVEN;
    }
}

static uint64_t offer_check(const hm_offer_t *offer)
{
    return bytes_hash(HM_BYTES_HASH_START, offer, offsetof(hm_offer_t, check));
}

/* Rank 0's offer to all ranks. */
static int offer_spread(hm_channel_t *channel, hm_offer_t *offer)
{
    const hm_comm_t *comm = channel->comm;
    if (comm->rank == 0) offer->check = offer_check(offer);
    ncclResult_t result = channel_group_begin(channel);
    for (int r = 1; r < comm->ranks && comm->rank == 0 && result == ncclSuccess; r++)
        result = channel_send(channel, offer, sizeof *offer, r);
    if (comm->rank != 0 && result == ncclSuccess) result = channel_recv(channel, offer, sizeof *offer, 0);
    int status = channel_status(channel, channel_group_end(channel, result), -EIO);
    if (status == 0) status = channel_wait(channel);
    if (status != 0) return status;
    return offer->check == offer_check(offer) ? 0 : -EPROTO;
}

static void device_name(int device, bool gpu, char text[HM_PROFILE_TEXT])
{
    void *driver = gpu ? dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY | RTLD_LOCAL) : NULL;
    void *symbol = driver != NULL ? dlsym(driver, "cuDeviceGetName") : NULL;
    int (*name)(char *text, int size, int device);
    if (driver != NULL) dlclose(driver);
    snprintf(text, HM_PROFILE_TEXT, "%s", gpu ? "unknown" : HM_PROFILE_HOST);
    if (symbol == NULL || device < 0) return;
    memcpy(&name, &symbol, sizeof symbol);
    if (name(text, HM_PROFILE_TEXT, device) != 0) snprintf(text, HM_PROFILE_TEXT, "unknown");
}

/* The prior for the agreed topology, with this rank's words for what a profile is kept under. */
static void prior_make(hm_parts_t *parts, const hm_seat_t *seats, size_t stride)
{
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_SHM};
    const hm_comm_t *comm = parts->channel.comm;
    const hm_kernels_t *kernels = parts->channel.kernels;
    hm_profile_t *profile = &parts->know.profile;
    seats_wires(parts->place.topo, seats, stride, wire);
    profile_prior(parts->place.topo, wire, NULL, profile);
    if (kernels->identify_ms > 0) profile->identify_ms = kernels->identify_ms;
    if (kernels->pack_ms > 0) profile->pack_ms = kernels->pack_ms;
    device_name(parts->channel.device, kernels->on_gpu, profile->device);
    snprintf(profile->versions, sizeof profile->versions, "nccl %d", comm->real->version);
    parts->know.profile_known = true;
}

/* A profile of another cluster is what the user asked for, but worth a word, and a loud one where its wires are others.
 */
static void given_compare(const hm_comm_t *comm, const hm_profile_t *here, const hm_profile_t *given)
{
    static atomic_int said;
    if (comm->rank != 0 || profile_same_cluster(given, here)) return;
    bool alike = strcmp(given->device, here->device) == 0 && strcmp(given->transport, here->transport) == 0;
    comm_say(alike || atomic_fetch_add(&said, 1) > 0 ? HM_LOG_INFO : HM_LOG_WARN, comm,
             "profile %s was made on another cluster or with other versions (%s, %s, %s; here %s, %s, %s); it is used "
             "all the same, hiermoe fit makes one for here",
             given->name, given->device, given->versions, given->transport, here->device, here->versions,
             here->transport);
}

/* Measures on all ranks together; afterwards rank 0's numbers are in *offer on all of them. *done: false where nothing
 * was measured, alike on all ranks. */
static int offer_measure(hm_parts_t *parts, hm_offer_t *offer, bool *done)
{
    const hm_comm_t *comm = parts->channel.comm;
    hm_profile_t fitted = parts->know.profile;
    int status = measure_run(parts, &offer->sizes, &fitted, done);
    if (status != 0) return status;
    if (!*done) {
        if (comm->rank == 0)
            comm_say(HM_LOG_WARN, comm,
                     "nothing was measured: a rank is out of memory or HIERMOE_MAX_SCRATCH is less than four times the "
                     "sizes; all ranks use the prior");
        return 0;
    }
    /* The ranks fitted the same times, but a sum may differ in its last bit. */
    snprintf(fitted.name, sizeof fitted.name, "measured");
    if (comm->rank == 0) offer->profile = fitted;
    status = offer_spread(&parts->channel, offer);
    if (status == 0 && comm->rank == 0) profile_kept_add(comm, &offer->profile);
    return status;
}

int offer_settle(hm_parts_t *parts, hm_source_t source, hm_offer_t *offer, const hm_seat_t *seats, size_t stride)
{
    bool done = true;
    const hm_comm_t *comm = parts->channel.comm;
    hm_profile_t *profile = &parts->know.profile, room;
    prior_make(parts, seats, stride);
    if (source == HM_SOURCE_PRIOR) return 0;
    if (comm->rank == 0 && source == HM_SOURCE_MEASURED && profile_kept_take(profile, &offer->profile))
        offer->source = HM_SOURCE_GIVEN;
    int status = offer_spread(&parts->channel, offer);
    if (status == 0 && offer->source == HM_SOURCE_MEASURED) status = offer_measure(parts, offer, &done);
    if (status != 0 || !done) return status;
    if (source == HM_SOURCE_GIVEN) given_compare(comm, profile, &offer->profile);
    bool inside = profile_within_node(profile) && !profile_within_node(&offer->profile);
    *profile = *profile_adapt(&offer->profile, parts->place.topo, inside, &room);
    return 0;
}
