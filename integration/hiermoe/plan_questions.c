#include "plan_questions.h"

#include "command.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *help;
    int (*ask)(int argc, char **argv);
} questions[] = {
    {"--arrange", "where all experts of a layer should be: pairs, blocks, and placements by counts alone",
     plan_arrange_main},
    {"--replicas", "how many copies of each expert to keep, and where", plan_replicas_main},
    {"--offload", "which experts a GPU too small for all keeps, which are streamed, which the CPU computes",
     plan_offload_main},
    {"--overlap", "in how many chunks tokens should go, and when gradients should be reduced", plan_overlap_main},
    {"--what-helps", "all of these beside de-duplication and swaps, for one job", plan_helps_main},
};

#define QUESTIONS (sizeof(questions) / sizeof(questions[0]))

int plan_question_find(int argc, char **argv, int (**ask)(int argc, char **argv))
{
    const char *found = NULL;
    *ask = NULL;
    for (int i = 1; i < argc; i++)
        for (size_t q = 0; q < QUESTIONS; q++) {
            if (strcmp(argv[i], questions[q].name) != 0) continue;
            if (found != NULL) return command_fail("plan: %s and %s: expected one question", found, argv[i]);
            found = argv[i];
            *ask = questions[q].ask;
        }
    return 0;
}

void plan_questions_help(void)
{
    puts("\nOther questions, each with options of its own (hiermoe plan QUESTION --help):");
    for (size_t q = 0; q < QUESTIONS; q++) printf("  %-14s %s\n", questions[q].name, questions[q].help);
}
