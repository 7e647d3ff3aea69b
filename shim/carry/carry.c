#include "carry.h"

#include <errno.h>
#include <stdlib.h>

int carry_create(hm_carry_t *carry, int ranks)
{
    carry->work = malloc((size_t)ranks * sizeof *carry->work);
    carry->kept = malloc((size_t)ranks * sizeof *carry->kept);
    int status = windows_create(&carry->windows, ranks);
    return carry->work == NULL || carry->kept == NULL ? -ENOMEM : status;
}

void carry_free(hm_carry_t *carry, const hm_channel_t *channel, const hm_place_t *place)
{
    routes_free(&carry->routes, place);
    windows_free(&carry->windows);
    scratch_free(&carry->scratch, channel);
    free(carry->work);
    free(carry->kept);
    carry->work = NULL;
    carry->kept = NULL;
}
