#define _GNU_SOURCE
#include "conf.h"

#include "file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef HM_CONF_MACHINE_PATH /* tests have another one */
#define HM_CONF_MACHINE_PATH "/etc/hiermoe.conf"
#endif
#define HM_CONF_BYTES 65536
#define HM_BLANKS " \t\r"

typedef struct hm_conf {
    char path[4096], *text; /* NULL: not read */
    int status;             /* a negative errno that is to be said */
} hm_conf_t;

static hm_conf_t confs[HM_CONFS];

/* named: by the user, who will want to know that there is no such file. */
static void conf_read(hm_conf_t *conf, bool named)
{
    size_t length;
    int status = file_read(conf->path, HM_CONF_BYTES, &conf->text, &length);
    char *fitting = status == 0 ? realloc(conf->text, length + 1) : NULL;
    if (fitting != NULL) conf->text = fitting;
    bool absent = status == -ENOENT || status == -ENOTDIR;
    conf->status = absent && !named ? 0 : status;
}

void conf_load(void)
{
    const char *named = getenv("HIERMOE_CONF_FILE"), *home = getenv("HOME");
    hm_conf_t *user = &confs[HM_CONF_USER], *machine = &confs[HM_CONF_MACHINE];
    int length = -1;
    for (int i = 0; i < HM_CONFS; i++) {
        free(confs[i].text);
        confs[i].text = NULL;
        confs[i].status = 0;
    }
    if (named != NULL && *named == '\0') named = NULL;
    if (named != NULL && strcmp(named, "none") == 0) return;
    if (named != NULL)
        length = snprintf(user->path, sizeof user->path, "%s", named);
    else if (home != NULL && *home == '/')
        length = snprintf(user->path, sizeof user->path, "%s/.hiermoe.conf", home);
    if (length >= (int)sizeof user->path)
        user->status = -ENAMETOOLONG;
    else if (length >= 0)
        conf_read(user, named != NULL);
    snprintf(machine->path, sizeof machine->path, "%s", HM_CONF_MACHINE_PATH);
    conf_read(machine, false);
}

/* Without the blanks around it. */
static const char *trim(const char *text, const char *end, int *length)
{
    while (text < end && strchr(HM_BLANKS, *text) != NULL) text++;
    while (end > text && strchr(HM_BLANKS, end[-1]) != NULL) end--;
    *length = (int)(end - text);
    return text;
}

static void line_split(const char *text, const char *end, hm_conf_line_t *line)
{
    const char *equals = memchr(text, '=', (size_t)(end - text));
    line->value_length = -1;
    line->name = trim(text, equals != NULL ? equals : end, &line->name_length);
    if (equals != NULL) line->value = trim(equals + 1, end, &line->value_length);
}

/* The first line of a file at or behind `at` that is not empty. */
static bool line_from(const hm_conf_t *conf, const char *at, int number, hm_conf_line_t *line)
{
    for (; *at != '\0'; number++) {
        const char *end = strchrnul(at, '\n');
        int length;
        const char *text = trim(at, end, &length);
        if (length > 0 && *text != '#') {
            *line = (hm_conf_line_t){.path = conf->path, .number = number};
            line_split(text, text + length, line);
            return true;
        }
        at = *end == '\0' ? end : end + 1;
    }
    return false;
}

bool conf_next(hm_conf_line_t *line)
{
    int file = 0;
    while (line->path != NULL && confs[file].path != line->path) file++;
    if (line->path != NULL) {
        const char *end = strchrnul(line->name, '\n');
        if (line_from(&confs[file], *end == '\0' ? end : end + 1, line->number + 1, line)) return true;
        file++;
    }
    for (; file < HM_CONFS; file++)
        if (confs[file].text != NULL && line_from(&confs[file], confs[file].text, 1, line)) return true;
    return false;
}

bool conf_find(const char *name, hm_conf_line_t *line)
{
    hm_conf_line_t at = {0};
    int length = (int)strlen(name);
    while (conf_next(&at)) {
        if (at.value_length <= 0 || at.name_length != length || memcmp(at.name, name, (size_t)length) != 0) continue;
        *line = at;
        return true;
    }
    return false;
}

bool conf_complaint(int file, char *text, size_t size)
{
    if (confs[file].status == 0) return false;
    snprintf(text, size, "settings are not read from %s: %s", confs[file].path, file_error(confs[file].status));
    return true;
}
