/* libFuzzer target: topology specs. The first two bytes are the number of ranks; what is taken must be a topology. */
#include "fuzz_seed.h"

#include "topo.h"

#include <stdlib.h>
#include <string.h>

const char *const fuzz_seed[] = {"  4,8", "20,4,2,2,2", "10,2,2,2,2,1", "01,1", "@0,64", " 0,1048577", NULL};

static void topo_check(const hm_topo_t *topo, int ranks)
{
    if (topo->ranks != ranks || topo->levels < 1 || topo->levels > HM_MAX_LEVELS) abort();
    if (topo->groups[0] != 1 || topo->groups[topo->levels] != ranks) abort();
    for (int l = 1; l <= topo->levels; l++) {
        if (topo->start[l][topo->groups[l]] != ranks) abort();
        for (int r = 0; r < ranks; r++) {
            int g = topo->group[l][r], p = topo->pos[r];
            if (topo->order[p] != r || p < topo->start[l][g] || p >= topo->start[l][g + 1]) abort();
            int peer = topo_rail_peer(topo, l, topo->groups[l] - 1, r);
            if (topo->group[l][peer] != topo->groups[l] - 1) abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hm_topo_t *topo = NULL;
    const char *why = NULL;
    if (size < 2 || size > 256) return 0;
    /* Printable bytes make printable seeds: 6 bits of each count. */
    int ranks = (data[0] & 63) + 64 * (data[1] & 7);
    char *spec = malloc(size - 1);
    if (spec == NULL) return 0;
    memcpy(spec, data + 2, size - 2);
    spec[size - 2] = '\0';
    if (topo_parse(spec, ranks, &topo, &why) == 0) {
        topo_check(topo, ranks);
        topo_destroy(topo);
    } else if (why == NULL || why[0] == '\0') {
        abort();
    }
    free(spec);
    return 0;
}
