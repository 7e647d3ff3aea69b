/* The settings, read from the environment once, at the first NCCL call. */
#ifndef HM_SETTINGS_H
#define HM_SETTINGS_H

#include "settings_text.h"

#include <stdint.h>

enum { HM_MODE_EXACT, HM_MODE_OBSERVE, HM_MODE_OFF };
enum { HM_GATHER_AUTO, HM_GATHER_NCCL, HM_GATHER_RAILS };
#define HM_DEPTH_AUTO (-1L)
#define HM_ROW_BYTES_AUTO 0
#define HM_ALLOC_NEVER_FAILS (-1L)

/* One field per line of settings.def. */
typedef struct hm_settings {
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) hm_##kind##_t field;
#include "settings.def"
} hm_settings_t;

/* The settings in effect; any thread. The first call reads them. A value that is not understood counts as not given, in
 * HIERMOE_MODE as off. */
const hm_settings_t *settings_get(void);

/* What is wrong with the environment: writes the complaint at place 0, 1, ... as one line into text, cut at size.
 * false: there is none at this place. Reads the environment: call before the job may change it. */
bool settings_complaint(int at, char *text, size_t size);

/* A number that is equal on two ranks whose settings let them work together. */
uint64_t settings_hash(void);

/* The next settings_get reads the environment again. For tests, with no other thread about. */
void settings_forget(void);

#endif
