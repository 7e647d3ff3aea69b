#include "replicas.h"

#include "experts/loads.h"

#include <errno.h>
#include <stddef.h>

/* The expert that has most copies beyond its goal, of those that can give one up. */
static int most_beyond(const double *beyond, const int *count, int experts)
{
    int best = -1;
    for (int e = 0; e < experts; e++)
        if (count[e] > 1 && (best < 0 || beyond[e] > beyond[best])) best = e;
    return best;
}

static int least_beyond(const double *beyond, int experts)
{
    int best = 0;
    for (int e = 1; e < experts; e++)
        if (beyond[e] < beyond[best]) best = e;
    return best;
}

int replicas_count(const uint64_t *loads, int experts, int ranks, int slots, int *count, double *work)
{
    if (experts < 1 || ranks < 1 || slots < 1 || (int64_t)ranks * slots < experts) return -EINVAL;
    uint64_t sum = loads_sum(loads, experts);
    int64_t places = (int64_t)ranks * slots, used = 0;
    double *beyond = work; /* copies minus goal */
    for (int e = 0; e < experts; e++) {
        double share = sum > 0 ? (double)loads[e] / (double)sum : 1.0 / experts;
        double goal = share * ranks * slots;
        count[e] = goal > 1 ? (int)goal : 1;
        beyond[e] = count[e] - goal;
        used += count[e];
    }
    for (; used > places; used--) {
        int e = most_beyond(beyond, count, experts);
        count[e]--;
        beyond[e]--;
    }
    for (; used < places; used++) {
        int e = least_beyond(beyond, experts);
        count[e]++;
        beyond[e]++;
    }
    return 0;
}

void replicas_place(const int *order, const int *count, int experts, int *slot)
{
    for (int i = 0; i < experts; i++) {
        int e = order != NULL ? order[i] : i;
        for (int copy = 0; copy < count[e]; copy++) *slot++ = e;
    }
}

uint64_t replicas_capacity(double factor, uint64_t choices, int ranks, int slots)
{
    double share = factor * (double)choices / ((double)ranks * slots);
    uint64_t whole = (uint64_t)share;
    return (double)whole < share ? whole + 1 : whole;
}

uint64_t replicas_dropped(const uint64_t *loads, const int *count, int experts, uint64_t capacity)
{
    uint64_t dropped = 0;
    for (int e = 0; e < experts; e++) {
        uint64_t room = (uint64_t)count[e] * capacity;
        if (loads[e] > room) dropped += loads[e] - room;
    }
    return dropped;
}

double replicas_heaviest(const uint64_t *loads, const int *count, const int *slot, int ranks, int slots)
{
    double most = 0;
    for (int r = 0; r < ranks; r++) {
        double tokens = 0;
        for (int i = 0; i < slots; i++) {
            int e = slot[(size_t)r * (size_t)slots + (size_t)i];
            tokens += (double)loads[e] / count[e];
        }
        if (tokens > most) most = tokens;
    }
    return most;
}

/* T = (E / N) X / BW_host + (transfers / N) X / BW_net: every expert's state meets its host's link once, and so many
 * slots are filled from other ranks. */
static double phase_ms(const hm_replicas_phase_t *phase, double transfers)
{
    return (phase->experts * phase->host_ms + transfers * phase->network_ms) * phase->bytes / phase->ranks;
}

double replicas_phase_static(const hm_replicas_phase_t *phase)
{
    return phase_ms(phase, (double)phase->slots * phase->ranks - phase->experts);
}

double replicas_phase_decoupled(const hm_replicas_phase_t *phase)
{
    return phase_ms(phase, (double)phase->slots * phase->ranks - phase->slots);
}

double replicas_phase_extra(const hm_replicas_phase_t *phase)
{
    double places = (double)phase->slots * phase->ranks, faster = phase->host_ms / phase->network_ms;
    return (phase->experts - phase->slots) / (places - phase->experts * (1 - faster));
}
