/* Which experts each token goes to: drawn from a seed, alike on every rank, or read from a trace. */
#ifndef MP_ROUTING_H
#define MP_ROUTING_H

#include "options.h"

typedef struct mp_routing {
    int ranks, layers, topk, experts;
    size_t tokens;                    /* room per rank and layer */
    size_t *tokens_of;                /* [ranks] tokens a rank really has, at most `tokens` */
    uint16_t *expert;                 /* owned; see routing_token */
    size_t rank_stride, layer_stride; /* in entries of expert */
} mp_routing_t;

/* 0; -EINVAL or -ENOMEM after a sentence on stderr. experts is a multiple of ranks in what it returns. */
int routing_create(const mp_options_t *options, mp_routing_t *routing);
void routing_free(mp_routing_t *routing);

/* The topk experts of a token, all different, in no particular order. */
static inline const uint16_t *routing_token(const mp_routing_t *routing, int layer, int rank, size_t token)
{
    return routing->expert + (size_t)rank * routing->rank_stride + (size_t)layer * routing->layer_stride +
           token * (size_t)routing->topk;
}

#endif
