#define _GNU_SOURCE
#include "counted.h"

#include "file_text.h"

#include <pthread.h>
#include <search.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct piece {
    void *memory;
    size_t bytes;
    counted_kind_t kind;
} piece_t;

counted_t counted;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *pieces; /* a tree of piece_t, by memory */
static bool on;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void __wrap_free(void *memory);

static int piece_compare(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)((const piece_t *)left)->memory, b = (uintptr_t)((const piece_t *)right)->memory;
    return (a > b) - (a < b);
}

void counted_reset(void)
{
    on = false;
    tdestroy(pieces, __real_free);
    pieces = NULL;
    memset(&counted, 0, sizeof counted);
}

void counted_switch(bool now)
{
    on = now;
}

void counted_add(void *memory, size_t bytes, counted_kind_t kind)
{
    piece_t *piece = __real_malloc(sizeof *piece);
    assert_non_null(piece);
    *piece = (piece_t){memory, bytes, kind};
    pthread_mutex_lock(&lock);
    tsearch(piece, &pieces, piece_compare);
    counted.held[kind] += bytes;
    if (counted.held[kind] > counted.most[kind]) counted.most[kind] = counted.held[kind];
    pthread_mutex_unlock(&lock);
}

bool counted_remove(void *memory)
{
    piece_t key = {.memory = memory}, *piece = NULL;
    pthread_mutex_lock(&lock);
    piece_t **found = tfind(&key, &pieces, piece_compare);
    if (found != NULL) {
        piece = *found;
        counted.held[piece->kind] -= piece->bytes;
        tdelete(piece, &pieces, piece_compare);
    }
    pthread_mutex_unlock(&lock);
    __real_free(piece);
    return piece != NULL;
}

void *__wrap_malloc(size_t bytes)
{
    void *memory = __real_malloc(bytes);
    if (on && memory != NULL) counted_add(memory, bytes, COUNTED_HOST);
    return memory;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    void *memory = __real_calloc(count, bytes);
    if (on && memory != NULL) counted_add(memory, count * bytes, COUNTED_HOST);
    return memory;
}

void __wrap_free(void *memory)
{
    if (memory != NULL && pieces != NULL) counted_remove(memory);
    __real_free(memory);
}

void counted_compare(size_t bytes, size_t expected, bool exact, const char *formula)
{
    static char page[1 << 16];
    char quoted[512];
    snprintf(quoted, sizeof quoted, "`%s`", formula);
    if (strstr(file_text(HM_MEMORY_PAGE, page, sizeof page), quoted) == NULL)
        fail_msg("%s has no formula %s", HM_MEMORY_PAGE, quoted);
    if (exact && bytes != expected) fail_msg("%zu bytes, expected %s = %zu", bytes, formula, expected);
    if (bytes > expected || bytes < expected / 4)
        fail_msg("%zu bytes, expected at most %s = %zu, and a quarter of it", bytes, formula, expected);
}
