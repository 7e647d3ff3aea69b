#define _GNU_SOURCE
#include "settings.h"

#include "bytes.h"
#include "fork.h"
#include "log.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HM_PREFIX "HIERMOE_"

typedef enum hm_kind { HM_KIND_choice, HM_KIND_number, HM_KIND_size, HM_KIND_flag, HM_KIND_text } hm_kind_t;

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

static hm_settings_t settings;
static const char *texts[HM_ROWS]; /* the text each value came from */
static const char *sources[HM_ROWS];
static char *given[HM_ROWS]; /* what the user wrote, or NULL */
static bool refused[HM_ROWS];
static atomic_bool ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Place of `text` among the words of "a|b|c", letter case aside; -1 if it is none of them. */
static int word_find(const char *words, const char *text)
{
    size_t length = strlen(text);
    for (int at = 0; *words != '\0'; at++) {
        size_t word = strcspn(words, "|");
        if (word == length && strncasecmp(words, text, word) == 0) return at;
        words += word + (words[word] == '|');
    }
    return -1;
}

static bool flag_parse(const char *text, bool *value)
{
    static const char yes[] = "1|on|true|yes|y", no[] = "0|off|false|no|n";
    *value = word_find(yes, text) >= 0;
    return *value || word_find(no, text) >= 0;
}

/* Digits only: no sign, no blank, nothing behind but an optional unit. */
static bool unsigned_parse(const char *text, bool units, unsigned long long *value)
{
    char *end;
    if (isdigit((unsigned char)*text) == 0) return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    if (errno != 0) return false;
    int shift = 0;
    if (units && *end != '\0') {
        static const char all[] = "KMG";
        const char *unit = strchr(all, toupper((unsigned char)*end));
        if (unit == NULL) return false;
        shift = 10 * (int)(unit - all + 1);
        end++;
    }
    if (*end != '\0' || *value > SIZE_MAX >> shift) return false;
    *value <<= shift;
    return true;
}

/* accepted is "word|...|low..high": the range is what holds "..". */
static bool number_parse(const char *accepted, const char *text, long *value)
{
    const char *range = strrchr(accepted, '|');
    range = range != NULL ? range + 1 : accepted;
    unsigned long long number;
    if (isdigit((unsigned char)*text) == 0) {
        *value = -1;
        return word_find(accepted, text) >= 0;
    }
    if (!unsigned_parse(text, false, &number)) return false;
    unsigned long long low = strtoull(range, NULL, 10), high = strtoull(strstr(range, "..") + 2, NULL, 10);
    if (number < low || number > high) return false;
    *value = (long)number;
    return true;
}

static bool size_parse(const char *accepted, const char *text, size_t *value)
{
    unsigned long long number;
    if (strcasecmp(text, "auto") == 0 && strncmp(accepted, "auto|", 5) == 0) {
        *value = 0;
        return true;
    }
    if (!unsigned_parse(text, true, &number)) return false;
    *value = (size_t)number;
    return true;
}

/* Sets the field of `row` from text, which must stay. false: not understood, nothing set. */
static bool row_parse(const hm_row_t *row, const char *text, hm_settings_t *into)
{
    void *field = (char *)into + row->offset;
    union {
        hm_choice_t choice;
        hm_number_t number;
        hm_size_t size;
        hm_flag_t flag;
    } value;
    switch (row->kind) {
    case HM_KIND_choice:
        value.choice = word_find(row->accepted, text);
        if (value.choice < 0) return false;
        *(hm_choice_t *)field = value.choice;
        return true;
    case HM_KIND_number:
        if (!number_parse(row->accepted, text, &value.number)) return false;
        *(hm_number_t *)field = value.number;
        return true;
    case HM_KIND_size:
        if (!size_parse(row->accepted, text, &value.size)) return false;
        *(hm_size_t *)field = value.size;
        return true;
    case HM_KIND_flag:
        if (!flag_parse(text, &value.flag)) return false;
        *(hm_flag_t *)field = value.flag;
        return true;
    case HM_KIND_text:
        *(hm_text_t *)field = *text != '\0' ? text : NULL;
        return true;
    }
    return false;
}

static void row_load(int at)
{
    const hm_row_t *row = &rows[at];
    const char *value = getenv(row->name);
    /* A copy: the job may change its environment. Without memory the default must do. */
    given[at] = value != NULL && *value != '\0' ? strdup(value) : NULL;
    texts[at] = row->standard;
    sources[at] = "default";
    row_parse(row, row->standard, &settings);
    refused[at] = given[at] != NULL && !row_parse(row, given[at], &settings);
    if (refused[at]) {
        sources[at] = "default, bad value ignored";
    } else if (given[at] != NULL) {
        texts[at] = given[at];
        sources[at] = "environment";
    }
}

int settings_distance(const char *a, const char *b, int limit)
{
    size_t columns = strlen(b), above[64];
    if (columns >= 64) return limit + 1;
    for (size_t j = 0; j <= columns; j++) above[j] = j;
    for (size_t i = 1; *a != '\0'; a++, i++) {
        size_t diagonal = above[0];
        above[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t best = diagonal + (*a != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (above[j - 1] + 1 < best) best = above[j - 1] + 1;
            diagonal = above[j];
            above[j] = best;
        }
    }
    return above[columns] > (size_t)limit ? limit + 1 : (int)above[columns];
}

static void unknown_say(const char *entry)
{
    char name[64];
    size_t length = strcspn(entry, "=");
    if (length >= sizeof name) length = sizeof name - 1;
    memcpy(name, entry, length);
    name[length] = 0;
    const char *nearest = NULL;
    int best = 4;
    for (int i = 0; i < HM_ROWS; i++) {
        if (strcmp(rows[i].name, name) == 0) return;
        int distance = settings_distance(name, rows[i].name, 3);
        if (distance < best) best = distance, nearest = rows[i].name;
    }
    log_say(HM_LOG_WARN, NULL, "%s is not a setting%s%s; HIERMOE_WARN_UNUSED=0 stops this message", name,
            nearest != NULL ? ", did you mean " : "", nearest != NULL ? nearest : "");
}

static void findings_say(void)
{
    extern char **environ;
    for (int i = 0; i < HM_ROWS; i++)
        if (refused[i])
            log_say(HM_LOG_WARN, NULL, "%s=%s is not understood, %s is used instead; accepted: %s", rows[i].name,
                    given[i], rows[i].standard[0] != '\0' ? rows[i].standard : "nothing", rows[i].accepted);
    if (!settings.warn_unused || environ == NULL) return;
    for (char **entry = environ; *entry != NULL; entry++)
        if (strncmp(*entry, HM_PREFIX, sizeof HM_PREFIX - 1) == 0) unknown_say(*entry);
}

const hm_settings_t *settings_get(void)
{
    if (atomic_load_explicit(&ready, memory_order_acquire)) return &settings;
    pthread_mutex_lock(&lock);
    bool first = !atomic_load(&ready);
    if (first) {
        for (int i = 0; i < HM_ROWS; i++) row_load(i);
        atomic_store_explicit(&ready, true, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    if (first) findings_say();
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

bool settings_info(int index, hm_setting_info_t *info)
{
    if (index < 0 || index >= HM_ROWS) return false;
    settings_get();
    *info = (hm_setting_info_t){.name = rows[index].name,
                                .value = texts[index],
                                .source = sources[index],
                                .accepted = rows[index].accepted,
                                .help = rows[index].help,
                                .same = rows[index].same};
    return true;
}

/* Hashes values, not text: 64K and 65536 are the same setting. */
uint64_t settings_hash(void)
{
    static const size_t widths[] = {[HM_KIND_choice] = sizeof(hm_choice_t),
                                    [HM_KIND_number] = sizeof(hm_number_t),
                                    [HM_KIND_size] = sizeof(hm_size_t),
                                    [HM_KIND_flag] = sizeof(hm_flag_t)};
    uint64_t hash = BYTES_HASH_START;
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
