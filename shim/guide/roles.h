/* What HIERMOE_GUIDED and HIERMOE_MODE allow to be done by what is announced. */
#ifndef HM_ROLES_H
#define HM_ROLES_H

#include "base/settings.h"
#include "hiermoe.h"

#include <stdbool.h>
#include <stdint.h>

/* Roles, as bits 1 << role, whose calls may be carried out by what was announced. Rows can only be summed along the
 * ways of a dispatch that went by its map. */
static inline uint32_t roles_guided(void)
{
    const hm_settings_t *settings = settings_get();
    unsigned guided = settings->guided;
    if (settings->mode == HM_MODE_GUIDED)
        guided |= HM_GUIDED_DISPATCH | HM_GUIDED_COMBINE | HM_GUIDED_DISPATCH_BACKWARD;
    if (settings->mode == HM_MODE_OFF || settings->mode == HM_MODE_OBSERVE) return 0;
    if ((guided & HM_GUIDED_DISPATCH) == 0) return 0;
    uint32_t roles = 1u << HIERMOE_DISPATCH | 1u << HIERMOE_COMBINE_BACKWARD;
    if ((guided & HM_GUIDED_COMBINE) != 0) roles |= 1u << HIERMOE_COMBINE;
    if ((guided & HM_GUIDED_DISPATCH_BACKWARD) != 0) roles |= 1u << HIERMOE_DISPATCH_BACKWARD;
    return roles;
}

static inline bool role_is_guided(uint32_t role)
{
    return (roles_guided() >> role & 1) != 0;
}

#endif
