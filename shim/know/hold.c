#include "hold.h"

#define SKIP_FIRST 4
#define SKIP_MOST 65536 /* beyond that a wait costs next to nothing a call */

void hold_note(hm_hold_t *hold, bool held)
{
    if (held) {
        unsigned next = hold->skip == 0 ? SKIP_FIRST : 2 * hold->skip;
        hold->skip = next < SKIP_MOST ? next : SKIP_MOST;
        hold->left = hold->skip;
        hold->well = 0;
    } else if (hold->skip > 0 && ++hold->well >= hold->skip) {
        hold->skip = 0;
    }
}
