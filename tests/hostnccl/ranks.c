#include "ranks.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define TRIVIAL_SECONDS 0.1 /* what ranks_pace_measure's run takes on an idle core of 2023, and as much again */

/* Ends when all others have ended: nobody writes. */
static int others_read = STDIN_FILENO, others_write = -1;

static double clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double ranks_pace(void)
{
    const char *text = getenv("HM_TEST_PACE");
    double pace = text ? strtod(text, NULL) : 1;
    return pace > 1 ? pace : 1;
}

void ranks_pause(double seconds)
{
    seconds *= ranks_pace();
    nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

static void trivial_body(const ranks_t *ranks)
{
    int value = ranks->rank, sum = 0;
    ncclComm_t comm = ranks_comm(ranks);
    CHECK(ncclAllReduce(&value, &sum, 1, ncclInt32, ncclSum, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

void ranks_pace_measure(void)
{
    char text[32];
    double begin = clock_now();
    if (ranks_run(3, trivial_body, NULL, 0) != 0) return;
    snprintf(text, sizeof text, "%.2f", (clock_now() - begin) / TRIVIAL_SECONDS);
    setenv("HM_TEST_PACE", text, 1);
}

void ranks_outstay(void)
{
    char byte;
    if (others_write >= 0) close(others_write);
    while (read(others_read, &byte, 1) > 0) continue;
}

ncclComm_t ranks_comm(const ranks_t *ranks)
{
    ncclComm_t comm;
    CHECK(ncclCommInitRank(&comm, ranks->ranks, ranks->id, ranks->rank) == ncclSuccess);
    return comm;
}

static bool id_write(const char *path, const ncclUniqueId *id)
{
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "wb");
    if (!file) return false;
    bool ok = fwrite(id, sizeof *id, 1, file) == 1;
    ok = fclose(file) == 0 && ok;
    return ok && rename(temporary, path) == 0;
}

static bool id_read(const char *path, ncclUniqueId *id)
{
    for (double end = clock_now() + RANKS_SECONDS; clock_now() < end;) {
        FILE *file = fopen(path, "rb");
        if (file) {
            bool ok = fread(id, sizeof *id, 1, file) == 1;
            fclose(file);
            return ok;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

bool ranks_from_environment(ranks_t *ranks)
{
    const char *rank = getenv("RANK"), *size = getenv("WORLD_SIZE"), *path = getenv("HOSTNCCL_ID_FILE");
    if (!rank || !size || !path) {
        fprintf(stderr, "RANK, WORLD_SIZE and HOSTNCCL_ID_FILE must be set, as nodes.sh does\n");
        return false;
    }
    *ranks = (ranks_t){.rank = atoi(rank), .ranks = atoi(size)};
    bool ok = ranks->rank == 0 ? ncclGetUniqueId(&ranks->id) == ncclSuccess && id_write(path, &ranks->id)
                               : id_read(path, &ranks->id);
    if (!ok) fprintf(stderr, "rank %d: no unique id through %s: %s\n", ranks->rank, path, ncclGetLastError(NULL));
    return ok;
}

/* Rank 0 makes the unique id and writes it into the pipe once for each other rank. */
static void rank_main(int rank, int count, const int pipe_fd[2], void (*body)(const ranks_t *))
{
    ranks_t ranks = {.rank = rank, .ranks = count};
    if (rank == 0) {
        CHECK(ncclGetUniqueId(&ranks.id) == ncclSuccess);
        for (int i = 1; i < count; i++) CHECK(write(pipe_fd[1], &ranks.id, sizeof ranks.id) == sizeof ranks.id);
    } else {
        CHECK(read(pipe_fd[0], &ranks.id, sizeof ranks.id) == sizeof ranks.id);
    }
    body(&ranks);
    _exit(0);
}

static int ranks_wait(pid_t *children, int count)
{
    int left = count, failed = 0;
    double end = clock_now() + RANKS_SECONDS;
    while (left > 0) {
        for (int i = 0; i < count; i++) {
            int status;
            if (children[i] <= 0 || waitpid(children[i], &status, WNOHANG) != children[i]) continue;
            if (!WIFEXITED(status) || WEXITSTATUS(status)) {
                failed++;
                if (WIFSIGNALED(status)) fprintf(stderr, "rank %d was ended by signal %d\n", i, WTERMSIG(status));
            }
            children[i] = 0;
            left--;
        }
        if (clock_now() > end)
            for (int i = 0; i < count; i++)
                if (children[i] > 0) kill(children[i], SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return failed;
}

int ranks_run(int count, void (*body)(const ranks_t *), char *said, size_t size)
{
    int pipe_fd[2], others[2];
    FILE *log = tmpfile();
    pid_t *children = calloc((size_t)count, sizeof *children);
    if (!log || !children || pipe(pipe_fd) != 0 || pipe(others) != 0) return count;
    fflush(NULL);
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            dup2(fileno(log), STDERR_FILENO);
            others_read = others[0], others_write = others[1];
            rank_main(i, count, pipe_fd, body);
        }
    }
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    close(others[1]);
    int failed = ranks_wait(children, count);
    close(others[0]);
    free(children);
    rewind(log);
    char text[8192];
    size_t length = fread(text, 1, sizeof text - 1, log);
    text[length] = '\0';
    fclose(log);
    if (failed) fprintf(stderr, "%s", text);
    if (said) snprintf(said, size, "%s", text);
    return failed;
}
