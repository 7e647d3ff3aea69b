/* What a reader of the numbers should know: the same in the table and in JSON. */
#include "plan_command.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void note_add(plan_notes_t *notes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(notes->text[notes->count++], sizeof(notes->text[0]), format, args);
    va_end(args);
}

void plan_notes(const plan_result_t *result, plan_notes_t *notes)
{
    const plan_options_t *options = result->options;
    const plan_counts_t *counts = &result->counts;
    long ranks = result->topo->ranks, experts = options->experts, all = options->tokens * ranks;
    notes->count = 0;
    if (counts->tokens > 0 && counts->tokens < (size_t)options->tokens)
        note_add(notes, "counted on %zu of %ld tokens, scaled up", counts->tokens * (size_t)ranks, all);
    if (result->swaps_scored && counts->kept < (size_t)all)
        note_add(notes, "swaps scored on %zu of %ld tokens, scaled up", counts->kept, all);
    if (experts < ranks)
        note_add(notes, "%ld of %ld ranks hold no expert", ranks - experts, ranks);
    else if (experts % ranks != 0)
        note_add(notes, "%ld of %ld ranks hold an expert more than the others", experts % ranks, ranks);
}
