/* Calls are told apart by what they are, and each kind knows its row size. */
#include "policy_test.h"

#include "policy/kind.h"

static hm_call_kind_t kinds[HM_KINDS];
static uint64_t call;

static int begin(void **context)
{
    (void)context;
    memset(kinds, 0, sizeof kinds);
    call = 0;
    return 0;
}

static hm_outcome_t outcome(size_t row_bytes, double bytes, double copies)
{
    return (hm_outcome_t){.able = true, .row_bytes = row_bytes, .gcd = row_bytes, .bytes = bytes, .copies = copies};
}

static int find(const hm_outcome_t *outcome)
{
    int lost;
    return kind_find(kinds, 0, outcome, ++call, &lost);
}

/* Looks at a call whose counts have this in common as the library does, with the row size that the kind expects. */
static int find_rows(int kind, size_t gcd, double bytes, double copies)
{
    size_t row = kind > 0 ? kinds[kind - 1].row_bytes : 0;
    hm_outcome_t seen = outcome(row > 0 && gcd % row == 0 ? row : gcd, bytes, copies);
    seen.gcd = gcd;
    return find(&seen);
}

static void dispatch_and_combine_differ(void **context)
{
    (void)context;
    hm_outcome_t dispatch = outcome(4096, 36e6, .6), combine = outcome(4096, 36e6, 0);
    int d = find(&dispatch), c = find(&combine);
    assert_int_not_equal(d, c);
    assert_int_equal(find(&dispatch), d);
    assert_int_equal(find(&combine), c);
}

static void calls_that_cannot_go_deep_are_one_kind(void **context)
{
    (void)context;
    static const size_t chance[] = {4, 12, 8, 4, 64, 20, 4, 40};
    hm_outcome_t small = {.able = false};
    int first = find(&small);
    for (int i = 0; i < 8; i++) {
        small.gcd = chance[i];
        small.bytes = 1000. * i;
        assert_int_equal(find(&small), first);
    }
    hm_outcome_t able = outcome(64, 36e6, .6);
    assert_int_not_equal(find(&able), first);
    assert_int_equal(kinds[first - 1].row_bytes, 0);
}

/* No border is anywhere: sizes that swing round one are still one kind. */
static void a_kind_follows_its_calls(void **context)
{
    (void)context;
    hm_outcome_t swing = outcome(4096, 1e6, .5);
    int first = find(&swing);
    for (int i = 0; i < 200; i++) {
        swing.bytes = (i % 2 == 0 ? .6 : 1.5) * (1e6 + i * 1e5);
        swing.copies = .5 + i * .002;
        assert_int_equal(find(&swing), first);
    }
    hm_outcome_t sixteenth = outcome(4096, 21e6 / 16, .9);
    assert_int_not_equal(find(&sixteenth), first);
}

static void doubtful_calls_are_what_was_expected(void **context)
{
    (void)context;
    hm_outcome_t few = outcome(4096, 1e6, .25), many = outcome(4096, 1e6, .75), between = outcome(4096, 1e6, .5);
    int lost, f = find(&few), m = find(&many);
    assert_int_not_equal(f, m);
    assert_int_equal(kind_find(kinds, f, &between, ++call, &lost), f);
    assert_int_equal(kind_find(kinds, m, &between, ++call, &lost), m);
}

/* Hidden states, fp8 states and scales. */
static void row_sizes_take_turns(void **context)
{
    (void)context;
    int states = find_rows(0, 4096, 36e6, .6), half = find_rows(0, 1800, 18e6, .6), scales = find_rows(0, 112, 1e6, .6);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(find_rows(states, 4096, 36e6, .6), states);
        assert_int_equal(find_rows(half, 1800, 18e6, .6), half);
        assert_int_equal(find_rows(scales, 112, 1e6, .6), scales);
    }
    assert_int_equal(kinds[states - 1].row_bytes, 4096);
    assert_int_equal(kinds[half - 1].row_bytes, 1800);
    assert_int_equal(kinds[scales - 1].row_bytes, 112);
}

static void smaller_rows_are_taken_at_once_larger_ones_slowly(void **context)
{
    (void)context;
    int kind = find_rows(0, 8192, 36e6, .6); /* all counts happened to be even */
    assert_int_equal(kinds[kind - 1].row_bytes, 8192);
    assert_int_equal(find_rows(kind, 4096, 36e6, .6), kind);
    assert_int_equal(kinds[kind - 1].row_bytes, 4096);
    for (int i = 0; i < 3; i++) find_rows(kind, i % 2 == 0 ? 8192 : 12288, 36e6, .6);
    assert_int_equal(kinds[kind - 1].row_bytes, 4096);
    find_rows(kind, 4096, 36e6, .6);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(kinds[kind - 1].row_bytes, 4096);
        find_rows(kind, 8192, 36e6, .6);
    }
    assert_int_equal(kinds[kind - 1].row_bytes, 8192);
}

/* Calls that grow, too fast for one kind: that larger rows would have fitted is not forgotten with each. */
static void growing_calls_find_their_rows(void **context)
{
    (void)context;
    int kind = find_rows(0, 512, 1e5, .6);
    for (int i = 1; i <= 6; i++) kind = find_rows(kind, 512u << i, 1e5 * (1 << 3 * i), .6);
    assert_true(kinds[kind - 1].row_bytes > 512);
}

static void the_kind_not_seen_for_longest_makes_room(void **context)
{
    (void)context;
    int lost = -1, number[HM_KINDS];
    for (int k = 0; k < HM_KINDS; k++) {
        hm_outcome_t one = outcome(4096 + 2 * (size_t)k + 1, 36e6, .6);
        number[k] = find(&one);
        for (int before = 0; before < k; before++) assert_int_not_equal(number[before], number[k]);
    }
    hm_outcome_t again = outcome(4097, 36e6, .6), another = outcome(5003, 36e6, .6);
    assert_int_equal(find(&again), number[0]);
    kinds[number[1] - 1].arms.tried = true;
    assert_int_equal(kind_find(kinds, 0, &another, ++call, &lost), number[1]);
    assert_int_equal(lost, number[1]);
    assert_false(kinds[number[1] - 1].arms.tried);
    kind_find(kinds, 0, &another, ++call, &lost);
    assert_int_equal(lost, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(dispatch_and_combine_differ),   TEST(calls_that_cannot_go_deep_are_one_kind),
        TEST(a_kind_follows_its_calls),      TEST(doubtful_calls_are_what_was_expected),
        TEST(row_sizes_take_turns),          TEST(smaller_rows_are_taken_at_once_larger_ones_slowly),
        TEST(growing_calls_find_their_rows), TEST(the_kind_not_seen_for_longest_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
