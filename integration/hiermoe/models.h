/* Shapes of known models. */
#ifndef HM_MODELS_H
#define HM_MODELS_H

typedef struct hm_model {
    const char *name;
    int hidden, experts, top_k, intermediate; /* intermediate: width inside one expert */
    int routing_groups; /* runs of expert ids that the router chooses from first (group-limited top-k); 1: none */
} hm_model_t;

/* By name, or by number from 0. NULL where there is no such model. */
const hm_model_t *model_find(const char *name);
const hm_model_t *model_at(int index);

/* Bytes that move with one expert: three matrices, and for each parameter a weight of 2 bytes and optimizer state
 * of 12. */
static inline double model_expert_bytes(const hm_model_t *model)
{
    return 3.0 * model->hidden * model->intermediate * 14;
}

#endif
