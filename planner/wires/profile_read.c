#define _GNU_SOURCE
#include "profile_text.h"
#include "profile_words.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#define PROFILE_MAX_RANKS (1 << 20)
#define LINK_FIELDS "level, alpha in ms, beta in ms per byte, r2 or -, samples"

typedef struct reader {
    hm_words_t words;
    hm_profile_t profile;
    unsigned texts, numbers, intra, inter, betas[2]; /* bits of what has been seen */
} reader_t;

static int reader_text(reader_t *reader, size_t which)
{
    size_t length;
    const char *word = words_next(&reader->words, &length);
    char *text = (char *)&reader->profile + hm_profile_texts[which].at;
    if (reader->texts >> which & 1) return words_fail(&reader->words, "a second \"%s\"", hm_profile_texts[which].key);
    length = (size_t)(reader->words.line_end - word);
    if (length == 0 || length >= HM_PROFILE_TEXT)
        return words_fail(&reader->words, "%s: expected a text of 1 to %d characters", hm_profile_texts[which].key,
                          HM_PROFILE_TEXT - 1);
    for (size_t i = 0; i < length; i++)
        if (word[i] < ' ' || word[i] > '~')
            return words_fail(&reader->words, "%s: expected printable ASCII characters only",
                              hm_profile_texts[which].key);
    memcpy(text, word, length);
    text[length] = '\0';
    reader->texts |= 1u << which;
    return 0;
}

static int reader_groups(reader_t *reader)
{
    long groups;
    hm_profile_t *profile = &reader->profile;
    if (profile->levels > 0) return words_fail(&reader->words, "a second \"groups\"");
    profile->groups[0] = 1;
    do {
        if (profile->levels == HM_MAX_LEVELS)
            return words_fail(&reader->words, "too many levels: expected at most %d", HM_MAX_LEVELS);
        long least = profile->levels == 0 ? 1 : profile->groups[profile->levels] + 1;
        int rc = words_whole(&reader->words, "a number of groups, more than at the level before", least,
                             PROFILE_MAX_RANKS, &groups);
        if (rc != 0) return rc;
        profile->groups[++profile->levels] = (int)groups;
    } while (reader->words.word < reader->words.line_end);
    return 0;
}

/* What may follow the samples. */
static int reader_bends(reader_t *reader, hm_link_t *link)
{
    link->free_bytes = link->turn_bytes = link->turn_ms = 0;
    if (reader->words.word == reader->words.line_end) return 0;
    int rc = words_number(&reader->words, "free bytes", 1e15, &link->free_bytes);
    if (rc != 0 || reader->words.word == reader->words.line_end) return rc;
    rc = words_number(&reader->words, "bytes before the turn", 1e15, &link->turn_bytes);
    if (rc == 0 && link->turn_bytes < link->free_bytes) /* with a turn downwards, times below 0 */
        return words_fail(&reader->words, "bytes before the turn: expected no less than the free bytes");
    if (rc == 0) rc = words_between(&reader->words, "ms per byte from the turn on", -link->beta_ms, 1, &link->turn_ms);
    link->turn_ms += 0.0; /* no -0, which is not written */
    return rc != 0 ? rc : words_finish(&reader->words, "the ms per byte from the turn on");
}

static int reader_link(reader_t *reader, int inter)
{
    long level, samples;
    size_t length;
    hm_link_t link;
    hm_profile_t *profile = &reader->profile;
    unsigned *seen = inter ? &reader->inter : &reader->intra;
    const char *kind = inter ? "inter" : "intra";
    if (profile->levels == 0)
        return words_fail(&reader->words, "\"%s\" before \"groups\": expected the groups first", kind);
    if (inter && profile->levels == 1)
        return words_fail(&reader->words, "\"inter\": a cluster of one level has no such link");
    int rc = words_whole(&reader->words, "a level (" LINK_FIELDS ")", inter, profile->levels - 1, &level);
    if (rc != 0) return rc;
    if (*seen >> level & 1) return words_fail(&reader->words, "a second \"%s %ld\"", kind, level);
    rc = words_number(&reader->words, "alpha in ms (" LINK_FIELDS ")", 1e6, &link.alpha_ms);
    if (rc == 0) rc = words_number(&reader->words, "beta in ms per byte (" LINK_FIELDS ")", 1, &link.beta_ms);
    if (rc != 0) return rc;
    const char *before = reader->words.word, *word = words_next(&reader->words, &length);
    link.r2 = NAN;
    if (!words_equal(word, length, "-")) {
        reader->words.word = before;
        rc = words_number(&reader->words, "r2 or - (" LINK_FIELDS ")", 1, &link.r2);
    }
    if (rc == 0) rc = words_whole(&reader->words, "samples (" LINK_FIELDS ")", 0, INT32_MAX, &samples);
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
    const char *key = hm_profile_betas[which].key;
    double *beta = (double *)((char *)&reader->profile + hm_profile_betas[which].at);
    if (reader->profile.levels < 2)
        return words_fail(&reader->words, "\"%s\": expected \"groups\" of two levels or more first", key);
    int rc = words_whole(&reader->words, "a level (level, beta in ms per byte)", 1, reader->profile.levels - 1, &level);
    if (rc != 0) return rc;
    if (reader->betas[which] >> level & 1) return words_fail(&reader->words, "a second \"%s %ld\"", key, level);
    reader->betas[which] |= 1u << level;
    rc = words_number(&reader->words, "beta in ms per byte", 1, &beta[level]);
    return rc != 0 ? rc : words_finish(&reader->words, "the number");
}

static int reader_item(reader_t *reader)
{
    char show[32];
    size_t length;
    const char *key = words_next(&reader->words, &length);
    for (size_t i = 0; i < HM_PROFILE_COUNT(hm_profile_texts); i++)
        if (words_equal(key, length, hm_profile_texts[i].key)) return reader_text(reader, i);
    for (size_t i = 0; i < HM_PROFILE_COUNT(hm_profile_numbers); i++) {
        if (!words_equal(key, length, hm_profile_numbers[i].key)) continue;
        if (reader->numbers >> i & 1) return words_fail(&reader->words, "a second \"%s\"", hm_profile_numbers[i].key);
        reader->numbers |= 1u << i;
        int rc = words_number(&reader->words, hm_profile_numbers[i].key, 1e6,
                              (double *)((char *)&reader->profile + hm_profile_numbers[i].at));
        return rc != 0 ? rc : words_finish(&reader->words, "the number");
    }
    if (length > 8 && memcmp(key, "overlap_", 8) == 0) return 0; /* overlap/overlap_text.h reads such lines */
    if (words_equal(key, length, "groups")) return reader_groups(reader);
    if (words_equal(key, length, "intra")) return reader_link(reader, 0);
    if (words_equal(key, length, "inter")) return reader_link(reader, 1);
    for (size_t i = 0; i < HM_PROFILE_COUNT(hm_profile_betas); i++)
        if (words_equal(key, length, hm_profile_betas[i].key)) return reader_beta(reader, i);
    return words_fail(&reader->words,
                      "\"%s\": expected name, device, versions, transport, groups, intra, inter, alone, few, agree_ms, "
                      "identify_ms_per_byte or pack_ms_per_byte",
                      words_show(key, length, show));
}

static int reader_complete(reader_t *reader)
{
    const hm_profile_t *profile = &reader->profile;
    for (size_t i = 0; i < HM_PROFILE_COUNT(hm_profile_texts); i++)
        if (!(reader->texts >> i & 1))
            return words_fail(&reader->words, "the text ends without \"%s\"", hm_profile_texts[i].key);
    if (profile->levels == 0) return words_fail(&reader->words, "the text ends without \"groups\"");
    for (int l = 0; l < profile->levels; l++) {
        if (!(reader->intra >> l & 1)) return words_fail(&reader->words, "the text ends without \"intra %d\"", l);
        if (l > 0 && !(reader->inter >> l & 1))
            return words_fail(&reader->words, "the text ends without \"inter %d\"", l);
    }
    return 0;
}

int profile_parse(const char *text, size_t length, hm_profile_t *profile, hm_parse_error_t *error)
{
    reader_t reader = {.words = {.at = text, .end = text + length, .error = error}};
    if (!words_line(&reader.words) ||
        !words_equal(reader.words.word, (size_t)(reader.words.line_end - reader.words.word), HM_PROFILE_MAGIC)) {
        if (reader.words.line == 0) reader.words.line = 1;
        return words_fail(&reader.words, "expected \"" HM_PROFILE_MAGIC "\" as the first line");
    }
    /* The job may run in a locale that writes 0,5. */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return words_fail(&reader.words, "out of memory");
    locale_t before = uselocale(plain);
    int rc = 0;
    while (rc == 0 && words_line(&reader.words)) rc = reader_item(&reader);
    if (rc == 0) rc = reader_complete(&reader);
    uselocale(before);
    freelocale(plain);
    if (rc == 0) *profile = reader.profile;
    return rc;
}
