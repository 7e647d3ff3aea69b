#include "overlap_text.h"

#include <string.h>

/* FSMoE's fits and two of its models, B = 1, L = 1024, k = 2, f = 1.2, 2 bytes an element, as many
 * experts as nodes, experts and attention sharded over a node: a: Mixtral-8x22B with 33 layers on 6 nodes of 8 A6000 (M
 * = 6144, H = 16384) b: Mixtral-8x7B with 7 layers on 8 nodes of 4 RTX 2080 Ti (M = 4096, H = 14336) Dispatch, gather
 * and scatter: 2.4 L M / GPUs of a node elements. Experts: 3 products, 2.4 L M H / GPUs each. Gradients: the
 * attention's weights, 7/3 M^2 and 5/2 M^2 elements a node. In between: 4 products of the attention with that many
 * weights and 2 L M for each token, twice backward, and a gather and a scatter of L M / GPUs elements.
 *
 * The text from which the fits of a were taken has 2.32e-6 for gather and 4.95e-6 for reduction. Taken as e-7: scatter
 * has 2.34e-7, the paper's times of both are about equal, and a reduction at 4.95e-6 would use a tenth of the network's
 * speed, where b's 5.99e-7 on half the network uses all. Units are not printed either: bytes and multiply-adds are what
 * gives the paper's times of a layer's parts. */
static const struct {
    const char *name;
    hm_overlap_text_t overlap;
} builtins[] = {
    {"fsmoe-a",
     {.layers = 33,
      .dispatch_bytes = 3774874,
      .gather = {0.337, 2.32e-7, 3774874},
      .experts = {0.1278, 2.29e-11, 9.277e10},
      .scatter = {0.395, 2.34e-7, 3774874},
      .reduction = {0.511, 4.95e-7, 22020096},
      .dense_ms = {1.930, 2.396}}},
    {"fsmoe-b",
     {.layers = 7,
      .dispatch_bytes = 5033165,
      .gather = {0.032, 1.68e-7, 5033165},
      .experts = {0.2772, 4.42e-11, 1.0823e11},
      .scatter = {0.0391, 1.67e-7, 5033165},
      .reduction = {0.0837, 5.99e-7, 20971520},
      .dense_ms = {1.713, 2.652}}},
};

const hm_overlap_text_t *overlap_builtin(const char *name)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++)
        if (strcmp(builtins[i].name, name) == 0) return &builtins[i].overlap;
    return NULL;
}

static hm_overlap_cost_t line_cost(const hm_overlap_line_t *line)
{
    return (hm_overlap_cost_t){line->alpha_ms, line->units * line->unit_ms};
}

void overlap_step(const hm_overlap_text_t *overlap, const hm_profile_t *profile, hm_step_t *step)
{
    const hm_link_t *link = profile->levels > 1 ? &profile->inter[1] : &profile->intra[0];
    hm_overlap_cost_t between = {link->alpha_ms, link_wire_ms(link, overlap->dispatch_bytes)};
    *step = (hm_step_t){.layers = (int)overlap->layers,
                        .layer.part = {[HM_OVERLAP_DISPATCH] = between,
                                       [HM_OVERLAP_GATHER] = line_cost(&overlap->gather),
                                       [HM_OVERLAP_EXPERTS] = line_cost(&overlap->experts),
                                       [HM_OVERLAP_SCATTER] = line_cost(&overlap->scatter),
                                       [HM_OVERLAP_COMBINE] = between},
                        .dense_ms = {overlap->dense_ms[0], overlap->dense_ms[1]},
                        .gradient_bytes = overlap->reduction.units,
                        .reduce_ms = overlap->reduction.alpha_ms,
                        .reduce_byte_ms = overlap->reduction.unit_ms};
}
