/* Shapes of known models. */
#ifndef HM_MODELS_H
#define HM_MODELS_H

typedef struct model {
    const char *name;
    int hidden, experts, top_k, intermediate; /* intermediate: width inside one expert */
    int routing_groups;                       /* runs of ids that the router chooses from first; 1: none */
} model_t;

/* NULL where there is no such model; model_at counts them up, NULL ends. */
const model_t *model_find(const char *name);
const model_t *model_at(int index);

/* What moves with one expert: three matrices, 2 bytes of weight and 12 of optimizer state each parameter. */
static inline double model_expert_bytes(const model_t *model)
{
    return 3.0 * model->hidden * model->intermediate * 14;
}

#endif
