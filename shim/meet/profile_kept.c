#include "profile_kept.h"

#include "base/file.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/settings.h"
#include "profile_file.h"

#include <pthread.h>
#include <string.h>

#define KEPT 4
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static hm_profile_t measured[KEPT];
static int measured_next;

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

bool profile_kept_take(const hm_profile_t *here, hm_profile_t *profile)
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

void profile_kept_add(const hm_comm_t *comm, const hm_profile_t *profile)
{
    static hm_profile_t written; /* the file has room for one */
    const char *path = settings_get()->fit_file;
    pthread_mutex_lock(&lock);
    int at = measured_find(profile);
    if (at == KEPT) at = measured_next++ % KEPT;
    measured[at] = *profile;
    if (!profile_full(profile, &written)) path = NULL;
    int status = path != NULL ? profile_file_write(path, profile) : 0;
    if (status == 0 && path != NULL) written = *profile;
    pthread_mutex_unlock(&lock);
    if (status != 0) comm_say(HM_LOG_WARN, comm, "HIERMOE_FIT_FILE=%s: %s", path, file_error(status));
    if (status == 0 && path != NULL) comm_say(HM_LOG_INFO, comm, "measured profile written to %s", path);
}

static void kept_after_fork(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

__attribute__((constructor)) static void kept_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = kept_after_fork};
    fork_handler_add(&handler);
}
