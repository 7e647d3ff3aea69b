#include "plan_command.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void note_add(hm_plan_notes_t *notes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(notes->text[notes->count++], sizeof(notes->text[0]), format, args);
    va_end(args);
}

void plan_notes_write(const hm_plan_result_t *result, hm_plan_notes_t *notes)
{
    const hm_plan_request_t *request = result->request;
    const hm_plan_counts_t *counts = &result->counts;
    long ranks = result->topo->ranks, experts = request->experts, all = request->tokens * ranks;
    notes->count = 0;
    if (counts->tokens > 0 && counts->tokens < (size_t)request->tokens)
        note_add(notes, "counted on %zu of %ld tokens, scaled up", counts->tokens * (size_t)ranks, all);
    if (result->swaps_scored && counts->kept < (size_t)all)
        note_add(notes, "swaps scored on %zu of %ld tokens, scaled up", counts->kept, all);
    if (experts < ranks)
        note_add(notes, "%ld of %ld ranks hold no expert", ranks - experts, ranks);
    else if (experts % ranks != 0)
        note_add(notes, "%ld of %ld ranks hold an expert more than the others", experts % ranks, ranks);
}
