/* Shapes of known models. */
#ifndef HM_MODELS_H
#define HM_MODELS_H

typedef struct hm_model {
    const char *name;
    int hidden, experts, top_k, intermediate; /* intermediate: width inside one expert */
    int routing_groups;     /* runs of expert ids that the router chooses from first (group-limited top-k); 1: none */
    int chosen_groups;      /* of these, for one token */
    int layers;             /* 0: not known, as active_billions */
    double active_billions; /* parameters that a token uses */
} hm_model_t;

/* By name, or by number from 0. NULL where there is no such model. */
const hm_model_t *model_find(const char *name);
const hm_model_t *model_at(int index);

/* Floating-point operations of one token in one layer, forward and backward, the whole model spread evenly over its
 * layers: 6 for each parameter that the token uses (Kaplan et al., 2001.08361, section 2.1). 0 where not known. */
double model_layer_flops(const hm_model_t *model);

/* Bytes that move with one expert: three matrices, and for each parameter a weight of 2 bytes and optimizer state
 * of 12. */
static inline double model_expert_bytes(const hm_model_t *model)
{
    return 3.0 * model->hidden * model->intermediate * 14;
}

#endif
