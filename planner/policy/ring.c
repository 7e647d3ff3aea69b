#include "ring.h"

#define BELIEVED_VARIANCE .04 /* calls of one kind differ by 20 % */
#define BELIEVED_WEIGHT 4.
#define MAD_TO_SD 1.4826

void ring_add(hm_ring_t *ring, double value)
{
    ring->value[ring->next] = (float)value;
    ring->next = (uint8_t)((ring->next + 1) % HM_RING);
    if (ring->kept < HM_RING) ring->kept++;
}

static double middle(const float *value, int count)
{
    float sorted[HM_RING];
    if (count == 0) return 0;
    for (int i = 0; i < count; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] > value[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = value[i];
    }
    if (count == 2) return sorted[0];
    return count % 2 == 1 ? sorted[count / 2] : ((double)sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double ring_middle(const hm_ring_t *ring)
{
    return middle(ring->value, ring->kept);
}

double ring_variance(const hm_ring_t *ring)
{
    float off[HM_RING];
    double center = ring_middle(ring);
    if (!(center > 0)) return BELIEVED_VARIANCE;
    for (int i = 0; i < ring->kept; i++) {
        double share = ring->value[i] / center - 1;
        off[i] = (float)(share < 0 ? -share : share);
    }
    double sd = MAD_TO_SD * middle(off, ring->kept);
    return (BELIEVED_WEIGHT * BELIEVED_VARIANCE + ring->kept * sd * sd) / (BELIEVED_WEIGHT + ring->kept);
}
