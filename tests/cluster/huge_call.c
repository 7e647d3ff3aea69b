/* Two ranks, and one all-to-all with more than 2^32 bytes from one to the other: rows of 1 MB that repeat. Exit status
 * 77: not enough memory for it. The function that issues the group is odd_all_to_all, for HIERMOE_TRUST. */
#define _GNU_SOURCE
#include "ranks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROW ((size_t)1 << 20)
#define TOKENS 8
#define ROWS ((size_t)4104) /* a multiple of TOKENS, and ROWS * ROW is above 2^32 */
#define NEED_KB 6500000

static size_t memory_available_kb(void)
{
    char line[128];
    size_t kb = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL && sscanf(line, "MemAvailable: %zu", &kb) != 1)
        continue;
    if (file != NULL) fclose(file);
    return kb;
}

/* One of TOKENS rows. */
static void row_write(char *row, size_t token)
{
    uint32_t state = (uint32_t)token * 7919 + 1;
    for (size_t b = 0; b < ROW; b++) row[b] = (char)((state = state * 1664525 + 1013904223) >> 24);
}

/* Rows 0, 1, ... 7, 0, 1, ...: the same eight megabytes of memory, mapped over and over. */
static char *send_map(void)
{
    int file = memfd_create("rows", MFD_CLOEXEC);
    char *at = mmap(NULL, ROWS * ROW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(file >= 0 && at != MAP_FAILED);
    CHECK(ftruncate(file, (off_t)(TOKENS * ROW)) == 0);
    for (size_t i = 0; i < ROWS; i += TOKENS)
        CHECK(mmap(at + i * ROW, TOKENS * ROW, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED);
    for (size_t t = 0; t < TOKENS; t++) row_write(at + t * ROW, t);
    CHECK(close(file) == 0);
    return at;
}

ncclResult_t odd_all_to_all(const ranks_t *ranks, ncclComm_t comm, const char *send, char *recv);

__attribute__((noinline)) ncclResult_t odd_all_to_all(const ranks_t *ranks, ncclComm_t comm, const char *send,
                                                      char *recv)
{
    size_t out[2] = {0, ranks->rank == 0 ? ROWS * ROW : 0}, in[2] = {ranks->rank == 1 ? ROWS * ROW : 0, 0};
    CHECK(ncclGroupStart() == ncclSuccess);
    for (int p = 0; p < 2; p++) {
        CHECK(ncclSend(out[p] ? send : NULL, out[p], ncclUint8, p, comm, NULL) == ncclSuccess);
        CHECK(ncclRecv(in[p] ? recv : NULL, in[p], ncclUint8, p, comm, NULL) == ncclSuccess);
    }
    ncclResult_t result = ncclGroupEnd();
    __asm__ volatile("" ::: "memory"); /* no tail call: this function must be on the stack */
    return result;
}

int main(void)
{
    ranks_t ranks;
    char *send = NULL, *recv = NULL, *rows = malloc(TOKENS * ROW);
    if (memory_available_kb() < NEED_KB) return 77;
    if (!ranks_from_environment(&ranks) || ranks.ranks != 2 || rows == NULL) return 2;
    ncclComm_t comm = ranks_comm(&ranks);
    if (ranks.rank == 0) send = send_map();
    if (ranks.rank == 1) CHECK((recv = calloc(ROWS + 1, ROW)) != NULL);
    CHECK(odd_all_to_all(&ranks, comm, send, recv) == ncclSuccess);
    CHECK(hostncclStreamWait(NULL, RANKS_SECONDS) == 0);
    for (size_t t = 0; t < TOKENS; t++) row_write(rows + t * ROW, t);
    if (ranks.rank == 1) {
        for (size_t i = 0; i < ROWS; i += TOKENS) CHECK(memcmp(recv + i * ROW, rows, TOKENS * ROW) == 0);
        for (size_t b = 0; b < ROW; b++) CHECK(recv[ROWS * ROW + b] == 0);
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
    free(recv);
    free(rows);
    return 0;
}
