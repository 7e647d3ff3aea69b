#include "slips.h"

#include "kernels/claim.h"

#include <errno.h>

static hm_slip_t *slip_at(const hm_slips_t *slips, size_t number)
{
    return (hm_slip_t *)(void *)(slips->memory + number * slips->stride);
}

int slips_create(hm_slips_t *slips, const hm_channel_t *channel, size_t bytes)
{
    slips->stride = (sizeof(hm_slip_t) + bytes + 63) / 64 * 64;
    int status = channel_host_alloc(channel, HM_SLIPS * slips->stride, (void **)&slips->memory);
    for (size_t i = 0; i < HM_SLIPS && status == 0; i++) atomic_init(&slip_at(slips, i)->claim.passed, 1);
    return status;
}

void slips_free(hm_slips_t *slips, const hm_channel_t *channel)
{
    channel_host_free(channel, slips->memory);
    slips->memory = NULL;
}

static hm_slip_t *slip_find(const hm_slips_t *slips)
{
    for (size_t i = 0; i < HM_SLIPS; i++)
        if (claim_over(&slip_at(slips, i)->claim)) return slip_at(slips, i);
    return NULL;
}

int slips_take(const hm_slips_t *slips, const hm_channel_t *channel, hm_slip_t **slip)
{
    *slip = slip_find(slips);
    if (*slip != NULL) return 0;
    int status = channel_wait(channel); /* the stream is behind all earlier work of the context */
    if (status != 0) return status == -ETIMEDOUT ? -EBUSY : status;
    *slip = slip_find(slips);
    return *slip != NULL ? 0 : -EIO;
}
