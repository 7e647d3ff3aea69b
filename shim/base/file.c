#define _GNU_SOURCE
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOM_MS 100 /* a reader of stderr may take so long once */
#define NAMES 100   /* tried for the file beside the one to replace */
#define OPEN_FLAGS (O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* The signal that a failed write has raised: to this thread, even where the job ignores it. 0: none. */
static int signal_of(int status)
{
    return status == -EPIPE ? SIGPIPE : status == -EFBIG ? SIGXFSZ : 0;
}

/* Writes while signals that this may raise are blocked, and takes those away that it raised. SIGTTOU: a blocked one
 * does not stop a job in the background that writes to its terminal. */
static int text_write(int file, const char *text, size_t length)
{
    static const struct timespec now = {0, 0};
    sigset_t held, before, pending, raised;
    int status = 0;
    sigemptyset(&held);
    sigaddset(&held, SIGPIPE);
    sigaddset(&held, SIGXFSZ);
    sigaddset(&held, SIGTTOU);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &held, &before);
    while (length > 0 && status == 0) {
        ssize_t done = write(file, text, length);
        if (done > 0) text += done, length -= (size_t)done;
        if (done <= 0 && !(done < 0 && errno == EINTR)) status = done < 0 ? -errno : -EIO;
    }
    int signal = signal_of(status);
    if (signal != 0 && sigismember(&pending, signal) == 0) { /* one that was pending before is the job's */
        sigemptyset(&raised);
        sigaddset(&raised, signal);
        sigtimedwait(&raised, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* Why nothing is read from or written to what is there. */
static int mode_error(mode_t mode)
{
    return S_ISDIR(mode) ? -EISDIR : -ENXIO;
}

/* open of a regular file or, with `devices`, a character device, on a descriptor above 2: what another thread prints
 * must not land in it where the job has closed its standard streams. A descriptor or a negative errno. */
static int file_open(const char *path, int flags, mode_t mode, bool devices)
{
    struct stat info;
    int file = open(path, flags | OPEN_FLAGS, mode);
    /* Whoever may write to a shared folder must not lead our lines elsewhere: the link is our own or root's. */
    if (file < 0 && errno == ELOOP && (flags & O_APPEND) != 0 && lstat(path, &info) == 0 &&
        (info.st_uid == geteuid() || info.st_uid == 0))
        file = open(path, (flags | OPEN_FLAGS) & ~O_NOFOLLOW, mode);
    if (file >= 0 && file <= STDERR_FILENO) {
        int higher = fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), error = errno;
        close(file);
        file = higher;
        errno = error;
    }
    if (file < 0) return -errno;
    info.st_mode = 0;
    if (fstat(file, &info) == 0 && (S_ISREG(info.st_mode) || (devices && S_ISCHR(info.st_mode)))) return file;
    close(file);
    return mode_error(info.st_mode);
}

int file_append(const char *path, const char *text, size_t length)
{
    int file = file_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600, true);
    if (file < 0) return file;
    int status = text_write(file, text, length);
    int closed = close(file) == 0 || errno == EINTR ? 0 : -errno; /* file servers may refuse only here */
    return status != 0 ? status : closed;
}

int file_read(const char *path, size_t most, char **text, size_t *length)
{
    size_t have = 0;
    int status = 0, file = file_open(path, O_RDONLY, 0, false);
    if (file < 0) return file;
    char *memory = malloc(most + 1);
    if (memory == NULL) status = -ENOMEM;
    while (status == 0 && have <= most) {
        ssize_t got = read(file, memory + have, most + 1 - have);
        if (got == 0) break;
        if (got > 0) have += (size_t)got;
        if (got < 0 && errno != EINTR) status = -errno;
    }
    close(file);
    if (status == 0 && have > most) status = -EFBIG;
    if (status != 0) {
        free(memory);
        return status;
    }
    memory[have] = '\0';
    *text = memory;
    *length = have;
    return 0;
}

/* A new file beside path, under a name that nobody else has. A descriptor or a negative errno. */
static int part_open(const char *path, char *part, size_t size)
{
    for (int i = 0; i < NAMES; i++) {
        if (snprintf(part, size, "%s.part.%d.%d", path, (int)getpid(), i) >= (int)size) return -ENAMETOOLONG;
        int file = file_open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666, false);
        if (file != -EEXIST) return file;
    }
    return -EEXIST;
}

int file_replace(const char *path, const char *text, size_t length)
{
    char part[4096];
    struct stat info;
    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) return mode_error(info.st_mode);
    int file = part_open(path, part, sizeof part);
    if (file < 0) return file;
    int status = text_write(file, text, length);
    if (status == 0 && fsync(file) != 0 && errno != EINVAL) status = -errno;
    if (close(file) != 0 && status == 0) status = -errno;
    if (status == 0 && rename(part, path) != 0) status = -errno;
    if (status != 0) unlink(part);
    return status;
}

static dev_t stderr_device;
static ino_t stderr_file; /* 0: there was none */

static void stderr_look(void)
{
    struct stat info;
    if (fstat(STDERR_FILENO, &info) != 0) return;
    stderr_device = info.st_dev;
    stderr_file = info.st_ino;
}

/* When the library is loaded: later the job may have closed descriptor 2 and opened a file of its own. */
__attribute__((constructor)) static void stderr_remember(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, stderr_look);
}

void file_stderr(const char *text, size_t length)
{
    static atomic_bool stuck; /* then the reader is not waited for, until there is room again */
    struct stat info;
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    stderr_remember(); /* constructors of other libraries may come first */
    if (fstat(STDERR_FILENO, &info) != 0 || info.st_dev != stderr_device || info.st_ino != stderr_file) return;
    bool ready = poll(&room, 1, atomic_load(&stuck) ? 0 : ROOM_MS) > 0;
    atomic_store(&stuck, !ready);
    if (ready) text_write(STDERR_FILENO, text, length);
}

const char *file_error(int status)
{
    static _Thread_local char text[128];
    if (status == -ENXIO) return "it is no regular file";
    if (status == -ELOOP) return "it is a symbolic link that another user made";
    return strerror_r(-status, text, sizeof text);
}
