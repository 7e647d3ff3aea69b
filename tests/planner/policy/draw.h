/* Random numbers for the simulated ranks: the same on every machine, so no libm and no rand(). */
#ifndef HM_DRAW_H
#define HM_DRAW_H

#include "../../splitmix.h"

#include "experts/smooth.h"

/* The state that a seed's name stands for (FNV-1a). */
static inline uint64_t draw_seed(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name != '\0'; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}

/* Uniform in [0, 1). */
static inline double draw_unit(uint64_t *state)
{
    return (double)(splitmix_next(state) >> 11) / 9007199254740992.0;
}

/* Mean 0, standard deviation 1: the sum of twelve uniform draws. */
static inline double draw_gauss(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += draw_unit(state);
    return sum;
}

/* Exponential of this mean. */
static inline double draw_wait(uint64_t *state, double mean)
{
    return -mean * smooth_log(1 - draw_unit(state));
}

/* Lognormal of median 1; sd is that of the logarithm. */
static inline double draw_factor(uint64_t *state, double sd)
{
    return smooth_exp(sd * draw_gauss(state));
}

#endif
