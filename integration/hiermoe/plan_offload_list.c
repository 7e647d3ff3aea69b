/* hiermoe plan --offload for one layer's loads. */
#include "command.h"
#include "plan_offload.h"

#include <stdio.h>
#include <stdlib.h>

#define EXPERTS_SHOWN 24

static const struct {
    const char *key, *text;
} sides[] = {[HM_SHARE_CPU] = {"cpu", "on the CPU"},
             [HM_SHARE_STREAM] = {"stream", "streamed to the GPU"},
             [HM_SHARE_RESIDENT] = {"resident", "resident on the GPU"}};

json_t *offload_experts_json(const hm_share_t *share, int experts, hm_share_t which)
{
    json_t *array = json_array();
    for (int e = 0; e < experts; e++)
        if (share[e] == which) json_array_append_new(array, json_integer(e));
    return array;
}

static void division_json(const hm_share_t *share, int experts, const hm_shares_time_t *time, double fiddler_ms,
                          json_t *offload)
{
    for (int side = HM_SHARE_RESIDENT; side >= HM_SHARE_CPU; side--)
        json_object_set_new(offload, sides[side].key, offload_experts_json(share, experts, (hm_share_t)side));
    json_object_set_new(offload, "makespan_ms", json_real(time->makespan_ms));
    json_object_set_new(offload, "cpu_ms", json_real(time->cpu_ms));
    json_object_set_new(offload, "link_ms", json_real(time->link_ms));
    json_object_set_new(offload, "gpu_ms", json_real(time->gpu_ms));
    json_object_set_new(offload, "fiddler_ms", json_real(fiddler_ms));
}

static void side_text(const hm_share_t *share, int experts, hm_share_t side)
{
    int count = 0;
    printf("%-20s", sides[side].text);
    for (int e = 0; e < experts; e++)
        if (share[e] == side && count++ < EXPERTS_SHOWN) printf(" %d", e);
    if (count > EXPERTS_SHOWN) printf(" and %d more", count - EXPERTS_SHOWN);
    printf("%s\n", count == 0 ? " none" : "");
}

static void division_text(const hm_share_t *share, int experts, const hm_shares_time_t *time, double fiddler_ms)
{
    for (int side = HM_SHARE_RESIDENT; side >= HM_SHARE_CPU; side--) side_text(share, experts, (hm_share_t)side);
    printf("\nCPU done after %.3f ms, link after %.3f, GPU after %.3f: %.3f ms; Fiddler's division takes %.3f\n",
           time->cpu_ms, time->link_ms, time->gpu_ms, time->makespan_ms, fiddler_ms);
}

int offload_list(const hm_offload_request_t *request, const hm_plan_loads_t *loads, bool text, json_t *offload)
{
    hm_shares_t *shares = NULL;
    hm_share_t *share = malloc((size_t)loads->experts * sizeof(*share));
    if (share == NULL || shares_create(loads->experts, &shares) != 0) {
        free(share);
        return command_fail("out of memory");
    }
    int resident = (int)request->resident;
    double fiddler_ms = shares_fiddler(shares, &request->cost, loads->given, resident, NULL, share).makespan_ms;
    hm_shares_time_t time = shares_choose(shares, &request->cost, loads->given, resident, NULL, share);
    division_json(share, loads->experts, &time, fiddler_ms, offload);
    if (text) division_text(share, loads->experts, &time, fiddler_ms);
    shares_destroy(shares);
    free(share);
    return 0;
}
