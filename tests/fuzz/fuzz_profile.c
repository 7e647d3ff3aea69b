/* libFuzzer target: the profile parser. What it takes must survive being written and read again. */
#include "fuzz_seed.h"

#include "wires/profile.h"

#include <stdlib.h>
#include <string.h>

const char *const fuzz_seed[] = {
    "hiermoe-profile 1\nname a\ndevice b\nversions c\ntransport d\ngroups 4 8\nintra 0 0.5 5e-7 0.99 12 4e5 1e6 1e-9\n"
    "intra 1 0.25 1e-8 - 0\ninter 1 .125 4.5E-7 1 9\nagree_ms 0.03\nidentify_ms_per_byte 1e-9\n",
    "# x\nhiermoe-profile 1\r\nname a # b\ndevice b\nversions c\ntransport d\ngroups 2\nintra 0 1 1 - 0\n",
    "hiermoe-profile 1\ngroups 1 2 4 8 16 32\npack_ms_per_byte 1e6\n", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[8192];
    hm_profile_t first, second;
    hm_parse_error_t error = {0};
    size_t length;
    if (profile_parse((const char *)data, size, &first, &error) != 0) {
        if (error.line < 1 || error.text[0] == '\0' || memchr(error.text, 0, sizeof(error.text)) == NULL) abort();
        return 0;
    }
    if (first.levels < 1 || first.levels > HM_MAX_LEVELS) abort();
    if (profile_write(&first, text, sizeof(text), &length) != 0) abort();
    if (profile_parse(text, length, &second, &error) != 0) abort();
    if (!profile_same_cluster(&first, &second)) abort();
    for (int l = 0; l < first.levels; l++)
        if (memcmp(&first.intra[l].alpha_ms, &second.intra[l].alpha_ms, 2 * sizeof(double)) != 0 ||
            memcmp(&first.intra[l].free_bytes, &second.intra[l].free_bytes, sizeof(double)) != 0 ||
            memcmp(&first.intra[l].turn_ms, &second.intra[l].turn_ms, sizeof(double)) != 0)
            abort();
    return 0;
}
