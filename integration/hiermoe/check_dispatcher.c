/* Jobs that are told to move tokens past NCCL. */
#define _GNU_SOURCE
#include "check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Dispatchers that move tokens by kernels of their own, as their names stand in options, and what they are called. */
static const struct {
    const char *word, *name;
} dispatchers[] = {{"deepep", "DeepEP"},      {"deep_ep", "DeepEP"},     {"hybridep", "HybridEP"},
                   {"hybrid_ep", "HybridEP"}, {"hybrid-ep", "HybridEP"}, {"ncclep", "NCCL EP"},
                   {"nccl_ep", "NCCL EP"},    {"pplx", "pplx-kernels"},  {"uccl_ep", "UCCL-EP"},
                   {"allgather", NULL}};

/* Whether this word, or the one before it, says which dispatcher to take. */
static bool word_chooses(const char *word)
{
    return strcasestr(word, "dispatch") != NULL || strcasestr(word, "backend") != NULL ||
           strcasestr(word, "enable") != NULL;
}

static bool dispatcher_look(const char *before, const char *word, hm_check_t *check)
{
    for (size_t i = 0; i < sizeof dispatchers / sizeof dispatchers[0]; i++) {
        if (strcasestr(word, dispatchers[i].word) == NULL || !(word_chooses(word) || word_chooses(before))) continue;
        if (dispatchers[i].name != NULL)
            check_say(
                check, HM_VERDICT_BAD,
                "\"%s\": tokens go by %s, which goes past NCCL: take the all-to-all dispatcher, or the library has "
                "nothing to do",
                word, dispatchers[i].name);
        else
            check_say(
                check, HM_VERDICT_BAD,
                "\"%s\": tokens go by all-gathers: take the all-to-all dispatcher, or the library has nothing to do",
                word);
        return true;
    }
    bool flex = strcasestr(before, "token-dispatcher-type") != NULL && strcmp(word, "flex") == 0;
    if (flex || strcasestr(word, "token-dispatcher-type=flex") != NULL)
        check_say(check, HM_VERDICT_BAD,
                  "\"%s\": Megatron's flex dispatcher takes DeepEP or HybridEP, which go past NCCL: take alltoall",
                  word);
    return check->verdict == HM_VERDICT_BAD;
}

void check_dispatcher(char *const *command, hm_check_t *check)
{
    const char *deepspeed = getenv("DEEPSPEED_AUTOEP_COMM_BACKEND");
    check->name = "dispatcher";
    check_say(check, HM_VERDICT_GOOD, "no option names a dispatcher that goes past NCCL");
    for (size_t i = 0; command[i] != NULL; i++)
        if (dispatcher_look(i > 0 ? command[i - 1] : "", command[i], check)) return;
    if (deepspeed != NULL) dispatcher_look("DEEPSPEED_AUTOEP_COMM_BACKEND", deepspeed, check);
}
