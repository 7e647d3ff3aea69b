/* hiermoe plan's answer to the question that people ask it: will it help, and how much of a step? */
#include "models.h"
#include "plan_command.h"

#include <stdio.h>

/* Plain and as planned, ms of one dispatch. */
static double dispatch_ms(const hm_plan_result_t *result)
{
    return result->cost.ms[result->depth] + result->cost.extra_ms[result->depth];
}

void plan_step_predict(const hm_plan_result_t *result, hm_plan_step_t *step)
{
    const hm_plan_request_t *request = result->request;
    double flops = request->model != NULL ? model_layer_flops(request->model) : 0;
    *step = (hm_plan_step_t){0};
    if (request->hardware_name == NULL || flops <= 0) return;
    double plain = result->cost.ms[0], ours = dispatch_ms(result);
    step->compute_ms = flops * (double)request->tokens / (request->hardware.gpu->bf16_tflops * 1e9 * request->mfu);
    step->plain_ms = step->compute_ms + 4 * plain;
    step->exact_ms = step->compute_ms + 2 * plain + 2 * ours; /* the dispatch, and the backward pass of the combine */
    step->guided_ms = step->compute_ms + 4 * ours;            /* the way back summed, taken to cost as much */
}

static size_t calls_write(const hm_plan_result_t *result, char *text, size_t size)
{
    double plain = result->cost.ms[0], ours = dispatch_ms(result);
    int length;
    if (result->depth == 0)
        length = snprintf(text, size,
                          "No: nothing is more than 3 to 10 %% faster than plain NCCL's %.3f ms for a dispatch; the "
                          "library would leave these calls alone.",
                          plain);
    else
        length =
            snprintf(text, size, "Yes: a dispatch that takes %.3f ms plain takes %.3f at depth %d, %.2f times as fast.",
                     plain, ours, result->depth, plain / ours);
    return length > 0 && (size_t)length < size ? (size_t)length : size - 1;
}

void plan_answer_write(const hm_plan_result_t *result, char *text, size_t size)
{
    hm_plan_step_t step;
    size_t length = calls_write(result, text, size);
    plan_step_predict(result, &step);
    if (step.plain_ms <= 0 || result->depth == 0) return;
    snprintf(text + length, size - length,
             "\nWith computing at %g %% of the card's peak and nothing overlapped, all-to-alls are %.0f %% of a plain "
             "step;\na step would be %.2f times as fast in exact mode, and %.2f times with rows summed on the way back "
             "(guided mode).",
             100 * result->request->mfu, 100 * (step.plain_ms - step.compute_ms) / step.plain_ms,
             step.plain_ms / step.exact_ms, step.plain_ms / step.guided_ms);
}
