#define _GNU_SOURCE
#include "settings.h"

#include "bytes.h"
#include "fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HM_PREFIX "HIERMOE_"
#define HM_NAME 64   /* longer names are cut before they are compared */
#define HM_DISTANT 4 /* a name with so many wrong letters is not taken for another one */

typedef struct hm_row {
    const char *name, *standard, *accepted;
    hm_kind_t kind;
    size_t offset;
    bool same;
} hm_row_t;

static const hm_row_t rows[] = {
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) \
    {variable, standard, accepted, HM_KIND_##kind, offsetof(hm_settings_t, field), same},
#include "settings.def"
};
#define HM_ROWS (int)(sizeof rows / sizeof rows[0])

static hm_settings_t settings;
static char *given[HM_ROWS]; /* what the user wrote, or NULL */
static bool refused[HM_ROWS];
static atomic_bool ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool row_parse(const hm_row_t *row, const char *text)
{
    return settings_value_parse(row->kind, row->accepted, text, (char *)&settings + row->offset);
}

/* In place of text that is not understood. Who writes something into HIERMOE_MODE most likely wants less, not all. */
static const char *row_fallback(const hm_row_t *row)
{
    return row->kind == HM_KIND_mode ? "off" : row->standard;
}

static void row_load(int at)
{
    const hm_row_t *row = &rows[at];
    const char *value = getenv(row->name);
    /* A copy: the job may change its environment. Without memory the default must do. */
    given[at] = value != NULL && *value != '\0' ? strdup(value) : NULL;
    row_parse(row, row->standard);
    refused[at] = given[at] != NULL && !row_parse(row, given[at]);
    if (refused[at]) row_parse(row, row_fallback(row));
}

const hm_settings_t *settings_get(void)
{
    if (atomic_load_explicit(&ready, memory_order_acquire)) return &settings;
    pthread_mutex_lock(&lock);
    if (!atomic_load(&ready)) {
        for (int i = 0; i < HM_ROWS; i++) row_load(i);
        atomic_store_explicit(&ready, true, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return &settings;
}

void settings_forget(void)
{
    atomic_store(&ready, false);
    for (int i = 0; i < HM_ROWS; i++) {
        free(given[i]);
        given[i] = NULL;
    }
}

/* The name before "=" in `entry` of the environment, if it looks like a setting of ours but is none. */
static bool entry_unknown(const char *entry, char name[HM_NAME])
{
    if (strncmp(entry, HM_PREFIX, sizeof HM_PREFIX - 1) != 0) return false;
    snprintf(name, HM_NAME, "%.*s", (int)strcspn(entry, "="), entry);
    for (int i = 0; i < HM_ROWS; i++)
        if (strcmp(rows[i].name, name) == 0) return false;
    return true;
}

static void unknown_describe(const char *name, char *text, size_t size)
{
    const char *nearest = NULL;
    int best = HM_DISTANT;
    for (int i = 0; i < HM_ROWS; i++) {
        int distance = settings_name_distance(name, rows[i].name, HM_DISTANT - 1);
        if (distance < best) best = distance, nearest = rows[i].name;
    }
    snprintf(text, size, "%s is not a setting%s%s; HIERMOE_WARN_UNUSED=0 stops this message", name,
             nearest != NULL ? ", did you mean " : "", nearest != NULL ? nearest : "");
}

bool settings_complaint(int at, char *text, size_t size)
{
    extern char **environ;
    char name[HM_NAME];
    settings_get();
    for (int i = 0; i < HM_ROWS; i++) {
        if (!refused[i] || at-- > 0) continue;
        snprintf(text, size, "%s=%s is not understood, %s is used instead; accepted: %s", rows[i].name, given[i],
                 row_fallback(&rows[i]), rows[i].accepted);
        return true;
    }
    for (char **entry = settings.warn_unused ? environ : NULL; entry != NULL && *entry != NULL; entry++) {
        if (!entry_unknown(*entry, name) || at-- > 0) continue;
        unknown_describe(name, text, size);
        return true;
    }
    return false;
}

/* Another thread of the parent may have held the lock. */
static void settings_after_fork(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

__attribute__((constructor)) static void settings_fork_prepare(void)
{
    static hm_fork_handler_t handler = {.run = settings_after_fork};
    fork_handler_add(&handler);
}

/* Hashes values, not text: 64K and 65536 are the same setting. */
uint64_t settings_hash(void)
{
    static const size_t widths[] = {[HM_KIND_choice] = sizeof(hm_choice_t),
                                    [HM_KIND_mode] = sizeof(hm_mode_t),
                                    [HM_KIND_number] = sizeof(hm_number_t),
                                    [HM_KIND_size] = sizeof(hm_size_t),
                                    [HM_KIND_flag] = sizeof(hm_flag_t)};
    uint64_t hash = HM_BYTES_HASH_START;
    const hm_settings_t *now = settings_get();
    for (int i = 0; i < HM_ROWS; i++) {
        const char *field = (const char *)now + rows[i].offset;
        if (!rows[i].same) continue;
        hash = bytes_hash(hash, rows[i].name, strlen(rows[i].name) + 1);
        if (rows[i].kind == HM_KIND_text) {
            const char *text = *(const hm_text_t *)field;
            hash = bytes_hash(hash, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 1);
        } else {
            hash = bytes_hash(hash, field, widths[rows[i].kind]);
        }
    }
    return hash;
}
