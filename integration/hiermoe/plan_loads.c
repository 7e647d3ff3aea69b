/* Loads of experts for hiermoe plan's questions. */
#include "command.h"
#include "experts/loads.h"
#include "numbers.h"
#include "plan_questions.h"
#include "trace_file.h"

#include <stdlib.h>
#include <string.h>

static int list_read(const char *question, const char *list, hm_plan_loads_t *loads)
{
    const char *why;
    loads->given = malloc(HM_PLAN_LOADS_MOST * sizeof(*loads->given));
    if (loads->given == NULL) return command_fail("out of memory");
    loads->experts = numbers_whole(list, HM_NUMBERS_LOAD_MOST, loads->given, HM_PLAN_LOADS_MOST, &why);
    if (loads->experts > 0) return 0;
    plan_loads_free(loads);
    return command_fail("%s --loads: \"%.40s\": %s", question, list, why);
}

int plan_loads_read(const char *question, const char *list, const char *routing, hm_plan_loads_t *loads)
{
    *loads = (hm_plan_loads_t){.experts = 0};
    if (list != NULL && routing != NULL) return command_fail("%s: expected --loads or --routing, not both", question);
    if (list != NULL) return list_read(question, list, loads);
    if (routing == NULL) return command_fail("%s: expected --loads A,B,... or --routing trace:FILE", question);
    if (strncmp(routing, "trace:", 6) != 0 || routing[6] == '\0')
        return command_fail("%s --routing: \"%s\": expected trace:FILE", question, routing);
    int rc = trace_file_read(routing + 6, 0, &loads->trace);
    if (rc == 0) loads->experts = loads->trace.experts;
    return rc;
}

void plan_loads_free(hm_plan_loads_t *loads)
{
    free(loads->given);
    loads->given = NULL;
    trace_free(&loads->trace);
}

int plan_loads_layers(const hm_plan_loads_t *loads, long layer, int *first, int *end)
{
    if (loads->given != NULL && layer >= 0) return command_fail("--layer: expected --routing trace:FILE with it");
    int layers = loads->given != NULL ? 1 : loads->trace.layers;
    if (layer >= layers)
        return command_fail("--layer: %ld: expected less than %d, the layers of the trace", layer, layers);
    *first = layer >= 0 ? (int)layer : 0;
    *end = layer >= 0 ? (int)layer + 1 : layers;
    return 0;
}

void plan_loads_count(const hm_plan_loads_t *loads, int layer, size_t from, size_t tokens, uint64_t *into)
{
    const hm_trace_t *trace = &loads->trace;
    memset(into, 0, (size_t)loads->experts * sizeof(*into));
    for (int r = 0; r < trace->ranks; r++)
        loads_add(trace_source(trace, r, layer) + from * (size_t)trace->top_k, tokens, trace->top_k, into);
}
