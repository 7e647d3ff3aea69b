#include "ranks.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

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
    for (int tries = 0; tries < 3000; tries++) {
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

static int ranks_wait(pid_t *children, int count, double seconds)
{
    int left = count, failed = 0;
    for (double waited = 0; left; waited += 0.01) {
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
        if (waited > seconds)
            for (int i = 0; i < count; i++)
                if (children[i] > 0) kill(children[i], SIGKILL);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return failed;
}

int ranks_run(int count, void (*body)(const ranks_t *), double seconds, char *said, size_t size)
{
    int pipe_fd[2];
    FILE *log = tmpfile();
    pid_t *children = calloc((size_t)count, sizeof *children);
    if (!log || !children || pipe(pipe_fd) != 0) return count;
    fflush(NULL);
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            dup2(fileno(log), STDERR_FILENO);
            rank_main(i, count, pipe_fd, body);
        }
    }
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    int failed = ranks_wait(children, count, seconds);
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
