/* Further lines of a profile's text (wires/profile_text.h): what the parts of an MoE layer cost, and how much of each a
 * job needs.
 *
 *     overlap_layers 33                            MoE layers
 *     overlap_dispatch 3774874                     bytes that one rank sends; at the speed of the profile's links
 *     overlap_gather 0.337 2.32e-07 3774874        alpha in ms, ms per byte, bytes that one rank puts in
 *     overlap_experts 0.1278 2.29e-11 9.28e+10     alpha in ms, ms per multiply-add, multiply-adds
 *     overlap_scatter 0.395 2.34e-07 3774874       as overlap_gather
 *     overlap_reduction 0.511 4.95e-07 22020096    alpha in ms, ms per byte, bytes of one layer's gradient
 *     overlap_dense 1.93 2.39                      ms forward and backward of what lies between two MoE layers
 *
 * Layers, dispatch and experts must be there; what else is left out takes no time. */
#ifndef HM_OVERLAP_TEXT_H
#define HM_OVERLAP_TEXT_H

#include "overlap/step.h"
#include "wires/profile.h"

#include <stddef.h>

/* alpha_ms + units * unit_ms */
typedef struct hm_overlap_line {
    double alpha_ms, unit_ms, units;
} hm_overlap_line_t;

typedef struct hm_overlap_text {
    double layers, dispatch_bytes; /* layers: a whole number */
    hm_overlap_line_t gather, experts, scatter, reduction;
    double dense_ms[2];
} hm_overlap_text_t;

/* Reads the lines that begin with "overlap_" and leaves all others to profile_parse. 0; -ENOENT where there is none;
 * -EINVAL with *error filled; *overlap is unchanged then. */
int overlap_parse(const char *text, size_t length, hm_overlap_text_t *overlap, hm_parse_error_t *error);

/* Writes the lines; returns as profile_write. */
int overlap_write(const hm_overlap_text_t *overlap, char *text, size_t size, size_t *length);

/* The built-in one of a built-in profile, or NULL: FSMoE's two test beds (fsmoe-a, fsmoe-b). */
const hm_overlap_text_t *overlap_builtin(const char *name);

/* The step that the lines describe. Dispatch and combine go over the profile's link between its outermost groups. */
void overlap_step(const hm_overlap_text_t *overlap, const hm_profile_t *profile, hm_step_t *step);

#endif
