#include "smooth.h"

#include <stdint.h>
#include <string.h>

double smooth_root(double x, int gamma)
{
    double scale = 1, step = smooth_power(2, gamma);
    if (!(x > 0)) return 0;
    for (; x >= step; x /= step) scale *= 2; /* exact: powers of two */
    for (; x < 1; x *= step) scale /= 2;
    /* Newton from above falls all the way, so the first step that does not fall is the end. */
    double root = 2;
    for (int i = 0; i < 64; i++) {
        double below = smooth_power(root, gamma - 1);
        double next = root - (root * below - x) / (gamma * below);
        if (!(next < root)) break;
        root = next;
    }
    return root * scale;
}

/* 2^n for n in -1022..1023, by its bits. */
static double power_of_two(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double smooth_exp(double x)
{
    static const double inverse[15] = {0,       1,       1 / 2.0,  1 / 3.0,  1 / 4.0,  1 / 5.0,  1 / 6.0, 1 / 7.0,
                                       1 / 8.0, 1 / 9.0, 1 / 10.0, 1 / 11.0, 1 / 12.0, 1 / 13.0, 1 / 14.0};
    const double ln2 = 0.69314718055994530942;
    if (x < -700) return 0;
    if (x > 700) x = 700;
    int n = (int)(x / ln2 + (x < 0 ? -0.5 : 0.5));
    double rest = x - n * ln2, sum = 1;
    for (int k = 14; k > 0; k--) sum = 1 + sum * rest * inverse[k]; /* |rest| <= 0.35: 14 terms reach the last bit */
    return sum * power_of_two(n);
}

double smooth_log(double x)
{
    const double ln2 = 0.69314718055994530942;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    double y = ((int)(bits >> 52 & 0x7ff) - 1023) * ln2;
    for (int i = 0; i < 6; i++) {
        double e = smooth_exp(y);
        y += 2 * (x - e) / (x + e); /* Halley: the error is cubed each time */
    }
    return y;
}
