/* Description: which sizes of rows are in question, what ranks make together of what each found, and how many rounds
 * and searches that costs. test_row_size.c has whole calls.
 */
#include "../../shim/agree/sizes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SHARE (HM_PERIOD_ONE / 2) /* half of the rows repeat */

static void sizes_in_question_divide_the_counts(void **context)
{
    (void)context;
    uint32_t size[HM_PERIOD_SIZES];
    static const size_t gcd[] = {4096 * 1250, 7168 * 37, 2880 * 3, 1021, 1000, 64, (size_t)720720 << 10};
    for (size_t i = 0; i < sizeof gcd / sizeof *gcd; i++) {
        int count = sizes_list(gcd[i], size);
        assert_in_range(count, 1, HM_PERIOD_SIZES);
        for (int k = 0; k < count; k++) {
            assert_int_equal(gcd[i] % size[k], 0);
            assert_in_range(size[k], 64, 65536);
            assert_true(k == 0 || size[k] < size[k - 1]);
            if (gcd[i] % 16 == 0) assert_int_equal(size[k] % 16, 0);
        }
    }
    assert_int_equal(sizes_list(1021, size), 1);
    assert_int_equal(size[0], 1021);
    assert_int_equal(sizes_list(1000, size), 2); /* multiples of 8: 1000 and 200 */
    assert_int_equal(sizes_list(48, size), 0);
    assert_int_equal(sizes_list(0, size), 0);
}

static size_t voted(const uint32_t (*found)[2], int ranks, size_t gcd, int64_t *net)
{
    hm_size_vote_t vote = {.sizes = 0};
    for (int r = 0; r < ranks; r++) sizes_vote_add(&vote, found[r][0], found[r][1]);
    return sizes_vote_count(&vote, gcd, ranks, net);
}

/* A rank of zeros finds the largest size; what the others found divides it. */
static void vote_takes_what_serves_all_ranks(void **context)
{
    (void)context;
    int64_t net;
    static const uint32_t zeros[4][2] = {{65536, HM_PERIOD_ONE}, {4096, SHARE / 4}, {0, 0}, {65536, HM_PERIOD_ONE}};
    assert_int_equal(voted(zeros, 4, 65536 * 6, &net), 4096);
    assert_int_equal(net, (2 * HM_PERIOD_ONE + SHARE / 4 - 3 * 4096) / 4);
    static const uint32_t tiny[3][2] = {{64, HM_PERIOD_ONE / 3}, {4096, SHARE}, {4096, SHARE}};
    assert_int_equal(voted(tiny, 3, 8192, &net), 4096); /* lists about rows of 64 bytes would cost all ranks more */
    static const uint32_t equal[2][2] = {{4096, SHARE}, {6144, SHARE}};
    assert_int_equal(voted(equal, 2, 12288, &net), 6144);
    assert_int_equal(voted(equal, 2, 4096 * 5, &net), 4096); /* the other does not divide all counts */
    assert_int_equal(voted(equal, 2, 5120, &net), 0);
    assert_int_equal(voted((const uint32_t[1][2]){{0, 0}}, 1, 4096, &net), 0);
    assert_int_equal(net, 0);
}

static void vote_with_many_sizes_stays_in_bounds(void **context)
{
    (void)context;
    uint32_t found[64][2];
    int64_t net;
    for (uint32_t r = 0; r < 64; r++) found[r][0] = 64 << r % 20, found[r][1] = r;
    found[10][1] = HM_PERIOD_ONE;
    assert_int_equal(voted((const uint32_t(*)[2])found, 64, (size_t)1 << 40, &net), 65536);
}

/* A job that the rounds of its agreements ask: calls have rows of `row` bytes, of which `copies` repeat. */
typedef struct job {
    size_t row, gcd;
    int64_t copies;
    size_t most; /* rows that a rank has room for, 0: any number */
    int searches, rounds;
} job_t;

static hm_size_outcome_t outcome_of(const job_t *job, hm_size_try_t try)
{
    hm_size_outcome_t outcome = {.gcd = job->gcd};
    if (job->most > 0 && try.row_bytes > 0 && job->gcd / try.row_bytes > job->most) {
        outcome.crowded = true;
        return outcome;
    }
    bool repeats = try.row_bytes > 0 && job->row % try.row_bytes == 0;
    outcome.fits = try.row_bytes > 0 && job->gcd % try.row_bytes == 0;
    outcome.net = period_net(repeats ? (uint64_t)job->copies : 0, try.row_bytes > 0 ? try.row_bytes : 1);
    if (!try.search || job->copies == 0) return outcome;
    outcome.found = job->row;
    outcome.found_net = period_net((uint64_t)job->copies, job->row);
    return outcome;
}

/* One look; the size that stands at its end. */
static size_t look_run(hm_sizes_t *sizes, job_t *job, size_t expected)
{
    hm_size_look_t look;
    hm_size_outcome_t outcome;
    hm_size_try_t try = sizes_begin(sizes, expected, &look), last;
    do {
        last = try;
        job->rounds++;
        job->searches += try.search;
        outcome = outcome_of(job, try);
        assert_true(look.rounds <= HM_SIZE_ROUNDS);
    } while (sizes_next(sizes, &look, &outcome, &try));
    return outcome.fits ? last.row_bytes : 0;
}

static void a_size_is_searched_once_and_remembered(void **context)
{
    (void)context;
    hm_sizes_t sizes;
    job_t job = {.row = 4096, .gcd = 4096 * 40, .copies = SHARE};
    sizes_init(&sizes);
    assert_int_equal(look_run(&sizes, &job, 0), 4096);
    assert_true(sizes_proven(&sizes, 4096));
    assert_false(sizes_proven(&sizes, 4096 * 40));
    for (int i = 0; i < 20; i++) assert_int_equal(look_run(&sizes, &job, 4096), 4096);
    assert_int_equal(job.rounds, 2 + 20);
    assert_int_equal(job.searches, 1 + 3); /* and at looks 4, 8 and 16, without a round of their own */
    /* Whatever is expected of the call, the size of its kind is tried. */
    static const size_t expected[] = {4096 * 40, 1024, 160, 3000, 0};
    for (size_t i = 0; i < 5; i++) assert_int_equal(look_run(&sizes, &job, expected[i]), 4096);
}

/* A size that was a multiple of the true one gives way to what it has in common with other counts. */
static void a_multiple_of_the_size_gives_way(void **context)
{
    (void)context;
    hm_sizes_t sizes;
    job_t job = {.row = 4096, .gcd = 4096 * 45, .copies = SHARE};
    sizes_init(&sizes);
    assert_int_equal(look_run(&sizes, &job, 3 * 4096), 4096);
    job.gcd = 4096 * 35;
    assert_int_equal(look_run(&sizes, &job, 3 * 4096), 4096);
}

static void searches_in_vain_get_rare(void **context)
{
    (void)context;
    hm_sizes_t sizes;
    job_t job = {.row = 4096, .gcd = 4096 * 40};
    sizes_init(&sizes);
    for (int i = 0; i < 1000; i++) assert_int_equal(look_run(&sizes, &job, i == 0 ? 0 : job.gcd), job.gcd);
    assert_in_range(job.searches, 4, 10);
    job.copies = SHARE; /* from now on rows repeat: that is found at the next search */
    for (int i = 0; i < 1024; i++) look_run(&sizes, &job, job.gcd);
    assert_int_equal(look_run(&sizes, &job, job.gcd), 4096);
}

/* A size that is good, but not the best, does not stay for ever. */
static void better_sizes_are_found_in_time(void **context)
{
    (void)context;
    hm_sizes_t sizes;
    job_t job = {.row = 4096, .gcd = 4096 * 40, .copies = SHARE};
    size_t size = 64;
    sizes_init(&sizes);
    for (int i = 0; i < 5; i++) size = look_run(&sizes, &job, size);
    assert_int_equal(size, 4096);
    job_t turn = {.row = 512, .gcd = 512 * 9, .copies = SHARE};
    for (size_t kinds = 2; kinds <= 8; kinds++) { /* calls take turns, and one of them has such a size */
        sizes_init(&sizes);
        size = 64;
        for (size_t i = 0; i < 61 * kinds; i++)
            if (i % kinds == 0)
                size = look_run(&sizes, &job, size);
            else
                look_run(&sizes, &turn, 512);
        assert_int_equal(size, 4096);
    }
}

static void memory_of_kinds_is_bounded(void **context)
{
    (void)context;
    hm_sizes_t sizes;
    sizes_init(&sizes);
    for (size_t i = 0; i < 3 * HM_SIZE_KINDS; i++) {
        job_t job = {.row = 1024 + 16 * i, .gcd = (1024 + 16 * i) * 64, .copies = SHARE};
        job_t used = {.row = 2048, .gcd = 2048 * 64, .copies = SHARE};
        assert_int_equal(look_run(&sizes, &job, 0), job.row);
        assert_int_equal(look_run(&sizes, &used, 0), 2048);
    }
    assert_true(sizes_proven(&sizes, 1024 + 16 * (3 * HM_SIZE_KINDS - 1)));
    assert_false(sizes_proven(&sizes, 1024));
    job_t used = {.row = 2048, .gcd = 2048 * 64};
    look_run(&sizes, &used, 2048);
    assert_true(sizes_proven(&sizes, 2048)); /* used all the while */
}

/* A small size that is expected makes more rows of a large call than there is room for. */
static void too_many_rows_take_a_larger_size(void **context)
{
    (void)context;
    hm_sizes_t sizes;
    job_t job = {.row = 4096, .gcd = 4096 * 40, .copies = SHARE, .most = 100};
    sizes_init(&sizes);
    assert_int_equal(look_run(&sizes, &job, 256), 4096);
    job.most = 10;
    assert_int_equal(look_run(&sizes, &job, 256), 4096 * 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_in_question_divide_the_counts),
        cmocka_unit_test(vote_takes_what_serves_all_ranks),
        cmocka_unit_test(vote_with_many_sizes_stays_in_bounds),
        cmocka_unit_test(a_size_is_searched_once_and_remembered),
        cmocka_unit_test(a_multiple_of_the_size_gives_way),
        cmocka_unit_test(searches_in_vain_get_rare),
        cmocka_unit_test(better_sizes_are_found_in_time),
        cmocka_unit_test(memory_of_kinds_is_bounded),
        cmocka_unit_test(too_many_rows_take_a_larger_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
