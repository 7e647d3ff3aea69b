/* libFuzzer target: a profile's overlap_ lines. What is taken must be in range, survive being written and read again,
 * and make a step that can be simulated; what is not is said. */
#include "fuzz_seed.h"

#include "overlap/overlap_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const fuzz_seed[] = {
    "overlap_layers 2\noverlap_dispatch 4e6\noverlap_experts 0.5 1e-11 2e10\noverlap_dense 1 2\n",
    "name x\noverlap_layers 1 # y\r\noverlap_dispatch 1\noverlap_experts 0 0 0\noverlap_gather 1 1e-7 3\n"
    "overlap_scatter 1 1e-7 3\noverlap_reduction .1 1 1e15\n",
    "overlap_layers 3\n", "hiermoe-profile 1\n", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hm_overlap_text_t first, second;
    hm_parse_error_t error = {.line = 0};
    char text[1024];
    size_t length;
    int rc = overlap_parse((const char *)data, size, &first, &error);
    if (rc == -ENOENT) return 0;
    if (rc != 0) {
        if (error.line < 1 || error.text[0] == '\0' || memchr(error.text, 0, sizeof(error.text)) == NULL) abort();
        return 0;
    }
    if (overlap_write(&first, text, sizeof(text), &length) != 0) abort();
    if (overlap_parse(text, length, &second, &error) != 0) abort();
    if (memcmp(&first, &second, sizeof(first)) != 0) abort();
    hm_step_t step;
    hm_step_how_t how = {.degree = {2, 8}};
    double ms;
    overlap_step(&first, profile_builtin("fsmoe-a"), &step);
    if (step.layers > 16) step.layers = 16;
    if (step_simulate(&step, &how, NULL, &ms) != 0 || !(ms >= 0) || isinf(ms)) abort();
    return 0;
}
