/* What is wrong with the environment and the settings files. */
#define _GNU_SOURCE
#include "conf.h"
#include "settings.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HM_PREFIX "HIERMOE_"
#define HM_NAME 64   /* longer names are cut before they are compared */
#define HM_DISTANT 4 /* a name with so many wrong letters is not taken for another one */

static void refused_describe(const hm_settings_view_t *view, char *text, size_t size)
{
    char place[4200] = "";
    if (view->path != NULL) snprintf(place, sizeof place, "%s, line %d: ", view->path, view->line);
    snprintf(text, size, "%s%s=%s is not understood, %s is used instead; accepted: %s", place, view->name, view->given,
             view->value, view->accepted);
}

static bool name_known(const char *name)
{
    hm_settings_view_t view;
    for (int i = 0; settings_view(i, &view); i++)
        if (strcmp(view.name, name) == 0) return true;
    return false;
}

const char *settings_name_nearest(const char *name)
{
    hm_settings_view_t view;
    const char *nearest = NULL;
    int best = HM_DISTANT;
    for (int i = 0; settings_view(i, &view); i++) {
        int distance = settings_name_distance(name, view.name, HM_DISTANT - 1);
        if (distance < best) best = distance, nearest = view.name;
    }
    return nearest;
}

/* The name before "=" in `entry` of the environment, if it looks like a setting of ours but is none. */
static bool entry_unknown(const char *entry, char name[HM_NAME])
{
    if (strncmp(entry, HM_PREFIX, sizeof HM_PREFIX - 1) != 0) return false;
    snprintf(name, HM_NAME, "%.*s", (int)strcspn(entry, "="), entry);
    return !name_known(name);
}

static void unknown_describe(const char *place, const char *name, char *text, size_t size)
{
    const char *nearest = settings_name_nearest(name);
    snprintf(text, size, "%s%s is not a setting%s%s; HIERMOE_WARN_UNUSED=0 stops this message", place, name,
             nearest != NULL ? ", did you mean " : "", nearest != NULL ? nearest : "");
}

/* false: there is nothing to say of this line. */
static bool line_describe(const hm_conf_line_t *line, char *text, size_t size)
{
    char place[4200], name[HM_NAME];
    snprintf(place, sizeof place, "%s, line %d: ", line->path, line->number);
    snprintf(name, sizeof name, "%.*s", line->name_length, line->name);
    if (line->value_length < 0 || line->name_length == 0)
        snprintf(text, size, "%sexpected NAME=VALUE or a comment that begins with #, got \"%s\"", place, name);
    else if (strcmp(name, HM_SETTINGS_CONF) == 0)
        snprintf(text, size, "%s" HM_SETTINGS_CONF " counts in the environment only", place);
    else if (!name_known(name) && settings_get()->warn_unused)
        unknown_describe(place, name, text, size);
    else
        return false;
    return true;
}

bool settings_complaint(int at, char *text, size_t size)
{
    hm_settings_view_t view;
    hm_conf_line_t line = {0};
    char name[HM_NAME];
    bool unused = settings_get()->warn_unused;
    for (int i = 0; settings_view(i, &view); i++) {
        if (!view.refused || at-- > 0) continue;
        refused_describe(&view, text, size);
        return true;
    }
    for (int i = 0; i < HM_CONFS; i++)
        if (conf_complaint(i, text, size) && at-- == 0) return true;
    while (conf_next(&line))
        if (line_describe(&line, text, size) && at-- == 0) return true;
    for (char **entry = unused ? environ : NULL; entry != NULL && *entry != NULL; entry++) {
        if (!entry_unknown(*entry, name) || at-- > 0) continue;
        unknown_describe("", name, text, size);
        return true;
    }
    return false;
}
