/* bench_sample [--count]: how long drawing 64 choices out of 16384 experts takes a token, whatever the skew. It took
 * over 1 ms where each choice summed up all experts, and takes 7 us. See bench.h. */
#include "bench.h"

#include "experts/sample.h"

#include <stdio.h>
#include <stdlib.h>

#define TOP_K 64
#define EXPERTS 16384

typedef struct draw_call {
    hm_sampler_t *sampler;
    size_t tokens;
    uint16_t *ids;
} draw_call_t;

static void draw(void *argument)
{
    const draw_call_t *call = argument;
    sampler_draw(call->sampler, call->tokens, call->ids);
}

static int case_run(const char *spec, int count)
{
    const char *why = "";
    hm_routing_t routing;
    draw_call_t call = {.tokens = count ? 256 : 16384};
    call.ids = malloc(call.tokens * TOP_K * sizeof(*call.ids));
    if (call.ids == NULL || routing_parse(spec, &routing, &why) != 0 ||
        sampler_create(&routing, EXPERTS, TOP_K, 1, &call.sampler, &why) != 0) {
        fprintf(stderr, "bench_sample: %s: %s\n", spec, why);
        return 1;
    }
    double start = bench_now_ms();
    bench_counted(draw, &call);
    double ms = bench_now_ms() - start;
    if (count)
        bench_case_end(spec, 40000, (int)call.tokens);
    else
        printf("%s: %.2f us a token\n", spec, 1e3 * ms / (double)call.tokens);
    sampler_destroy(call.sampler);
    free(call.ids);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const routings[] = {"zipf:0", "zipf:1", "zipf:2", "zipf:3", "zipf:8"};
    int count = bench_arguments(argc, argv), failed = 0;
    for (size_t i = 0; i < sizeof(routings) / sizeof(routings[0]); i++) failed |= case_run(routings[i], count);
    return failed;
}
