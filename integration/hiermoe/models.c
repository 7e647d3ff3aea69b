#include "models.h"

#include <stddef.h>
#include <string.h>

static const hm_model_t models[] = {
    {"qwen3-30b-a3b", 2048, 128, 8, 768, 1},
    {"deepseek-v3", 7168, 256, 8, 2048, 8},
    {"deepseek-v3-half", 3584, 256, 8, 1024, 8}, /* as HierMoE trains it */
    {"mixtral-8x7b", 4096, 8, 2, 14336, 1},
};

const hm_model_t *model_at(int index)
{
    return index >= 0 && index < (int)(sizeof(models) / sizeof(models[0])) ? &models[index] : NULL;
}

const hm_model_t *model_find(const char *name)
{
    const hm_model_t *model;
    for (int i = 0; (model = model_at(i)) != NULL; i++)
        if (strcmp(model->name, name) == 0) return model;
    return NULL;
}
