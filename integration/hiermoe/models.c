#include "models.h"

#include <stddef.h>
#include <string.h>

/* From the models' own configuration files and reports. */
static const hm_model_t models[] = {
    {"qwen3-30b-a3b", 2048, 128, 8, 768, 1, 1, 48, 3.3},  {"qwen3-235b-a22b", 4096, 128, 8, 1536, 1, 1, 94, 22},
    {"deepseek-v3", 7168, 256, 8, 2048, 8, 4, 61, 37},    {"deepseek-v3.1", 7168, 256, 8, 2048, 8, 4, 61, 37},
    {"deepseek-v3-half", 3584, 256, 8, 1024, 8, 4, 0, 0}, /* as HierMoE trains it */
    {"kimi-k2", 7168, 384, 8, 2048, 1, 1, 61, 32},        {"glm-4.5", 5120, 160, 8, 1536, 1, 1, 92, 32},
    {"glm-4.5-air", 4096, 128, 8, 1408, 1, 1, 46, 12},    {"gpt-oss-120b", 2880, 128, 4, 2880, 1, 1, 36, 5.1},
    {"gpt-oss-20b", 2880, 32, 4, 2880, 1, 1, 24, 3.6},    {"mixtral-8x7b", 4096, 8, 2, 14336, 1, 1, 32, 12.9},
    {"mixtral-8x22b", 6144, 8, 2, 16384, 1, 1, 56, 39},
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

double model_layer_flops(const hm_model_t *model)
{
    return model->layers > 0 ? 6 * model->active_billions * 1e9 / model->layers : 0;
}
