#include "prometheus.h"

#include "file.h"
#include "log.h"
#include "settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HM_PAGE = 32 << 10, HM_LABELS = 512 };

typedef struct hm_page {
    char text[HM_PAGE], labels[HM_LABELS]; /* labels: of every sample */
    size_t length;                         /* HM_PAGE or more: it does not fit */
} hm_page_t;

__attribute__((format(printf, 2, 3))) static void page_add(hm_page_t *page, const char *format, ...)
{
    va_list arguments;
    if (page->length >= HM_PAGE) return;
    va_start(arguments, format);
    int more = vsnprintf(page->text + page->length, HM_PAGE - page->length, format, arguments);
    va_end(arguments);
    page->length = more >= 0 ? page->length + (size_t)more : HM_PAGE;
}

static uint64_t count_of(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* A host's name within quotes: what would end them or begin an escape is replaced. */
static void labels_make(hm_page_t *page)
{
    size_t used = (size_t)snprintf(page->labels, HM_LABELS, "host=\"");
    for (const char *at = log_host(); *at != '\0' && used < HM_LABELS - 64; at++)
        page->labels[used++] = *at > ' ' && *at < 0x7f && *at != '"' && *at != '\\' ? *at : '_';
    snprintf(page->labels + used, HM_LABELS - used, "\",pid=\"%d\"", (int)getpid());
}

static void metric_begin(hm_page_t *page, const char *name, const char *help, const char *kind)
{
    page_add(page, "# HELP hiermoe_%s %s\n# TYPE hiermoe_%s %s\n", name, help, name, kind);
}

/* Microseconds as seconds, with a decimal point whatever the job's locale. */
static void seconds_add(hm_page_t *page, uint64_t us)
{
    page_add(page, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

static void metric_add_count(hm_page_t *page, const char *key, const char *help, uint64_t count)
{
    char name[64];
    snprintf(name, sizeof name, "%s_total", key);
    metric_begin(page, name, help, "counter");
    page_add(page, "hiermoe_%s{%s} %" PRIu64 "\n", name, page->labels, count);
}

#define metric_add_bytes metric_add_count

static void metric_add_ms(hm_page_t *page, const char *key, const char *help, uint64_t us)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s_seconds_total", (int)(strlen(key) - strlen("_ms")), key);
    metric_begin(page, name, help, "counter");
    page_add(page, "hiermoe_%s{%s} ", name, page->labels);
    seconds_add(page, us);
    page_add(page, "\n");
}

/* Bucket i of stats_bucket has what is less than 2^i us; buckets of a histogram hold all that is below them, too. */
static void histogram_add(hm_page_t *page, const char *kind, const _Atomic uint64_t *buckets, uint64_t sum_us)
{
    uint64_t below = 0;
    for (int i = 0; i < HM_STATS_BUCKETS; i++) {
        below += count_of(&buckets[i]);
        if (i == HM_STATS_BUCKETS - 1) break;
        page_add(page, "hiermoe_call_seconds_bucket{%s,kind=\"%s\",le=\"", page->labels, kind);
        seconds_add(page, (uint64_t)1 << i);
        page_add(page, "\"} %" PRIu64 "\n", below);
    }
    page_add(page, "hiermoe_call_seconds_bucket{%s,kind=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", page->labels, kind, below);
    page_add(page, "hiermoe_call_seconds_sum{%s,kind=\"%s\"} ", page->labels, kind);
    seconds_add(page, sum_us);
    page_add(page, "\nhiermoe_call_seconds_count{%s,kind=\"%s\"} %" PRIu64 "\n", page->labels, kind, below);
}

static void page_fill(hm_page_t *page, const hm_stats_t *whole)
{
    labels_make(page);
#define HM_STAT(field, key, unit, help) metric_add_##unit(page, key, help, count_of(&whole->field));
#include "stats.def"
    metric_begin(page, "replaced_by_depth_total", "replaced calls by depth", "counter");
    for (int i = 0; i < HM_STATS_DEPTHS; i++)
        page_add(page, "hiermoe_replaced_by_depth_total{%s,depth=\"%d\"} %" PRIu64 "\n", page->labels, i,
                 count_of(&whole->depth[i]));
    metric_begin(page, "left_total", "calls left alone by reason", "counter");
    for (int i = 1; i < HM_REASONS; i++)
        page_add(page, "hiermoe_left_total{%s,reason=\"%s\"} %" PRIu64 "\n", page->labels,
                 stats_reason_name((hm_reason_t)i), count_of(&whole->left[i]));
    metric_begin(page, "call_seconds", "time of measured calls on their slowest rank", "histogram");
    histogram_add(page, "replaced", whole->times, count_of(&whole->timed_us));
    histogram_add(page, "plain", whole->plain_times, count_of(&whole->plain_timed_us));
}

void prometheus_write(const hm_stats_t *whole)
{
    const char *pattern = settings_get()->prometheus_file;
    char path[4096];
    hm_page_t page = {.length = 0};
    if (pattern == NULL) return;
    page_fill(&page, whole);
    int status = !log_path(pattern, HM_RANK_NONE, path, sizeof path) ? -ENAMETOOLONG
                 : page.length >= HM_PAGE                            ? -EFBIG
                                                                     : file_replace(path, page.text, page.length);
    if (status != 0) log_say(HM_LOG_WARN, HM_RANK_NONE, "HIERMOE_PROMETHEUS_FILE=%s: %s", pattern, file_error(status));
}
