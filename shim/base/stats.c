#include "stats.h"

#include "file.h"
#include "log.h"
#include "settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *stats_reason_text(hm_reason_t reason)
{
    static const char *const texts[] = {
#define HM_REASON(id, text) text,
#include "reasons.def"
    };
    return (unsigned)reason < HM_REASONS ? texts[reason] : "?";
}

/* The table's identifiers, put into lower case at each call. */
const char *stats_reason_name(hm_reason_t reason)
{
    static const char *const names[] = {
#define HM_REASON(id, text) #id,
#include "reasons.def"
    };
    static _Thread_local char name[32];
    size_t i = 0;
    if ((unsigned)reason >= HM_REASONS) return "?";
    for (const char *from = names[reason]; *from != '\0' && i < sizeof name - 1; from++)
        name[i++] = (char)(*from >= 'A' && *from <= 'Z' ? *from - 'A' + 'a' : *from);
    name[i] = 0;
    return name;
}

/* Room for the longest line, so that none is cut. */
enum {
    HM_LINE = 2048 /* whose counters they are */ + HM_STATS_DEPTHS * 24
#define HM_STAT(field, key, unit, help) +32 + sizeof key
#define HM_STAT_DIFFERENCE(key, field, less, help) +32 + sizeof key
#define HM_STAT_LIST(field, key, length, unit, help) +22 * length + 16 + sizeof key
#include "stats.def"
#define HM_REASON(id, text) +32 + sizeof #id
#include "reasons.def"
};

typedef struct hm_line {
    char text[HM_LINE];
    size_t length;
} hm_line_t;

__attribute__((format(printf, 2, 3))) static void line_add(hm_line_t *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line->text + line->length, sizeof line->text - line->length, format, arguments);
    va_end(arguments);
    if (more > 0) line->length += (size_t)more;
}

/* A host's name may hold anything. Bytes above ASCII are written as if they were Latin-1, since JSON must be valid
 * UTF-8. */
static void line_add_string(hm_line_t *line, const char *text)
{
    line_add(line, "\"");
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++)
        if (*at < 0x20 || *at >= 0x7f || *at == '"' || *at == '\\')
            line_add(line, "\\u%04x", *at);
        else
            line_add(line, "%c", *at);
    line_add(line, "\"");
}

static void line_add_count(hm_line_t *line, const char *key, uint64_t count)
{
    line_add(line, ", \"%s\": %" PRIu64, key, count);
}

#define line_add_bytes line_add_count

/* Signed microseconds in milliseconds, with a decimal point whatever the job's locale. */
static void line_add_ms(hm_line_t *line, const char *key, uint64_t us)
{
    bool less = (int64_t)us < 0;
    if (less) us = -us;
    line_add(line, ", \"%s\": %s%" PRIu64 ".%03" PRIu64, key, less ? "-" : "", us / 1000, us % 1000);
}

static uint64_t count_of(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

uint64_t stats_copy(hm_stats_t *to, const hm_stats_t *from)
{
    const _Atomic uint64_t *in = (const _Atomic uint64_t *)from;
    _Atomic uint64_t *out = (_Atomic uint64_t *)to;
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof *from / sizeof *in; i++) {
        uint64_t count = count_of(&in[i]);
        atomic_store_explicit(&out[i], count, memory_order_relaxed);
        sum += count;
    }
    return sum;
}

static void line_add_list(hm_line_t *line, const char *key, const _Atomic uint64_t *counts, int length)
{
    while (length > 0 && count_of(&counts[length - 1]) == 0) length--;
    line_add(line, ", \"%s\": [", key);
    for (int i = 0; i < length; i++) line_add(line, "%s%" PRIu64, i != 0 ? ", " : "", count_of(&counts[i]));
    line_add(line, "]");
}

void stats_sum(hm_stats_t *to, const hm_stats_t *from)
{
    const _Atomic uint64_t *in = (const _Atomic uint64_t *)from;
    _Atomic uint64_t *out = (_Atomic uint64_t *)to;
    for (size_t i = 0; i < sizeof *from / sizeof *in; i++)
        atomic_store_explicit(&out[i], count_of(&out[i]) + count_of(&in[i]), memory_order_relaxed);
}

int64_t stats_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Seconds since 1970, with a decimal point whatever the job's locale. */
static void line_add_time(hm_line_t *line, const char *key, int64_t ms)
{
    line_add(line, "\"%s\": %" PRId64 ".%03d", key, ms / 1000, (int)(ms % 1000));
}

/* Whose counters they are. */
static void line_add_owner(hm_line_t *line, const hm_stats_owner_t *owner)
{
    line_add(line, ", \"host\": ");
    line_add_string(line, log_host());
    line_add(line, ", \"pid\": %d, \"communicator\": %u, \"rank\": %d, \"ranks\": %d, \"node\": %d, \"nodes\": %d",
             (int)getpid(), owner->communicator, owner->rank, owner->ranks, owner->seat.node, owner->seat.nodes);
    line_add(line, ", \"profile\": ");
    line_add_string(line, owner->seat.profile);
    line_add(line, ", \"version\": \"%s\", \"nccl\": %d, ", HM_VERSION, owner->nccl);
    line_add_time(line, "began", owner->began_ms);
}

static void line_fill(hm_line_t *line, const hm_stats_t *stats, const hm_stats_owner_t *owner, hm_stats_event_t event)
{
    static const char *const names[] = {[HM_STATS_INTERVAL] = "interval", [HM_STATS_END] = "end"};
    line_add(line, "{\"event\": \"%s\", ", names[event]);
    line_add_time(line, "time", stats_now_ms());
    line_add_owner(line, owner);
#define HM_STAT(field, key, unit, help) line_add_##unit(line, key, count_of(&stats->field));
#define HM_STAT_DIFFERENCE(key, field, less, help) \
    line_add_ms(line, key, count_of(&stats->field) - count_of(&stats->less));
#define HM_STAT_LIST(field, key, length, unit, help) line_add_list(line, key, stats->field, length);
#include "stats.def"
    for (int i = 0; i < HM_STATS_DEPTHS; i++)
        line_add(line, "%s%" PRIu64, i != 0 ? ", " : ", \"depth\": [", count_of(&stats->depth[i]));
    line_add(line, "], \"left\": {");
    const char *comma = "";
    for (int i = 0; i < HM_REASONS; i++) {
        uint64_t left = count_of(&stats->left[i]);
        if (left == 0) continue;
        line_add(line, "%s\"%s\": %" PRIu64, comma, stats_reason_name((hm_reason_t)i), left);
        comma = ", ";
    }
    line_add(line, "}}\n");
}

void stats_write(const hm_stats_t *stats, const hm_stats_owner_t *owner, hm_stats_event_t event)
{
    const char *pattern = settings_get()->stats_file;
    int rank = owner->ranks > 0 ? owner->rank : HM_RANK_NONE;
    char path[4096];
    hm_line_t line = {.length = 0};
    if (pattern == NULL) return;
    line_fill(&line, stats, owner, event);
    int status = log_path(pattern, rank, path, sizeof path) ? file_append(path, line.text, line.length) : -ENAMETOOLONG;
    if (status != 0) log_say(HM_LOG_WARN, rank, "HIERMOE_STATS_FILE=%s: %s", pattern, file_error(status));
}
