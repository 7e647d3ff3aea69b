/* The settings, read once, at the first NCCL call: from the environment, and what is not there from files (conf.h). */
#ifndef HM_SETTINGS_H
#define HM_SETTINGS_H

#include "settings_text.h"

#include <stdint.h>

enum { HM_MODE_EXACT, HM_MODE_OBSERVE, HM_MODE_OFF, HM_MODE_GUIDED };
enum { HM_GUIDED_DISPATCH = 1, HM_GUIDED_COMBINE = 2, HM_GUIDED_DISPATCH_BACKWARD = 4, HM_GUIDED_SWAP = 8 };
enum { HM_VERIFY_SAMPLE, HM_VERIFY_ALL, HM_VERIFY_NONE };
enum { HM_GATHER_AUTO, HM_GATHER_NCCL, HM_GATHER_RAILS };
#define HM_DEPTH_AUTO (-1L)
#define HM_ROW_BYTES_AUTO 0
#define HM_ALLOC_NEVER_FAILS (-1L)

/* One field per line of settings.def. */
typedef struct hm_settings {
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) hm_##kind##_t field;
#include "settings.def"
} hm_settings_t;

/* The one setting that no file can hold. */
#define HM_SETTINGS_CONF "HIERMOE_CONF_FILE"

/* The settings in effect; any thread. The first call reads them. A value that is not understood counts as not given, in
 * HIERMOE_MODE as off. */
const hm_settings_t *settings_get(void);

/* One setting, as its row in settings.def says and as it is in effect. */
typedef struct hm_settings_view {
    const char *name, *standard, *accepted, *help;
    const char *value, *given; /* in effect; what the user wrote, NULL: nothing */
    const char *path;          /* of the file that it is from; NULL: the environment, or nothing is given */
    int line;                  /* in that file, from 1 */
    bool refused, same;        /* not understood; must be equal on all ranks */
} hm_settings_view_t;

/* The setting at place 0, 1, ... of settings.def; texts stay until settings_forget. false: there is none. */
bool settings_view(int at, hm_settings_view_t *view);

/* The setting that a mistyped name most likely means, or NULL. */
const char *settings_name_nearest(const char *name);

/* What is wrong with the environment and the files: writes the complaint at place 0, 1, ... as one line into text, cut
 * at size. false: there is none at this place. Reads the environment: call before the job may change it. */
bool settings_complaint(int at, char *text, size_t size);

/* A number that is equal on two ranks whose settings let them work together. */
uint64_t settings_hash(void);

/* The next settings_get reads the environment again. For tests, with no other thread about. */
void settings_forget(void);

#endif
