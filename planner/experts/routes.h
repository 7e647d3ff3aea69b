/* Tokens with the experts that each of them chose. */
#ifndef HM_ROUTES_H
#define HM_ROUTES_H

#include <stddef.h>
#include <stdint.h>

typedef struct hm_routes {
    const uint16_t *ids; /* [tokens][top_k], different within a token */
    size_t tokens;
    int top_k;
} hm_routes_t;

#endif
