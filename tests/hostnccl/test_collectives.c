#include "ranks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Values small enough that products over 8 ranks fit into every type. */
static int value(int rank, size_t i)
{
    return 1 + (int)((i * 7 + (size_t)rank * 3) % 2);
}

static int reduced(int ranks, size_t i, ncclRedOp_t op)
{
    int result = value(0, i);
    for (int r = 1; r < ranks; r++) {
        int v = value(r, i);
        result = op == ncclSum    ? result + v
                 : op == ncclProd ? result * v
                 : op == ncclMin  ? (v < result ? v : result)
                                  : (v > result ? v : result);
    }
    return result;
}

#define WITH_TYPES(X) \
    X(ncclInt8, int8_t) \
    X(ncclUint8, uint8_t) \
    X(ncclInt32, int32_t) \
    X(ncclUint32, uint32_t) \
    X(ncclInt64, int64_t) \
    X(ncclUint64, uint64_t) \
    X(ncclFloat32, float) \
    X(ncclFloat64, double)

static size_t put(void *at, ncclDataType_t type, size_t i, int v)
{
    switch ((int)type) {
#define PUT(name, ctype) \
    case name: \
        if (at) ((ctype *)at)[i] = (ctype)v; \
        return sizeof(ctype);
        WITH_TYPES(PUT)
    }
    return 0;
}

static int get(const void *at, ncclDataType_t type, size_t i)
{
    switch ((int)type) {
#define GET(name, ctype) \
    case name: \
        return (int)((const ctype *)at)[i];
        WITH_TYPES(GET)
    }
    return -1;
}

static void check_reductions(const ranks_t *ranks, ncclComm_t comm, ncclDataType_t type, ncclRedOp_t op, size_t count)
{
    size_t element = put(NULL, type, 0, 0), all = count * (size_t)ranks->ranks;
    char *in = malloc(all * element), *out = malloc(all * element);
    int root = ranks->ranks - 1;
    for (size_t i = 0; i < all; i++) put(in, type, i, value(ranks->rank, i));
    CHECK(ncclAllReduce(in, out, count, type, op, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    for (size_t i = 0; i < count; i++) CHECK(get(out, type, i) == reduced(ranks->ranks, i, op));
    CHECK(ncclReduceScatter(in, out, count, type, op, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    for (size_t i = 0; i < count; i++)
        CHECK(get(out, type, i) == reduced(ranks->ranks, i + count * (size_t)ranks->rank, op));
    memset(out, 0, count * element);
    CHECK(ncclReduce(in, ranks->rank == root ? out : NULL, count, type, op, root, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    for (size_t i = 0; i < count && ranks->rank == root; i++) CHECK(get(out, type, i) == reduced(ranks->ranks, i, op));
    CHECK(ncclAllReduce(in, in, count, type, op, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    for (size_t i = 0; i < count; i++) CHECK(get(in, type, i) == reduced(ranks->ranks, i, op));
    free(in);
    free(out);
}

/* Counts below and above the switch to the ring, dividing by the ranks or not. */
static const size_t counts[] = {1, 1003, 20011};

static void reduce_body(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
#define REDUCTIONS(name, ctype) \
    for (int op = ncclSum; op <= ncclMin; op++) check_reductions(ranks, comm, name, (ncclRedOp_t)op, counts[c]);
        WITH_TYPES(REDUCTIONS)
    }
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void reductions_are_right(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= 5; ranks += 2) assert_int_equal(ranks_run(ranks, reduce_body, NULL, 0), 0);
}

static void check_moves(const ranks_t *ranks, ncclComm_t comm, size_t count)
{
    size_t n = (size_t)ranks->ranks, mine = (size_t)ranks->rank;
    int32_t *in = malloc(4 * n * count), *out = malloc(4 * n * count);
    for (size_t i = 0; i < n * count; i++) in[i] = (int32_t)(mine * 10000000 + i);
    CHECK(ncclAllGather(in, out, count, ncclInt32, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    for (size_t i = 0; i < n * count; i++) CHECK(out[i] == (int32_t)(i / count * 10000000 + i % count));
    memcpy(out + mine * count, in, 4 * count);
    CHECK(ncclAllGather(out + mine * count, out, count, ncclInt32, comm, NULL) == ncclSuccess);
    SYNC(NULL);
    for (size_t i = 0; i < n * count; i++) CHECK(out[i] == (int32_t)(i / count * 10000000 + i % count));
    for (int root = 0; root < ranks->ranks; root++) {
        memset(out, 0xff, 4 * n * count);
        CHECK(ncclBroadcast(in, out, count, ncclInt32, root, comm, NULL) == ncclSuccess);
        SYNC(NULL);
        for (size_t i = 0; i < count; i++) CHECK(out[i] == (int32_t)((size_t)root * 10000000 + i));
        CHECK(ncclGather(in, out, count, ncclInt32, root, comm, NULL) == ncclSuccess);
        SYNC(NULL);
        for (size_t i = 0; i < n * count && ranks->rank == root; i++)
            CHECK(out[i] == (int32_t)(i / count * 10000000 + i % count));
        CHECK(ncclScatter(ranks->rank == root ? in : NULL, out, count, ncclInt32, root, comm, NULL) == ncclSuccess);
        SYNC(NULL);
        for (size_t i = 0; i < count; i++) CHECK(out[i] == (int32_t)((size_t)root * 10000000 + mine * count + i));
        CHECK(ncclBcast(out, count, ncclInt32, root, comm, NULL) == ncclSuccess);
        SYNC(NULL);
        for (size_t i = 0; i < count; i++)
            CHECK(out[i] == (int32_t)((size_t)root * 10000000 + (size_t)root * count + i));
    }
    free(in);
    free(out);
}

static void move_body(const ranks_t *ranks)
{
    ncclComm_t comm = ranks_comm(ranks);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) check_moves(ranks, comm, counts[c]);
    CHECK(ncclCommDestroy(comm) == ncclSuccess);
}

static void gathers_scatters_and_broadcasts_are_right(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= 6; ranks++) assert_int_equal(ranks_run(ranks, move_body, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reductions_are_right),
        cmocka_unit_test(gathers_scatters_and_broadcasts_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
