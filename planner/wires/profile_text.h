/* The text form of a profile, read by profile_read.c and written by profile_write.c:
 *
 *     hiermoe-profile 1
 *     name a6000-4x8                          name, device, versions, transport: text to the end of the line
 *     groups 4 8 16 32                        U[1] ... U[D], the last is the number of ranks; before any link
 *     intra 0 7.22e-01 5.7e-07 0.999997 24    level, alpha in ms, beta in ms per byte, r2 (- if not fitted), samples,
 *                                             where there are any, bytes that pass before beta counts, and bytes from
 *                                             which on so many ms per byte come on top
 *     inter 1 ...                             all of intra 0..D-1 and inter 1..D-1
 *     alone 1 3.1e-07                         level, beta in ms per byte with one rank of a group; may be left out
 *     few 1 4.2e-07                           the same with every other group sending
 *     agree_ms 0.05                           agree_ms, identify_ms_per_byte, pack_ms_per_byte: 0 where left out
 *     overlap_layers 33                       and others that begin so: overlap/overlap_text.h reads them
 */
#ifndef HM_PROFILE_TEXT_H
#define HM_PROFILE_TEXT_H

#include "profile.h"

#include <stddef.h>

#define HM_PROFILE_MAGIC "hiermoe-profile 1"

/* One item of the text by its first word, and where in a profile it lies. */
typedef struct hm_profile_item {
    const char *key;
    size_t at;
} hm_profile_item_t;

static const hm_profile_item_t hm_profile_texts[] = {
    {"name", offsetof(hm_profile_t, name)},
    {"device", offsetof(hm_profile_t, device)},
    {"versions", offsetof(hm_profile_t, versions)},
    {"transport", offsetof(hm_profile_t, transport)},
};

static const hm_profile_item_t hm_profile_numbers[] = {
    {"agree_ms", offsetof(hm_profile_t, agree_ms)},
    {"identify_ms_per_byte", offsetof(hm_profile_t, identify_ms)},
    {"pack_ms_per_byte", offsetof(hm_profile_t, pack_ms)},
};

/* Of levels, where only some ranks send: arrays by level. */
static const hm_profile_item_t hm_profile_betas[] = {
    {"alone", offsetof(hm_profile_t, alone_ms)},
    {"few", offsetof(hm_profile_t, few_ms)},
};

#define HM_PROFILE_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
