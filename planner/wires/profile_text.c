/* The text form of a profile:
 *
 *     hiermoe-profile 1
 *     name a6000-4x8                          name, device, versions, transport: text to the end of the line
 *     groups 4 8 16 32                        U[1] ... U[D], the last is the number of ranks; before any link
 *     intra 0 7.22e-01 5.7e-07 0.999997 24    level, alpha in ms, beta in ms per byte, r2 (- if not fitted), samples,
 *                                             where there are any, bytes that pass before beta counts, and bytes from
 *                                             which on so many ms per byte come on top
 *     inter 1 ...                             all of intra 0..D-1 and inter 1..D-1
 *     alone 1 3.1e-07                         level, beta in ms per byte with one rank of a group; may be left out
 *     few 1 4.2e-07                           the same with every other group sending
 *     agree_ms 0.05                           agree_ms, identify_ms_per_byte, pack_ms_per_byte: 0 where left out
 */
#define _GNU_SOURCE
#include "profile.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE_MAGIC "hiermoe-profile 1"
#define PROFILE_MAX_RANKS (1 << 20)
#define LINK_FIELDS "level, alpha in ms, beta in ms per byte, r2 or -, samples"

typedef struct reader {
    const char *at, *end;        /* rest of the text */
    const char *word, *line_end; /* rest of the line, comment and blanks cut off */
    hm_profile_t profile;
    hm_parse_error_t *error;
    int line;
    unsigned texts, numbers, intra, inter, betas[2]; /* bits of what has been seen */
} reader_t;

static const struct {
    const char *key;
    size_t at;
} texts[] = {
    {"name", offsetof(hm_profile_t, name)},
    {"device", offsetof(hm_profile_t, device)},
    {"versions", offsetof(hm_profile_t, versions)},
    {"transport", offsetof(hm_profile_t, transport)},
};

static const struct {
    const char *key;
    size_t at;
} numbers[] = {
    {"agree_ms", offsetof(hm_profile_t, agree_ms)},
    {"identify_ms_per_byte", offsetof(hm_profile_t, identify_ms)},
    {"pack_ms_per_byte", offsetof(hm_profile_t, pack_ms)},
};

/* Of levels, where only some ranks send. */
static const struct {
    const char *key;
    size_t at;
} betas[] = {
    {"alone", offsetof(hm_profile_t, alone_ms)},
    {"few", offsetof(hm_profile_t, few_ms)},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

__attribute__((format(printf, 2, 3))) static int reader_fail(reader_t *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    reader->error->line = reader->line;
    vsnprintf(reader->error->text, sizeof(reader->error->text), format, args);
    va_end(args);
    return -EINVAL;
}

/* Bytes of a word as a message may show them: cut short, nothing unprintable. */
static const char *shown(const char *word, size_t length, char text[32])
{
    size_t n = length < 24 ? length : 24;
    for (size_t i = 0; i < n; i++) text[i] = word[i] >= ' ' && word[i] <= '~' ? word[i] : '?';
    snprintf(text + n, 32 - n, "%s", length > n ? "..." : "");
    return text;
}

static int reader_line(reader_t *reader)
{
    while (reader->at < reader->end) {
        const char *start = reader->at;
        const char *newline = memchr(start, '\n', (size_t)(reader->end - start));
        const char *stop = newline != NULL ? newline : reader->end;
        reader->at = newline != NULL ? newline + 1 : reader->end;
        reader->line++;
        const char *comment = memchr(start, '#', (size_t)(stop - start));
        if (comment != NULL) stop = comment;
        while (start < stop && (*start == ' ' || *start == '\t')) start++;
        while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r')) stop--;
        if (start == stop) continue;
        reader->word = start;
        reader->line_end = stop;
        return 1;
    }
    return 0;
}

/* The next word of the line; length 0 at its end. */
static const char *reader_word(reader_t *reader, size_t *length)
{
    const char *start = reader->word;
    while (start < reader->line_end && (*start == ' ' || *start == '\t')) start++;
    const char *stop = start;
    while (stop < reader->line_end && *stop != ' ' && *stop != '\t') stop++;
    reader->word = stop;
    *length = (size_t)(stop - start);
    return start;
}

static int word_is(const char *word, size_t length, const char *key)
{
    return strlen(key) == length && memcmp(word, key, length) == 0;
}

/* A plain decimal number: no hexadecimal, inf or nan. The caller has set the C locale. */
static int reader_between(reader_t *reader, const char *what, double least, double most, double *value)
{
    char text[48], show[32], *end;
    size_t length;
    const char *word = reader_word(reader, &length);
    if (length == 0) return reader_fail(reader, "the line ends where %s was expected", what);
    if (length < sizeof(text)) {
        memcpy(text, word, length);
        text[length] = '\0';
        double number = strtod(text, &end);
        int plain = strspn(text, "0123456789.eE+-") == length;
        if (plain && end == text + length && number >= least && number <= most) {
            *value = number;
            return 0;
        }
    }
    return reader_fail(reader, "\"%s\": expected %s, a number from %g to %g", shown(word, length, show), what, least,
                       most);
}

static int reader_number(reader_t *reader, const char *what, double most, double *value)
{
    return reader_between(reader, what, 0, most, value);
}

static int reader_whole(reader_t *reader, const char *what, long least, long most, long *value)
{
    char show[32];
    size_t length;
    const char *word = reader_word(reader, &length);
    long number = 0;
    size_t i = 0;
    if (length == 0) return reader_fail(reader, "the line ends where %s was expected", what);
    for (; i < length && word[i] >= '0' && word[i] <= '9' && number <= most; i++)
        number = number * 10 + (word[i] - '0');
    if (i == length && number >= least && number <= most) {
        *value = number;
        return 0;
    }
    return reader_fail(reader, "\"%s\": expected %s, a whole number from %ld to %ld", shown(word, length, show), what,
                       least, most);
}

static int reader_finish(reader_t *reader, const char *after)
{
    char show[32];
    size_t length;
    const char *word = reader_word(reader, &length);
    if (length == 0) return 0;
    return reader_fail(reader, "\"%s\" is too much: expected nothing after %s", shown(word, length, show), after);
}

static int reader_text(reader_t *reader, size_t which)
{
    size_t length;
    const char *word = reader_word(reader, &length);
    char *text = (char *)&reader->profile + texts[which].at;
    if (reader->texts >> which & 1) return reader_fail(reader, "a second \"%s\"", texts[which].key);
    length = (size_t)(reader->line_end - word);
    if (length == 0 || length >= HM_PROFILE_TEXT)
        return reader_fail(reader, "%s: expected a text of 1 to %d characters", texts[which].key, HM_PROFILE_TEXT - 1);
    for (size_t i = 0; i < length; i++)
        if (word[i] < ' ' || word[i] > '~')
            return reader_fail(reader, "%s: expected printable ASCII characters only", texts[which].key);
    memcpy(text, word, length);
    text[length] = '\0';
    reader->texts |= 1u << which;
    return 0;
}

static int reader_groups(reader_t *reader)
{
    long groups;
    hm_profile_t *profile = &reader->profile;
    if (profile->levels > 0) return reader_fail(reader, "a second \"groups\"");
    profile->groups[0] = 1;
    do {
        if (profile->levels == HM_MAX_LEVELS)
            return reader_fail(reader, "too many levels: expected at most %d", HM_MAX_LEVELS);
        long least = profile->levels == 0 ? 1 : profile->groups[profile->levels] + 1;
        int rc = reader_whole(reader, "a number of groups, more than at the level before", least, PROFILE_MAX_RANKS,
                              &groups);
        if (rc != 0) return rc;
        profile->groups[++profile->levels] = (int)groups;
    } while (reader->word < reader->line_end);
    return 0;
}

/* What may follow the samples. */
static int reader_bends(reader_t *reader, hm_link_t *link)
{
    link->free_bytes = link->turn_bytes = link->turn_ms = 0;
    if (reader->word == reader->line_end) return 0;
    int rc = reader_number(reader, "free bytes", 1e15, &link->free_bytes);
    if (rc != 0 || reader->word == reader->line_end) return rc;
    rc = reader_number(reader, "bytes before the turn", 1e15, &link->turn_bytes);
    if (rc == 0 && link->turn_bytes < link->free_bytes) /* with a turn downwards, times below 0 */
        return reader_fail(reader, "bytes before the turn: expected no less than the free bytes");
    if (rc == 0) rc = reader_between(reader, "ms per byte from the turn on", -link->beta_ms, 1, &link->turn_ms);
    link->turn_ms += 0.0; /* no -0, which is not written */
    return rc != 0 ? rc : reader_finish(reader, "the ms per byte from the turn on");
}

static int reader_link(reader_t *reader, int inter)
{
    long level, samples;
    size_t length;
    hm_link_t link;
    hm_profile_t *profile = &reader->profile;
    unsigned *seen = inter ? &reader->inter : &reader->intra;
    const char *kind = inter ? "inter" : "intra";
    if (profile->levels == 0) return reader_fail(reader, "\"%s\" before \"groups\": expected the groups first", kind);
    if (inter && profile->levels == 1) return reader_fail(reader, "\"inter\": a cluster of one level has no such link");
    int rc = reader_whole(reader, "a level (" LINK_FIELDS ")", inter, profile->levels - 1, &level);
    if (rc != 0) return rc;
    if (*seen >> level & 1) return reader_fail(reader, "a second \"%s %ld\"", kind, level);
    rc = reader_number(reader, "alpha in ms (" LINK_FIELDS ")", 1e6, &link.alpha_ms);
    if (rc == 0) rc = reader_number(reader, "beta in ms per byte (" LINK_FIELDS ")", 1, &link.beta_ms);
    if (rc != 0) return rc;
    const char *before = reader->word, *word = reader_word(reader, &length);
    link.r2 = NAN;
    if (!word_is(word, length, "-")) {
        reader->word = before;
        rc = reader_number(reader, "r2 or - (" LINK_FIELDS ")", 1, &link.r2);
    }
    if (rc == 0) rc = reader_whole(reader, "samples (" LINK_FIELDS ")", 0, INT32_MAX, &samples);
    if (rc == 0) rc = reader_bends(reader, &link);
    if (rc != 0) return rc;
    link.samples = (uint32_t)samples;
    *(inter ? &profile->inter[level] : &profile->intra[level]) = link;
    *seen |= 1u << level;
    return 0;
}

static int reader_beta(reader_t *reader, size_t which)
{
    long level;
    const char *key = betas[which].key;
    double *beta = (double *)((char *)&reader->profile + betas[which].at);
    if (reader->profile.levels < 2)
        return reader_fail(reader, "\"%s\": expected \"groups\" of two levels or more first", key);
    int rc = reader_whole(reader, "a level (level, beta in ms per byte)", 1, reader->profile.levels - 1, &level);
    if (rc != 0) return rc;
    if (reader->betas[which] >> level & 1) return reader_fail(reader, "a second \"%s %ld\"", key, level);
    reader->betas[which] |= 1u << level;
    rc = reader_number(reader, "beta in ms per byte", 1, &beta[level]);
    return rc != 0 ? rc : reader_finish(reader, "the number");
}

static int reader_item(reader_t *reader)
{
    char show[32];
    size_t length;
    const char *key = reader_word(reader, &length);
    for (size_t i = 0; i < COUNT(texts); i++)
        if (word_is(key, length, texts[i].key)) return reader_text(reader, i);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (!word_is(key, length, numbers[i].key)) continue;
        if (reader->numbers >> i & 1) return reader_fail(reader, "a second \"%s\"", numbers[i].key);
        reader->numbers |= 1u << i;
        int rc = reader_number(reader, numbers[i].key, 1e6, (double *)((char *)&reader->profile + numbers[i].at));
        return rc != 0 ? rc : reader_finish(reader, "the number");
    }
    if (word_is(key, length, "groups")) return reader_groups(reader);
    if (word_is(key, length, "intra")) return reader_link(reader, 0);
    if (word_is(key, length, "inter")) return reader_link(reader, 1);
    for (size_t i = 0; i < COUNT(betas); i++)
        if (word_is(key, length, betas[i].key)) return reader_beta(reader, i);
    return reader_fail(
        reader,
        "\"%s\": expected name, device, versions, transport, groups, intra, inter, alone, few, agree_ms, "
        "identify_ms_per_byte or pack_ms_per_byte",
        shown(key, length, show));
}

static int reader_complete(reader_t *reader)
{
    const hm_profile_t *profile = &reader->profile;
    for (size_t i = 0; i < COUNT(texts); i++)
        if (!(reader->texts >> i & 1)) return reader_fail(reader, "the text ends without \"%s\"", texts[i].key);
    if (profile->levels == 0) return reader_fail(reader, "the text ends without \"groups\"");
    for (int l = 0; l < profile->levels; l++) {
        if (!(reader->intra >> l & 1)) return reader_fail(reader, "the text ends without \"intra %d\"", l);
        if (l > 0 && !(reader->inter >> l & 1)) return reader_fail(reader, "the text ends without \"inter %d\"", l);
    }
    return 0;
}

int profile_parse(const char *text, size_t length, hm_profile_t *profile, hm_parse_error_t *error)
{
    reader_t reader = {.at = text, .end = text + length, .error = error, .line = 0};
    if (!reader_line(&reader) || !word_is(reader.word, (size_t)(reader.line_end - reader.word), PROFILE_MAGIC)) {
        if (reader.line == 0) reader.line = 1;
        return reader_fail(&reader, "expected \"" PROFILE_MAGIC "\" as the first line");
    }
    /* The job may run in a locale that writes 0,5. */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return reader_fail(&reader, "out of memory");
    locale_t before = uselocale(plain);
    int rc = 0;
    while (rc == 0 && reader_line(&reader)) rc = reader_item(&reader);
    if (rc == 0) rc = reader_complete(&reader);
    uselocale(before);
    freelocale(plain);
    if (rc == 0) *profile = reader.profile;
    return rc;
}

typedef struct writer {
    char *text;
    size_t size, length;
} writer_t;

__attribute__((format(printf, 2, 3))) static void writer_add(writer_t *writer, const char *format, ...)
{
    va_list args;
    size_t room = writer->length < writer->size ? writer->size - writer->length : 0;
    va_start(args, format);
    int n = vsnprintf(room > 0 ? writer->text + writer->length : NULL, room, format, args);
    va_end(args);
    if (n > 0) writer->length += (size_t)n;
}

static void writer_link(writer_t *writer, const char *kind, int level, const hm_link_t *link)
{
    writer_add(writer, "%s %d %.17g %.17g ", kind, level, link->alpha_ms, link->beta_ms);
    if (isnan(link->r2)) writer_add(writer, "- ");
    if (!isnan(link->r2)) writer_add(writer, "%.17g ", link->r2);
    writer_add(writer, "%lu", (unsigned long)(link->samples < INT32_MAX ? link->samples : INT32_MAX));
    if (link->free_bytes > 0 || link->turn_ms != 0) writer_add(writer, " %.17g", link->free_bytes);
    if (link->turn_ms != 0) writer_add(writer, " %.17g %.17g", link->turn_bytes, link->turn_ms);
    writer_add(writer, "\n");
}

int profile_write(const hm_profile_t *profile, char *text, size_t size, size_t *length)
{
    writer_t writer = {.text = text, .size = size};
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return -ENOMEM;
    locale_t before = uselocale(plain);
    writer_add(&writer, PROFILE_MAGIC "\n");
    for (size_t i = 0; i < COUNT(texts); i++)
        writer_add(&writer, "%s %s\n", texts[i].key, (const char *)profile + texts[i].at);
    writer_add(&writer, "groups");
    for (int l = 1; l <= profile->levels; l++) writer_add(&writer, " %d", profile->groups[l]);
    writer_add(&writer, "\n# level, alpha in ms, beta in ms per byte, r2, samples, free bytes, bytes before the turn, "
                        "ms per byte on top from there\n");
    for (int l = 0; l < profile->levels; l++) writer_link(&writer, "intra", l, &profile->intra[l]);
    for (int l = 1; l < profile->levels; l++) writer_link(&writer, "inter", l, &profile->inter[l]);
    for (size_t i = 0; i < COUNT(betas); i++)
        for (int l = 1; l < profile->levels; l++) {
            double beta = ((const double *)((const char *)profile + betas[i].at))[l];
            if (beta > 0) writer_add(&writer, "%s %d %.17g\n", betas[i].key, l, beta);
        }
    for (size_t i = 0; i < COUNT(numbers); i++)
        writer_add(&writer, "%s %.17g\n", numbers[i].key, *(const double *)((const char *)profile + numbers[i].at));
    uselocale(before);
    freelocale(plain);
    *length = writer.length;
    return writer.length < size ? 0 : -ENOSPC;
}
