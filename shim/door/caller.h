/* Whether the code that closes a group is known to do so on every rank. */
#ifndef HM_CALLER_H
#define HM_CALLER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum hm_belief {
    HM_BELIEF_NOBODY, /* the group may be anything */
    HM_BELIEF_OUTER,  /* issued below a function that is believed to issue whole all-to-alls, among other things */
    HM_BELIEF_ISSUER, /* issued by such a function itself: the other ranks count on it, whatever it holds here */
    HM_BELIEF_SHAPE   /* HIERMOE_TRUST=shape: a group is what it looks like */
} hm_belief_t;

/* HIERMOE_TRUST decides: known callers, any (shape), or more symbol names. Known are PyTorch's all-to-alls, where the
 * PyTorch at hand promises whole groups (torch.h). return_address: where the job goes on after the call; NULL is
 * nobody. far: also look at the functions around the issuer; walks the stack of the calling thread, which must be the
 * one that made the call. The names of a chain of callers are read once, then the decision is remembered. A function
 * that is not exported is known by the symbol table of its file: files must be stripped on all ranks or on none, or
 * ranks that believe the caller wait for those that do not. */
hm_belief_t caller_belief(const void *return_address, bool far);

/* Names the function that made a call and some that it was called by, "inner < outer < ...", as HIERMOE_TRUST would
 * have them; cut at size. false: the inner one has no name, its file is named instead. Same thread; takes milliseconds.
 */
bool caller_describe(const void *return_address, char *text, size_t size);

#endif
