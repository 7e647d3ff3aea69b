#define _GNU_SOURCE
#include "log.h"

#include "bytes.h"
#include "file.h"
#include "settings.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HM_LINE 1024
#define HM_WARNINGS 256 /* remembered */

static char host[64];

static void host_read(void)
{
    if (gethostname(host, sizeof host - 1) != 0) strcpy(host, "?");
    host[strcspn(host, ".")] = 0;
}

const char *log_host(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, host_read);
    return host;
}

bool log_on(hm_log_t level)
{
    return (int)level <= settings_get()->debug;
}

static void rank_write(int rank, char *text, size_t size)
{
    if (rank == HM_RANK_NONE)
        snprintf(text, size, "-");
    else
        snprintf(text, size, "%d", rank);
}

bool log_path(const char *pattern, int rank, char *path, size_t size)
{
    size_t at = 0;
    for (; *pattern != '\0'; pattern++) {
        char number[16] = {*pattern, 0};
        const char *piece = number;
        if (*pattern == '%' && pattern[1] != '\0') {
            switch (*++pattern) {
            case 'h':
                piece = log_host();
                break;
            case 'p':
                snprintf(number, sizeof number, "%d", (int)getpid());
                break;
            case 'r':
                rank_write(rank, number, sizeof number);
                break;
            case '%':
                break;
            default:
                snprintf(number, sizeof number, "%%%c", *pattern);
            }
        }
        size_t length = strlen(piece);
        if (at + length >= size) return false;
        memcpy(path + at, piece, length);
        at += length;
    }
    path[at] = 0;
    return true;
}

/* What is not as it is by default. */
static void settings_say(int rank)
{
    hm_settings_view_t view;
    for (int at = 0; log_on(HM_LOG_INFO) && settings_view(at, &view); at++)
        if (view.given != NULL && view.path != NULL)
            log_say(HM_LOG_INFO, rank, "%s=%s, from %s, line %d", view.name, view.value, view.path, view.line);
        else if (view.given != NULL)
            log_say(HM_LOG_INFO, rank, "%s=%s, from the environment", view.name, view.value);
}

void log_complaints(int rank)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    char text[HM_LINE];
    if (atomic_flag_test_and_set(&said)) return;
    for (int at = 0; settings_complaint(at, text, sizeof text); at++)
        log_say(rank > 0 ? HM_LOG_INFO : HM_LOG_WARN, rank, "%s", text);
    if (rank <= 0) settings_say(rank);
}

/* Whether a warning was said before. With more of them than there is room for, some are said again. */
static bool warned_before(const char *text)
{
    static _Atomic uint64_t warned[HM_WARNINGS];
    uint64_t hash = bytes_hash(HM_BYTES_HASH_START, text, strlen(text)) | 1; /* 0: free */
    for (int i = 0; i < HM_WARNINGS; i++) {
        uint64_t there = 0;
        if (atomic_compare_exchange_strong(&warned[i], &there, hash)) return false;
        if (there == hash) return true;
    }
    return false;
}

/* A whole line with its end; returns its length. */
static size_t line_format(char line[HM_LINE], hm_log_t level, int rank, const char *text)
{
    static const char *const names[] = {"", "WARN", "INFO", "TRACE"};
    char number[16];
    rank_write(rank, number, sizeof number);
    snprintf(line, HM_LINE - 1, "%s:%d:%d [%s] HIERMOE %s %s", log_host(), (int)getpid(), (int)syscall(SYS_gettid),
             number, names[level], text);
    size_t length = strlen(line);
    line[length++] = '\n';
    return length;
}

static void stderr_warn(int rank, const char *pattern, int status)
{
    char text[HM_LINE], line[HM_LINE];
    snprintf(text, sizeof text, "HIERMOE_DEBUG_FILE=%s: %s; stderr is used instead", pattern, file_error(status));
    file_stderr(line, line_format(line, HM_LOG_WARN, rank, text));
}

/* To HIERMOE_DEBUG_FILE; to stderr where that is not set or of no use, which is said once. */
static void line_write(const char *line, size_t length, int rank)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    const char *pattern = settings_get()->debug_file;
    char path[4096];
    if (pattern != NULL) {
        int status = log_path(pattern, rank, path, sizeof path) ? file_append(path, line, length) : -ENAMETOOLONG;
        if (status == 0) return;
        if (!atomic_flag_test_and_set(&said)) stderr_warn(rank, pattern, status);
    }
    file_stderr(line, length);
}

void log_say(hm_log_t level, int rank, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_list(level, rank, format, arguments);
    va_end(arguments);
}

void log_list(hm_log_t level, int rank, const char *format, va_list arguments)
{
    char text[HM_LINE], line[HM_LINE];
    int before = errno;
    if (level == HM_LOG_NONE || !log_on(level)) return;
    if (vsnprintf(text, sizeof text, format, arguments) < 0) text[0] = '\0';
    if (level == HM_LOG_WARN && warned_before(text)) level = HM_LOG_INFO;
    if (log_on(level)) line_write(line, line_format(line, level, rank, text), rank);
    errno = before;
}
