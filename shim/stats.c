#include "stats.h"

#include "log.h"
#include "settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *stats_reason_text(hm_reason_t reason)
{
    static const char *const texts[] = {
#define HM_REASON(id, text) text,
#include "reasons.def"
    };
    return (unsigned)reason < HM_REASONS ? texts[reason] : "?";
}

/* The table's identifiers in lower case, made by the preprocessor's text and one pass over it. */
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

typedef struct hm_line {
    char text[4096];
    size_t length;
} hm_line_t;

__attribute__((format(printf, 2, 3))) static void line_add(hm_line_t *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line->text + line->length, sizeof line->text - line->length, format, arguments);
    va_end(arguments);
    if (more > 0) line->length += (size_t)more;
    if (line->length >= sizeof line->text) line->length = sizeof line->text - 1;
}

/* Milliseconds with a decimal point whatever the job's locale. */
static void line_ms(hm_line_t *line, const char *name, uint64_t us)
{
    int64_t value = (int64_t)us;
    uint64_t size = value < 0 ? (uint64_t)-value : us;
    line_add(line, ", \"%s\": %s%" PRIu64 ".%03" PRIu64, name, value < 0 ? "-" : "", size / 1000, size % 1000);
}

static uint64_t count_of(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

void stats_write(const hm_stats_t *stats, const hm_stats_owner_t *owner)
{
    const char *pattern = settings_get()->stats_file;
    int rank = owner->ranks > 0 ? owner->rank : HM_RANK_NONE;
    char path[4096];
    hm_line_t line = {.length = 0};
    if (pattern == NULL) return;
    line_add(&line, "{\"host\": \"%s\", \"pid\": %d, \"communicator\": %u, \"rank\": %d, \"ranks\": %d", log_host(),
             (int)getpid(), owner->communicator, owner->rank, owner->ranks);
#define HM_COUNT(field) line_add(&line, ", \"" #field "\": %" PRIu64, count_of(&stats->field))
    HM_COUNT(replaced);
    HM_COUNT(agreements);
    HM_COUNT(windows);
    HM_COUNT(spread);
    HM_COUNT(rails);
    HM_COUNT(bytes_raw);
    HM_COUNT(bytes_sent);
    HM_COUNT(rows);
    HM_COUNT(distinct);
    HM_COUNT(planned);
    line_ms(&line, "predicted_plain_ms", count_of(&stats->plain_us));
    line_ms(&line, "predicted_ms", count_of(&stats->plan_us));
    line_ms(&line, "predicted_saved_ms", count_of(&stats->plain_us) - count_of(&stats->plan_us));
    HM_COUNT(timed);
    line_ms(&line, "timed_ms", count_of(&stats->timed_us));
    line_ms(&line, "timed_lead_ms", count_of(&stats->timed_lead_us));
    line_ms(&line, "timed_predicted_ms", count_of(&stats->timed_plan_us));
#undef HM_COUNT
    for (size_t i = 0; i < sizeof stats->depth / sizeof stats->depth[0]; i++)
        line_add(&line, "%s%" PRIu64, i != 0 ? ", " : ", \"depth\": [", count_of(&stats->depth[i]));
    line_add(&line, "], \"left\": {");
    const char *comma = "";
    for (int i = 0; i < HM_REASONS; i++) {
        if (count_of(&stats->left[i]) == 0) continue;
        line_add(&line, "%s\"%s\": %" PRIu64, comma, stats_reason_name((hm_reason_t)i), count_of(&stats->left[i]));
        comma = ", ";
    }
    line_add(&line, "}}\n");
    int status = log_path(pattern, rank, path, sizeof path) ? log_append(path, line.text, line.length) : -ENAMETOOLONG;
    if (status != 0) log_say(HM_LOG_WARN, rank, "HIERMOE_STATS_FILE=%s: %s", pattern, strerror(-status));
}
