#define _GNU_SOURCE
#include "log.h"

#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
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

static int line_write(int file, const char *line, size_t length)
{
    ssize_t done;
    do done = write(file, line, length);
    while (done < 0 && errno == EINTR);
    return done < 0 ? -errno : 0;
}

int log_append(const char *path, const char *line, size_t length)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) return -errno;
    int status = line_write(file, line, length);
    close(file);
    return status;
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

void log_say(hm_log_t level, int rank, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_list(level, rank, format, arguments);
    va_end(arguments);
}

void log_list(hm_log_t level, int rank, const char *format, va_list arguments)
{
    static const char *const names[] = {"", "WARN", "INFO", "TRACE"};
    int before = errno;
    if (level == HM_LOG_NONE || !log_on(level)) return;
    char line[HM_LINE], number[16], path[4096];
    rank_write(rank, number, sizeof number);
    int head = snprintf(line, sizeof line, "%s:%d:%d [%s] HIERMOE %s ", log_host(), (int)getpid(),
                        (int)syscall(SYS_gettid), number, names[level]);
    int text = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, arguments);
    size_t length = strlen(line);
    if (text < 0) length = (size_t)head;
    line[length++] = '\n';
    const char *file = settings_get()->debug_file;
    if (file == NULL || !log_path(file, rank, path, sizeof path) || log_append(path, line, length) != 0)
        line_write(STDERR_FILENO, line, length);
    errno = before;
}
