/* Powers, roots, exponentials and logarithms for smooth maxima, with the same bits on every machine: libm's differ
 * between versions and processors, and ranks must come to the same decisions. */
#ifndef HM_SMOOTH_H
#define HM_SMOOTH_H

#define HM_SMOOTH_MAX_GAMMA 32

/* x^gamma for whole gamma in 1..HM_SMOOTH_MAX_GAMMA. */
static inline double smooth_power(double x, int gamma)
{
    double power = 1;
    for (; gamma > 0; gamma >>= 1, x *= x)
        if (gamma & 1) power *= x;
    return power;
}

/* x^(1/gamma), x >= 0 and finite, to the last few bits. */
double smooth_root(double x, int gamma);

/* e^x for x <= 700 (0 far below), and the natural logarithm of x > 0. */
double smooth_exp(double x);
double smooth_log(double x);

#endif
