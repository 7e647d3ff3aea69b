#include "looks.h"

#define COST 1.5        /* of a look, in leads: the host waits as well */
#define START_UNITS 20  /* looks at all calls may cost as much as so many calls take */
#define START_CALLS 400 /* at most */
#define START_BLIND 4   /* looks before any call could go deep */
#define START_ABLE 10   /* looks before times are known, */
#define START_TIMES 2   /* of two looks: one alone may be a hiccup */
#define BLIND_GAP 64u   /* calls between two looks where no time is ever known, doubled with each */
#define BLIND_DOUBLED 6 /* times at most */
#define TRUE_AFTER 8    /* looks that were right in a row: expectations come true */
#define DOUBT .25       /* chance, at least, while they do not */
#define CHANCE_KEPT 64  /* looks after which counts are halved, so that old ones are forgotten */
#define EXPLORE .002    /* of the time goes into looks at calls that are not expected to be worth it */
#define IDLE_SLOWER .5  /* less often with each that brought nothing, */
#define IDLE_SLOWEST 8  /* down to this part */
#define UNKNOWN_GAIN .5 /* of what a call takes */

void looks_time(hm_looks_t *looks, double lead_ms, double transfer_ms)
{
    if (!(lead_ms > 0) || !(transfer_ms > 0)) return;
    if (!looks->start.warm) {
        looks->start.warm = true;
        return;
    }
    ring_add(&looks->lead, lead_ms);
    ring_add(&looks->transfer, transfer_ms);
    looks->lead_ms = ring_middle(&looks->lead);
    looks->unit_ms = ring_middle(&looks->transfer);
    if (looks->transfer.kept == START_TIMES)
        looks->start.ms = START_UNITS * looks->unit_ms - (double)looks->count * COST * looks->lead_ms;
}

void looks_wait(hm_looks_t *looks, double wait_ms)
{
    if (!(wait_ms > 0)) return;
    ring_add(&looks->wait, wait_ms);
    looks->wait_ms = ring_middle(&looks->wait);
}

bool looks_come_true(const hm_looks_t *looks)
{
    return looks->right >= TRUE_AFTER;
}

static bool blind_want(const hm_looks_t *looks)
{
    if (looks->count < (looks->start.able ? START_ABLE : START_BLIND)) return true;
    uint64_t doubled = looks->count - (looks->start.able ? START_ABLE : START_BLIND);
    return looks->quiet >= BLIND_GAP << (doubled < BLIND_DOUBLED ? doubled : BLIND_DOUBLED);
}

static double chance(const hm_looks_t *looks, const hm_prospect_t *prospect)
{
    bool so = looks_come_true(looks);
    double share = (looks->hit[prospect->yes][so] + .5) / (looks->tried[prospect->yes][so] + 1);
    return (!so || !prospect->known) && share < DOUBT ? DOUBT : share;
}

/* Spreads looks over all places of a period: 0.75 to 1.25, by the call's number. */
static double jitter(uint64_t call)
{
    return .75 + (double)((uint32_t)call * 2654435761u >> 22) / 2048;
}

bool looks_want(hm_looks_t *looks, const hm_prospect_t *prospect, uint64_t call)
{
    looks->yes = prospect->yes;
    if (looks->quiet < UINT32_MAX) looks->quiet++;
    if (looks->transfer.kept < START_TIMES) return blind_want(looks);
    double cost = COST * looks->lead_ms, gain = prospect->gain_ms, likely = chance(looks, prospect);
    bool hopeless = looks->unit_ms <= cost; /* if calls took no time at all, that would gain less than looking costs */
    if (looks->start.ms > 0 && !hopeless) return true;
    if (gain < 0) gain = hopeless ? 0 : UNKNOWN_GAIN * looks->unit_ms;
    if (likely * gain > (1 - likely) * cost) return true;
    double seldom = 1 + IDLE_SLOWER * looks->idle;
    if (seldom > IDLE_SLOWEST) seldom = IDLE_SLOWEST;
    return looks->quiet * EXPLORE * looks->unit_ms >= cost * seldom * jitter(call);
}

void looks_note(hm_looks_t *looks, hm_seen_t seen, uint64_t call)
{
    float *hit = &looks->hit[looks->yes][looks_come_true(looks)],
          *tried = &looks->tried[looks->yes][looks_come_true(looks)];
    if (*tried >= CHANCE_KEPT) {
        *tried /= 2;
        *hit /= 2;
    }
    *hit += looks->yes ? seen.right : seen.worth;
    *tried += 1;
    looks->count++;
    looks->quiet = 0;
    looks->right = seen.right ? looks->right + 1 : 0;
    looks->idle = seen.worth ? 0 : looks->idle + 1;
    if (!seen.worth) looks->start.ms -= COST * looks->lead_ms;
    looks->start.some = seen.some;
    looks->start.able = looks->start.able || seen.able;
    if (looks->right >= (looks->start.some ? HM_LOOKS_LEARNED : TRUE_AFTER) || call >= START_CALLS) looks->start.ms = 0;
}
