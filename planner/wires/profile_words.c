#include "profile_words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int words_fail(hm_words_t *words, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    words->error->line = words->line;
    vsnprintf(words->error->text, sizeof words->error->text, format, args);
    va_end(args);
    return -EINVAL;
}

const char *words_show(const char *word, size_t length, char text[32])
{
    size_t n = length < 24 ? length : 24;
    for (size_t i = 0; i < n; i++) text[i] = word[i] >= ' ' && word[i] <= '~' ? word[i] : '?';
    snprintf(text + n, 32 - n, "%s", length > n ? "..." : "");
    return text;
}

bool words_line(hm_words_t *words)
{
    while (words->at < words->end) {
        const char *start = words->at;
        const char *newline = memchr(start, '\n', (size_t)(words->end - start));
        const char *stop = newline != NULL ? newline : words->end;
        words->at = newline != NULL ? newline + 1 : words->end;
        words->line++;
        const char *comment = memchr(start, '#', (size_t)(stop - start));
        if (comment != NULL) stop = comment;
        while (start < stop && (*start == ' ' || *start == '\t')) start++;
        while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r')) stop--;
        if (start == stop) continue;
        words->word = start;
        words->line_end = stop;
        return true;
    }
    return false;
}

const char *words_next(hm_words_t *words, size_t *length)
{
    const char *start = words->word;
    while (start < words->line_end && (*start == ' ' || *start == '\t')) start++;
    const char *stop = start;
    while (stop < words->line_end && *stop != ' ' && *stop != '\t') stop++;
    words->word = stop;
    *length = (size_t)(stop - start);
    return start;
}

bool words_equal(const char *word, size_t length, const char *key)
{
    return strlen(key) == length && memcmp(word, key, length) == 0;
}

/* No hexadecimal, inf or nan. */
int words_between(hm_words_t *words, const char *what, double least, double most, double *value)
{
    char text[48], show[32], *end;
    size_t length;
    const char *word = words_next(words, &length);
    if (length == 0) return words_fail(words, "the line ends where %s was expected", what);
    if (length < sizeof text) {
        memcpy(text, word, length);
        text[length] = '\0';
        double number = strtod(text, &end);
        int plain = strspn(text, "0123456789.eE+-") == length;
        if (plain && end == text + length && number >= least && number <= most) {
            *value = number;
            return 0;
        }
    }
    return words_fail(words, "\"%s\": expected %s, a number from %g to %g", words_show(word, length, show), what, least,
                      most);
}

int words_number(hm_words_t *words, const char *what, double most, double *value)
{
    return words_between(words, what, 0, most, value);
}

int words_whole(hm_words_t *words, const char *what, long least, long most, long *value)
{
    char show[32];
    size_t length;
    const char *word = words_next(words, &length);
    long number = 0;
    size_t i = 0;
    if (length == 0) return words_fail(words, "the line ends where %s was expected", what);
    for (; i < length && word[i] >= '0' && word[i] <= '9' && number <= most; i++)
        number = number * 10 + (word[i] - '0');
    if (i == length && number >= least && number <= most) {
        *value = number;
        return 0;
    }
    return words_fail(words, "\"%s\": expected %s, a whole number from %ld to %ld", words_show(word, length, show),
                      what, least, most);
}

int words_finish(hm_words_t *words, const char *after)
{
    char show[32];
    size_t length;
    const char *word = words_next(words, &length);
    if (length == 0) return 0;
    return words_fail(words, "\"%s\" is too much: expected nothing after %s", words_show(word, length, show), after);
}
