#define _GNU_SOURCE
#include "overlap_text.h"

#include "wires/profile_words.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#define NUMBERS_MOST 3

typedef struct number {
    const char *name;
    double most;
} number_t;

/* What follows each key; the numbers lie in a row from `at` on. The first line has a whole number. */
static const struct {
    const char *key;
    size_t at;
    bool needed;
    number_t number[NUMBERS_MOST + 1];
} lines[] = {
    {"overlap_layers", offsetof(hm_overlap_text_t, layers), true, {{"the number of MoE layers", HM_STEP_LAYERS}}},
    {"overlap_dispatch", offsetof(hm_overlap_text_t, dispatch_bytes), true, {{"bytes", 1e15}}},
    {"overlap_gather",
     offsetof(hm_overlap_text_t, gather),
     false,
     {{"alpha in ms", 1e6}, {"ms per byte", 1}, {"bytes", 1e15}}},
    {"overlap_experts",
     offsetof(hm_overlap_text_t, experts),
     true,
     {{"alpha in ms", 1e6}, {"ms per multiply-add", 1}, {"multiply-adds", 1e18}}},
    {"overlap_scatter",
     offsetof(hm_overlap_text_t, scatter),
     false,
     {{"alpha in ms", 1e6}, {"ms per byte", 1}, {"bytes", 1e15}}},
    {"overlap_reduction",
     offsetof(hm_overlap_text_t, reduction),
     false,
     {{"alpha in ms", 1e6}, {"ms per byte", 1}, {"bytes", 1e15}}},
    {"overlap_dense", offsetof(hm_overlap_text_t, dense_ms), false, {{"ms forward", 1e6}, {"ms backward", 1e6}}},
};

#define LINES (sizeof(lines) / sizeof(lines[0]))

static int layers_read(hm_words_t *words, const number_t *number, double *value)
{
    long layers;
    int rc = words_whole(words, number->name, 1, (long)number->most, &layers);
    if (rc == 0) *value = (double)layers;
    return rc;
}

static int numbers_read(hm_words_t *words, size_t which, double *value)
{
    int rc = 0;
    for (const number_t *number = lines[which].number; number->name != NULL && rc == 0; number++, value++) {
        rc = which == 0 ? layers_read(words, number, value) : words_number(words, number->name, number->most, value);
        if (rc == 0) *value += 0.0; /* no -0, which would not be written alike */
    }
    return rc != 0 ? rc : words_finish(words, lines[which].key);
}

/* Lines of others are passed over. */
static int line_read(hm_words_t *words, hm_overlap_text_t *overlap, unsigned *seen)
{
    char show[32];
    size_t length, which = 0;
    const char *key = words_next(words, &length);
    if (length < strlen("overlap_") || memcmp(key, "overlap_", strlen("overlap_")) != 0) return 0;
    while (which < LINES && !words_equal(key, length, lines[which].key)) which++;
    if (which == LINES)
        return words_fail(
            words, "\"%s\": expected overlap_ and layers, dispatch, gather, experts, scatter, reduction or dense",
            words_show(key, length, show));
    if (*seen >> which & 1) return words_fail(words, "a second \"%s\"", lines[which].key);
    *seen |= 1u << which;
    return numbers_read(words, which, (double *)((char *)overlap + lines[which].at));
}

int overlap_parse(const char *text, size_t length, hm_overlap_text_t *overlap, hm_parse_error_t *error)
{
    hm_words_t words = {.at = text, .end = text + length, .error = error};
    hm_overlap_text_t read = {.layers = 0};
    unsigned seen = 0;
    int rc = 0;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* others may write 0,5 */
    if (plain == (locale_t)0) return words_fail(&words, "out of memory");
    locale_t before = uselocale(plain);
    while (rc == 0 && words_line(&words)) rc = line_read(&words, &read, &seen);
    uselocale(before);
    freelocale(plain);
    if (rc != 0) return rc;
    if (seen == 0) return -ENOENT;
    for (size_t i = 0; i < LINES; i++)
        if (lines[i].needed && !(seen >> i & 1))
            return words_fail(&words, "the text ends without \"%s\"", lines[i].key);
    *overlap = read;
    return 0;
}

int overlap_write(const hm_overlap_text_t *overlap, char *text, size_t size, size_t *length)
{
    size_t used = 0;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return -ENOMEM;
    locale_t before = uselocale(plain);
    for (size_t i = 0; i < LINES; i++) {
        const double *value = (const double *)((const char *)overlap + lines[i].at);
        used += (size_t)snprintf(used < size ? text + used : NULL, used < size ? size - used : 0, "%s", lines[i].key);
        for (const number_t *number = lines[i].number; number->name != NULL; number++, value++)
            used += (size_t)snprintf(used < size ? text + used : NULL, used < size ? size - used : 0, " %.17g%s",
                                     *value, number[1].name == NULL ? "\n" : "");
    }
    uselocale(before);
    freelocale(plain);
    *length = used;
    return used < size ? 0 : -ENOSPC;
}
