#define _GNU_SOURCE
#include "profile_text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

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
    writer_add(&writer, HM_PROFILE_MAGIC "\n");
    for (size_t i = 0; i < HM_PROFILE_COUNT(hm_profile_texts); i++)
        writer_add(&writer, "%s %s\n", hm_profile_texts[i].key, (const char *)profile + hm_profile_texts[i].at);
    writer_add(&writer, "groups");
    for (int l = 1; l <= profile->levels; l++) writer_add(&writer, " %d", profile->groups[l]);
    writer_add(&writer, "\n# level, alpha in ms, beta in ms per byte, r2, samples, free bytes, bytes before the turn, "
                        "ms per byte on top from there\n");
    for (int l = 0; l < profile->levels; l++) writer_link(&writer, "intra", l, &profile->intra[l]);
    for (int l = 1; l < profile->levels; l++) writer_link(&writer, "inter", l, &profile->inter[l]);
    for (size_t i = 0; i < HM_PROFILE_COUNT(hm_profile_betas); i++)
        for (int l = 1; l < profile->levels; l++) {
            double beta = ((const double *)((const char *)profile + hm_profile_betas[i].at))[l];
            if (beta > 0) writer_add(&writer, "%s %d %.17g\n", hm_profile_betas[i].key, l, beta);
        }
    for (size_t i = 0; i < HM_PROFILE_COUNT(hm_profile_numbers); i++)
        writer_add(&writer, "%s %.17g\n", hm_profile_numbers[i].key,
                   *(const double *)((const char *)profile + hm_profile_numbers[i].at));
    uselocale(before);
    freelocale(plain);
    *length = writer.length;
    return writer.length < size ? 0 : -ENOSPC;
}
