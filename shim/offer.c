#define _GNU_SOURCE
#include "offer.h"

#include "bytes.h"
#include "log.h"
#include "settings.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TEXT_MOST 65536

/* What this process measured as rank 0, for its later communicators: one for each kind of wires, the latest. */
#define KEPT 4
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static hm_profile_t measured[KEPT];
static int measured_next;

/* Once, though every communicator reads the same setting. */
static void refuse(const hm_comm_t *comm, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void refuse(const hm_comm_t *comm, const char *name, const char *format, ...)
{
    static _Atomic uint64_t said;
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    uint64_t hash = bytes_hash(BYTES_HASH_START, text, strlen(text));
    if (atomic_exchange(&said, hash) == hash) return;
    log_say(HM_LOG_WARN, comm, "HIERMOE_PROFILE=%s: %s; all ranks use the prior", name, text);
}

/* A whole small file; NULL with errno set. */
static char *file_read(const char *path, size_t *length)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return NULL;
    char *text = malloc(TEXT_MOST + 1);
    *length = text != NULL ? fread(text, 1, TEXT_MOST + 1, file) : 0;
    int failed = text == NULL ? ENOMEM : ferror(file) ? errno : *length > TEXT_MOST ? EFBIG : 0;
    fclose(file);
    if (failed == 0) return text;
    free(text);
    errno = failed;
    return NULL;
}

static bool profile_load(const hm_comm_t *comm, const char *name, hm_profile_t *profile)
{
    hm_parse_error_t error;
    size_t length;
    const hm_profile_t *builtin = profile_builtin(name);
    if (builtin != NULL) *profile = *builtin;
    if (builtin != NULL) return true;
    char *text = file_read(name, &length);
    if (text == NULL) {
        refuse(comm, name,
               "%s (expected prior, auto, a built-in profile as hiermoe profile lists them, or a file that "
               "hiermoe fit wrote)",
               strerror(errno));
        return false;
    }
    int status = profile_parse(text, length, profile, &error);
    free(text);
    if (status != 0) refuse(comm, name, "line %d: %s", error.line, error.text);
    return status == 0;
}

static void sizes_take(const hm_comm_t *comm, size_t most, hm_measure_sizes_t *sizes)
{
    const char *text = settings_get()->fit_sizes;
    if (text != NULL && measure_sizes_parse(text, sizes) == 0) return;
    measure_sizes_default(most, sizes);
    if (text != NULL)
        log_say(HM_LOG_WARN, comm,
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
        if (profile_load(comm, name, &offer->profile)) offer->source = HM_SOURCE_GIVEN;
    }
}

static uint64_t offer_check(const hm_offer_t *offer)
{
    return bytes_hash(BYTES_HASH_START, offer, offsetof(hm_offer_t, check));
}

/* Rank 0's offer to all ranks. */
static int offer_spread(const hm_call_t *call, hm_a2a_state_t *state, hm_offer_t *offer)
{
    const hm_comm_t *comm = call->comm;
    if (comm->rank == 0) offer->check = offer_check(offer);
    ncclResult_t result = comm->real->ncclGroupStart();
    for (int r = 1; r < comm->ranks && comm->rank == 0 && result == ncclSuccess; r++)
        result = comm->real->ncclSend(offer, sizeof *offer, ncclUint8, r, comm->handle, call->stream);
    if (comm->rank != 0) result = comm->real->ncclRecv(offer, sizeof *offer, ncclUint8, 0, comm->handle, call->stream);
    ncclResult_t end = comm->real->ncclGroupEnd();
    if (result != ncclSuccess || end != ncclSuccess) return -EIO;
    int status = state->kernels->wait(state->context, call->stream, (double)settings_get()->timeout, &comm->cancelled);
    if (status != 0) return status;
    return offer->check == offer_check(offer) ? 0 : -EPROTO;
}

static void device_name(const hm_comm_t *comm, bool gpu, char text[HM_PROFILE_TEXT])
{
    int device;
    void *driver = gpu ? dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY | RTLD_LOCAL) : NULL;
    void *symbol = driver != NULL ? dlsym(driver, "cuDeviceGetName") : NULL;
    int (*name)(char *text, int size, int device);
    if (driver != NULL) dlclose(driver);
    snprintf(text, HM_PROFILE_TEXT, "%s", gpu ? "unknown" : HM_PROFILE_HOST);
    if (symbol == NULL || comm->real->ncclCommCuDevice == NULL) return;
    memcpy(&name, &symbol, sizeof symbol);
    if (comm->real->ncclCommCuDevice(comm->handle, &device) == ncclSuccess && name(text, HM_PROFILE_TEXT, device) != 0)
        snprintf(text, HM_PROFILE_TEXT, "unknown");
}

/* The prior for the agreed topology, with this rank's words for what a profile is kept under. */
static void prior_make(const hm_comm_t *comm, hm_a2a_state_t *state, const hm_seat_t *seats, size_t stride)
{
    hm_wire_t wire[HM_MAX_LEVELS + 1] = {HM_WIRE_SHM};
    const hm_kernels_t *kernels = state->kernels;
    hm_profile_t *profile = &state->profile;
    topology_wires(state->topo, seats, stride, wire);
    profile_prior(state->topo, wire, NULL, profile);
    if (kernels->identify_ms > 0) profile->identify_ms = kernels->identify_ms;
    if (kernels->pack_ms > 0) profile->pack_ms = kernels->pack_ms;
    device_name(comm, kernels->on_gpu, profile->device);
    snprintf(profile->versions, sizeof profile->versions, "nccl %d", comm->real->version);
    state->profile_known = true;
}

/* A profile of another cluster is what the user asked for, but worth a word, and a loud one where its wires are others.
 */
static void given_compare(const hm_comm_t *comm, const hm_profile_t *here, const hm_profile_t *given)
{
    static atomic_int said;
    if (comm->rank != 0 || profile_same_cluster(given, here)) return;
    bool alike = strcmp(given->device, here->device) == 0 && strcmp(given->transport, here->transport) == 0;
    log_say(alike || atomic_fetch_add(&said, 1) > 0 ? HM_LOG_INFO : HM_LOG_WARN, comm,
            "profile %s was made on another cluster or with other versions (%s, %s, %s; here %s, %s, %s); it is used "
            "all the same, hiermoe fit makes one for here",
            given->name, given->device, given->versions, given->transport, here->device, here->versions,
            here->transport);
}

/* Whole or not at all: readers may come at any time. */
static int file_write(const char *path, const hm_profile_t *profile)
{
    char text[8192], part[4096];
    size_t length;
    if (profile_write(profile, text, sizeof text, &length) != 0) return -EFBIG;
    if (snprintf(part, sizeof part, "%s.part.%d", path, (int)getpid()) >= (int)sizeof part) return -ENAMETOOLONG;
    FILE *file = fopen(part, "we");
    if (file == NULL) return -errno;
    bool failed = fwrite(text, 1, length, file) != length;
    failed = fclose(file) != 0 || failed;
    if (!failed && rename(part, path) == 0) return 0;
    int error = errno != 0 ? errno : EIO;
    unlink(part);
    return -error;
}

/* The same kind of wire joins the outermost groups, of as many levels. */
static bool wires_equal(const hm_profile_t *one, const hm_profile_t *other)
{
    return one->levels == other->levels && strcmp(one->transport, other->transport) == 0;
}

/* With the lock held: where a profile of the wires of `here` is kept, or KEPT. */
static int measured_find(const hm_profile_t *here)
{
    int at = 0;
    while (at < KEPT && !wires_equal(&measured[at], here)) at++;
    return at;
}

/* Whether no fewer ranks than these measured such wires before: what they found. */
static bool measured_take(const hm_profile_t *here, hm_profile_t *profile)
{
    pthread_mutex_lock(&lock);
    int at = measured_find(here);
    bool enough = at < KEPT && measured[at].groups[measured[at].levels] >= here->groups[here->levels];
    if (enough) *profile = measured[at];
    pthread_mutex_unlock(&lock);
    return enough;
}

/* Whether a profile says no less than another: of more ranks, or of as many and no fewer levels. */
static bool profile_full(const hm_profile_t *profile, const hm_profile_t *other)
{
    int ranks = profile->groups[profile->levels], others = other->groups[other->levels];
    return ranks > others || (ranks == others && profile->levels >= other->levels);
}

static void measured_keep(const hm_comm_t *comm, const hm_profile_t *profile)
{
    static hm_profile_t written; /* the file has room for one */
    const char *path = settings_get()->fit_file;
    pthread_mutex_lock(&lock);
    int at = measured_find(profile);
    if (at == KEPT) at = measured_next++ % KEPT;
    measured[at] = *profile;
    if (!profile_full(profile, &written)) path = NULL;
    int status = path != NULL ? file_write(path, profile) : 0;
    if (status == 0 && path != NULL) written = *profile;
    pthread_mutex_unlock(&lock);
    if (status != 0) log_say(HM_LOG_WARN, comm, "HIERMOE_FIT_FILE=%s: %s", path, strerror(-status));
    if (status == 0 && path != NULL) log_say(HM_LOG_INFO, comm, "measured profile written to %s", path);
}

int offer_settle(const hm_call_t *call, hm_a2a_state_t *state, hm_source_t source, hm_offer_t *offer,
                 const hm_seat_t *seats, size_t stride)
{
    bool done = true;
    prior_make(call->comm, state, seats, stride);
    if (source == HM_SOURCE_PRIOR) return 0;
    if (call->comm->rank == 0 && source == HM_SOURCE_MEASURED && measured_take(&state->profile, &offer->profile))
        offer->source = HM_SOURCE_GIVEN;
    int status = offer_spread(call, state, offer);
    if (status == 0 && offer->source == HM_SOURCE_MEASURED) {
        hm_profile_t fitted = state->profile;
        status = measure_run(call, state, &offer->sizes, &fitted, &done);
        if (status != 0) return status;
        if (!done) {
            if (call->comm->rank == 0)
                log_say(HM_LOG_WARN, call->comm,
                        "nothing was measured: a rank is out of memory or HIERMOE_MAX_SCRATCH "
                        "is less than four times the sizes; all ranks use the prior");
            return 0;
        }
        /* The ranks fitted the same times; rank 0's numbers count all the same. */
        snprintf(fitted.name, sizeof fitted.name, "measured");
        if (call->comm->rank == 0) offer->profile = fitted;
        status = offer_spread(call, state, offer);
        if (status == 0 && call->comm->rank == 0) measured_keep(call->comm, &offer->profile);
    }
    if (status != 0) return status;
    if (source == HM_SOURCE_GIVEN) given_compare(call->comm, &state->profile, &offer->profile);
    hm_profile_t room;
    bool inside = profile_within_node(&state->profile) && !profile_within_node(&offer->profile);
    state->profile = *profile_adapt(&offer->profile, state->topo, inside, &room);
    return 0;
}
