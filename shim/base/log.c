#define _GNU_SOURCE
#include "log.h"

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

static void complaints_say(void)
{
    char text[HM_LINE];
    for (int at = 0; settings_complaint(at, text, sizeof text); at++) log_say(HM_LOG_WARN, HM_RANK_NONE, "%s", text);
}

void log_complaints(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, complaints_say);
}

/* A whole line with its end; returns its length. */
static size_t line_format(char line[HM_LINE], hm_log_t level, int rank, const char *format, va_list arguments)
{
    static const char *const names[] = {"", "WARN", "INFO", "TRACE"};
    char number[16];
    rank_write(rank, number, sizeof number);
    int head = snprintf(line, HM_LINE, "%s:%d:%d [%s] HIERMOE %s ", log_host(), (int)getpid(), (int)syscall(SYS_gettid),
                        number, names[level]);
    int text = vsnprintf(line + head, HM_LINE - (size_t)head - 1, format, arguments);
    size_t length = text < 0 ? (size_t)head : strlen(line);
    line[length++] = '\n';
    return length;
}

__attribute__((format(printf, 2, 3))) static void stderr_warn(int rank, const char *format, ...)
{
    char line[HM_LINE];
    va_list arguments;
    va_start(arguments, format);
    size_t length = line_format(line, HM_LOG_WARN, rank, format, arguments);
    va_end(arguments);
    file_stderr(line, length);
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
        if (!atomic_flag_test_and_set(&said))
            stderr_warn(rank, "HIERMOE_DEBUG_FILE=%s: %s; stderr is used instead", pattern, file_error(status));
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
    char line[HM_LINE];
    int before = errno;
    if (level == HM_LOG_NONE || !log_on(level)) return;
    size_t length = line_format(line, level, rank, format, arguments);
    line_write(line, length, rank);
    errno = before;
}
