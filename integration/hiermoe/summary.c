#define _GNU_SOURCE
#include "summary.h"

#include "command.h"

#include <glob.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pattern for glob(): what the library fills in is anything, all else stands for itself. NULL: out of memory. */
static char *glob_pattern(const char *pattern)
{
    char *text = malloc(2 * strlen(pattern) + 1), *to = text;
    if (text == NULL) return NULL;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '%' && pattern[1] != '\0') {
            *to++ = *++pattern == '%' ? '%' : '*';
            continue;
        }
        if (strchr("*?[\\", *pattern) != NULL) *to++ = '\\';
        *to++ = *pattern;
    }
    *to = '\0';
    return text;
}

static double number_of(const json_t *line, const char *key)
{
    return json_number_value(json_object_get(line, key));
}

/* Later lines of a communicator take the place of earlier ones. */
static void line_keep(json_t *lines, const char *text, double since)
{
    char key[512];
    json_t *line = json_loads(text, 0, NULL);
    const char *host = json_string_value(json_object_get(line, "host"));
    if (host == NULL || number_of(line, "time") < since) {
        json_decref(line);
        return;
    }
    snprintf(key, sizeof key, "%.400s %.0f %.0f", host, number_of(line, "pid"), number_of(line, "communicator"));
    json_object_set_new(lines, key, line);
}

static void file_read_lines(json_t *lines, const char *path, double since)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    while (getline(&text, &size, file) > 0) line_keep(lines, text, since);
    free(text);
    fclose(file);
}

json_t *summary_read(const char *pattern, double since)
{
    json_t *lines = json_object();
    char *files = glob_pattern(pattern);
    glob_t found = {.gl_pathc = 0};
    if (lines != NULL && files != NULL && glob(files, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) file_read_lines(lines, found.gl_pathv[i], since);
    globfree(&found);
    free(files);
    return lines;
}

/* Sums over all ranks. */
typedef struct hm_sums {
    json_t *ranks, *hosts, *left; /* objects: processes and hosts that were seen, calls by reason */
    double size, replaced, left_alone, raw, sent, saved;
    double depth[16];
} hm_sums_t;

static void line_add(hm_sums_t *sums, const json_t *line)
{
    const char *host = json_string_value(json_object_get(line, "host")), *reason;
    const json_t *depth = json_object_get(line, "depth");
    json_t *count;
    char rank[512];
    if (number_of(line, "ranks") < 2) return;
    snprintf(rank, sizeof rank, "%.400s %.0f", host, number_of(line, "pid"));
    json_object_set_new(sums->ranks, rank, json_true());
    json_object_set_new(sums->hosts, host, json_true());
    sums->size = fmax(sums->size, number_of(line, "ranks"));
    sums->replaced += number_of(line, "replaced");
    sums->raw += number_of(line, "bytes_raw");
    sums->sent += number_of(line, "bytes_sent");
    sums->saved += number_of(line, "rank") == 0 ? number_of(line, "predicted_saved_ms") : 0;
    for (size_t i = 0; i < json_array_size(depth) && i < 16; i++)
        sums->depth[i] += json_number_value(json_array_get(depth, i));
    json_object_foreach(json_object_get(line, "left"), reason, count)
    {
        double more = json_number_value(count);
        sums->left_alone += more;
        json_object_set_new(sums->left, reason, json_real(number_of(sums->left, reason) + more));
    }
}

/* The reason with most calls, taken out of the list; NULL: none is left. */
static const char *reason_next(json_t *left, double *calls)
{
    const char *reason, *most = NULL;
    json_t *count;
    *calls = 0;
    json_object_foreach(left, reason, count) if (json_number_value(count) > *calls) most = reason,
                                                                                    *calls = json_number_value(count);
    if (most == NULL) return NULL;
    static char name[64];
    snprintf(name, sizeof name, "%s", most);
    json_object_del(left, name);
    return name;
}

static void bytes_print(double bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    int unit = 0;
    for (; bytes >= 1000 && unit < 5; unit++) bytes /= 1000;
    fprintf(stderr, unit == 0 ? "%.0f %s" : "%.2f %s", bytes, units[unit]);
}

static void sums_say(hm_sums_t *sums)
{
    size_t ranks = json_object_size(sums->ranks), hosts = json_object_size(sums->hosts);
    int deepest = 0;
    double calls;
    fprintf(stderr,
            "hiermoe: %zu of %.0f ranks seen, on %zu host%s; all-to-alls of a rank: %.0f replaced, %.0f left alone",
            ranks, sums->size, hosts, hosts == 1 ? "" : "s", sums->replaced / (double)ranks,
            sums->left_alone / (double)ranks);
    for (int i = 0; i < 3; i++) {
        const char *reason = reason_next(sums->left, &calls);
        if (reason == NULL) break;
        fprintf(stderr, "%s%s %.0f", i == 0 ? " (" : ", ", reason, calls / (double)ranks);
        if (i == 2 || json_object_size(sums->left) == 0)
            fputs(json_object_size(sums->left) > 0 ? ", ...)" : ")", stderr);
    }
    fputc('\n', stderr);
    if (sums->replaced <= 0) return;
    fputs("hiermoe: replaced ones sent ", stderr);
    bytes_print(sums->sent);
    fputs(" between ranks where NCCL sends ", stderr);
    bytes_print(sums->raw);
    for (int i = 0; i < 16; i++)
        if (sums->depth[i] > sums->depth[deepest]) deepest = i;
    fprintf(stderr, "; most at depth %d", deepest);
    if (sums->saved > 0) fprintf(stderr, "; %.3g s saved, as the profile predicts", sums->saved * 1e-3);
    fputc('\n', stderr);
}

void summary_say(const json_t *lines, bool killed)
{
    hm_sums_t sums = {.ranks = json_object(), .hosts = json_object(), .left = json_object()};
    const char *key;
    json_t *line;
    json_object_foreach((json_t *)lines, key, line) line_add(&sums, line);
    if (json_object_size(sums.ranks) > 0)
        sums_say(&sums);
    else if (killed)
        fputs("hiermoe: a signal ended the job before its ranks left statistics, which they do at the end and every "
              "HIERMOE_STATS_INTERVAL seconds\n",
              stderr);
    else
        fputs("hiermoe: the library saw no communicator of several ranks: the job made none, its environment did not "
              "reach the ranks,\nhiermoe: or its calls go past the library (NCCL linked statically, RTLD_DEEPBIND, "
              "-Bsymbolic, dlsym): hiermoe info --check -- COMMAND\n",
              stderr);
    json_decref(sums.ranks);
    json_decref(sums.hosts);
    json_decref(sums.left);
}
