/* What else would help a job: questions of hiermoe plan beside that of one all-to-all. Each has its own options. */
#ifndef HM_PLAN_QUESTIONS_H
#define HM_PLAN_QUESTIONS_H

#include "experts/trace.h"

/* The question among the arguments: sets *ask to its function, or to NULL where there is none. 0, or the exit status,
 * having said that there are two. Each function takes all arguments and returns the exit status. */
int plan_question_find(int argc, char **argv, int (**ask)(int argc, char **argv));
int plan_arrange_main(int argc, char **argv);
int plan_replicas_main(int argc, char **argv);
int plan_offload_main(int argc, char **argv);
int plan_overlap_main(int argc, char **argv);
int plan_helps_main(int argc, char **argv);

/* Lists them, for hiermoe plan --help. */
void plan_questions_help(void);

#define HM_PLAN_LOADS_MOST 65535 /* experts */

/* Tokens by expert: given as a list, or counted from a trace. */
typedef struct hm_plan_loads {
    int experts;
    uint64_t *given;  /* [experts] or NULL */
    hm_trace_t trace; /* where there is no list */
} hm_plan_loads_t;

/* Reads one of --loads LIST and --routing trace:FILE. 0, or the exit status, having said why. */
int plan_loads_read(const char *question, const char *list, const char *routing, hm_plan_loads_t *loads);
void plan_loads_free(hm_plan_loads_t *loads);

/* Layers to look at: [*first, *end), all for -1; a list is one layer. 0, or the exit status, having said why. */
int plan_loads_layers(const hm_plan_loads_t *loads, long layer, int *first, int *end);

/* Sets into[experts] to the loads of a layer of the trace: `tokens` of each rank from the from-th on. */
void plan_loads_count(const hm_plan_loads_t *loads, int layer, size_t from, size_t tokens, uint64_t *into);

#endif
