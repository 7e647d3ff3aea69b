/* What the user asked for, checked against itself; what torchrun put into the environment. */
#ifndef MP_OPTIONS_H
#define MP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mp_pattern { MP_MEGATRON, MP_DEEPSPEED, MP_ALLTOALL } mp_pattern_t;
typedef enum mp_direction {
    MP_DISPATCH,
    MP_COMBINE,
    MP_COMBINE_BACKWARD,  /* rows as of a dispatch */
    MP_DISPATCH_BACKWARD, /* rows as of a combine */
    MP_DIRECTIONS
} mp_direction_t;
typedef enum mp_route { MP_UNIFORM, MP_ZIPF, MP_GROUP, MP_ONE, MP_TRACE } mp_route_t;
typedef enum mp_dtype { MP_BF16, MP_FP16, MP_FP32, MP_FP8 } mp_dtype_t;

typedef struct mp_options {
    mp_pattern_t pattern;
    bool run[MP_DIRECTIONS];
    mp_route_t route;
    const char *route_text; /* as given */
    const char *trace;      /* file of MP_TRACE */
    double zipf;            /* exponent of MP_ZIPF */
    int groups, group_topk; /* MP_GROUP: each token uses group_topk of `groups` equal blocks of experts */
    int one_rank;           /* MP_ONE: the rank whose experts get everything */
    int64_t tokens;         /* per rank; -1: not given (with a trace, which brings its own) */
    size_t hidden;
    int experts, topk, layers; /* 0: not given, likewise */
    mp_dtype_t dtype;
    uint64_t seed;
    int iters, warmup, check; /* check: every how many iterations, 0 never */
    bool guided;              /* exchanges are announced, and combines bring numbers that are added up */
    double between_ms;        /* that each rank pauses before an exchange */
    double capacity_factor;   /* padded patterns; 0: the largest count of any expert, nothing dropped */
    double timeout;           /* seconds that one exchange or the start may take */
    int ranks, rank, local_rank;
    int *node_of;        /* [ranks] */
    int nodes;           /* 1 + largest node */
    int64_t *tokens_of;  /* [ranks] -1: like the others */
    const char *id_file; /* never NULL */
    const char *json;    /* NULL: none */
    const char *wire_if; /* interfaces whose counters are read, comma-separated; NULL: all but lo */
} mp_options_t;

/* Reads command line and environment. 0; 1 after --help; -EINVAL after a sentence on stderr saying what was expected.
 */
int options_parse(int argc, char **argv, mp_options_t *options);
void options_free(mp_options_t *options);

/* Whether rows go from ranks with tokens to ranks with experts. */
static inline bool options_direction_out(mp_direction_t direction)
{
    return direction == MP_DISPATCH || direction == MP_COMBINE_BACKWARD;
}

const char *options_pattern_name(mp_pattern_t pattern);
const char *options_direction_name(mp_direction_t direction);
const char *options_dtype_name(mp_dtype_t dtype);
size_t options_dtype_bytes(mp_dtype_t dtype);

#endif
