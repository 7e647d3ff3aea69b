/* The settings, read from the environment once, at the first NCCL call. */
#ifndef HM_SETTINGS_H
#define HM_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HM_MODE_EXACT, HM_MODE_OBSERVE, HM_MODE_OFF };
enum { HM_GATHER_AUTO, HM_GATHER_NCCL, HM_GATHER_RAILS };
#define HM_DEPTH_AUTO (-1L)
#define HM_ROW_BYTES_AUTO 0
#define HM_ALLOC_NEVER_FAILS (-1L)

typedef int hm_choice_t;
typedef long hm_number_t;
typedef size_t hm_size_t;
typedef bool hm_flag_t;
typedef const char *hm_text_t;

/* One field per line of settings.def. */
typedef struct hm_settings {
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) hm_##kind##_t field;
#include "settings.def"
} hm_settings_t;

/* What a listing shows of one setting. Text lives as long as the process. */
typedef struct hm_setting_info {
    const char *name, *value, *source; /* source: "default", "environment", or "default, bad value ignored" */
    const char *accepted, *help;
    bool same; /* must be equal on all ranks */
} hm_setting_info_t;

/* The settings in effect; any thread. The first call reads them and says what it could not understand. */
const hm_settings_t *settings_get(void);

/* The setting at place index (0, 1, ...) of the table; false past the end. */
bool settings_info(int index, hm_setting_info_t *info);

/* A number that is equal on two ranks whose settings let them work together. */
uint64_t settings_hash(void);

/* The next settings_get reads the environment again. For tests, with no other thread about. */
void settings_forget(void);

/* Smallest number of letters to insert, drop or exchange to make a into b; anything above limit comes back as
 * limit + 1. For "did you mean". */
int settings_distance(const char *a, const char *b, int limit);

#endif
