#define _GNU_SOURCE
#include "settings.h"

#include "bytes.h"
#include "conf.h"
#include "fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct hm_row {
    const char *name, *standard, *accepted, *help;
    hm_kind_t kind;
    size_t offset;
    bool same;
} hm_row_t;

static const hm_row_t rows[] = {
#define HM_SETTING(field, variable, kind, standard, accepted, same, help) \
    {variable, standard, accepted, help, HM_KIND_##kind, offsetof(hm_settings_t, field), same},
#include "settings.def"
};
#define HM_ROWS (int)(sizeof rows / sizeof rows[0])

typedef struct hm_given {
    char *text;       /* what the user wrote; NULL: nothing */
    const char *path; /* of the file that it stands in; NULL: the environment */
    int line;
    bool refused; /* not understood */
} hm_given_t;

static hm_settings_t settings;
static hm_given_t given[HM_ROWS];
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

/* A copy: the job may change its environment. Without memory the default must do. */
static hm_given_t row_given(const hm_row_t *row)
{
    const char *value = getenv(row->name);
    hm_conf_line_t line;
    if (value != NULL && *value != '\0') return (hm_given_t){.text = strdup(value)};
    if (strcmp(row->name, HM_SETTINGS_CONF) == 0 || !conf_find(row->name, &line)) return (hm_given_t){.text = NULL};
    return (hm_given_t){.text = strndup(line.value, (size_t)line.value_length), .path = line.path, .line = line.number};
}

static void row_load(int at)
{
    const hm_row_t *row = &rows[at];
    given[at] = row_given(row);
    row_parse(row, row->standard);
    given[at].refused = given[at].text != NULL && !row_parse(row, given[at].text);
    if (given[at].refused) row_parse(row, row_fallback(row));
}

const hm_settings_t *settings_get(void)
{
    if (atomic_load_explicit(&ready, memory_order_acquire)) return &settings;
    pthread_mutex_lock(&lock);
    if (!atomic_load(&ready)) {
        conf_load();
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
        free(given[i].text);
        given[i] = (hm_given_t){.text = NULL};
    }
}

bool settings_view(int at, hm_settings_view_t *view)
{
    if (at < 0 || at >= HM_ROWS) return false;
    const hm_row_t *row = &rows[at];
    const hm_given_t *own = &given[at];
    settings_get();
    *view = (hm_settings_view_t){.name = row->name,
                                 .standard = row->standard,
                                 .accepted = row->accepted,
                                 .help = row->help,
                                 .same = row->same,
                                 .given = own->text,
                                 .value = own->text == NULL ? row->standard
                                          : own->refused    ? row_fallback(row)
                                                            : own->text,
                                 .path = own->path,
                                 .line = own->line,
                                 .refused = own->refused};
    return true;
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
    static const size_t widths[] = {[HM_KIND_choice] = sizeof(hm_choice_t), [HM_KIND_mode] = sizeof(hm_mode_t),
                                    [HM_KIND_number] = sizeof(hm_number_t), [HM_KIND_size] = sizeof(hm_size_t),
                                    [HM_KIND_flag] = sizeof(hm_flag_t),     [HM_KIND_list] = sizeof(hm_list_t)};
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
