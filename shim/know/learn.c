#include "learn.h"

#include "base/bytes.h"

#include <string.h>

#define PATIENCE 2    /* agreements without a gain before a place stops paying for them */
#define WIDEN_AFTER 4 /* agreements that a larger row must have fitted in a row */
#define PROBE_MAX 128 /* calls left alone between two tries, at most */

void learn_init(hm_learn_t *learn)
{
    memset(learn, 0, sizeof *learn);
}

static uint64_t outcome_hash(size_t row_bytes, bool worth)
{
    uint64_t hash = ((uint64_t)row_bytes * 2 + worth + 1) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 31;
}

/* The place that the last outcomes lead to. Where the table is full of others the oldest way is to share: a wrong
 * expectation costs time, never bytes. */
static hm_habit_t *habit_find(hm_learn_t *learn)
{
    uint64_t context = 1;
    for (int i = 0; i < 3; i++) context = (context ^ learn->history[i]) * 0xD6E8FEB86659FD93u + 1;
    if (context == 0) context = 1;
    size_t at = (size_t)(context >> 40) % HM_LEARN_HABITS;
    for (size_t tries = 0; tries < HM_LEARN_HABITS; tries++, at = (at + 1) % HM_LEARN_HABITS) {
        if (learn->habit[at].context == context) return &learn->habit[at];
        if (learn->habit[at].context != 0) continue;
        learn->habit[at] = (hm_habit_t){.context = context, .row_bytes = learn->row_bytes};
        return &learn->habit[at];
    }
    learn->habit[at] = (hm_habit_t){.context = context, .row_bytes = learn->row_bytes};
    return &learn->habit[at];
}

static void history_add(hm_learn_t *learn, uint64_t outcome)
{
    memmove(learn->history, learn->history + 1, 2 * sizeof learn->history[0]);
    learn->history[2] = outcome;
}

hm_expectation_t learn_expect(hm_learn_t *learn)
{
    hm_habit_t *habit = habit_find(learn);
    if (habit->left == 0) return (hm_expectation_t){true, habit->row_bytes};
    habit->left--;
    history_add(learn, habit->outcome);
    return (hm_expectation_t){false, habit->row_bytes};
}

/* The row size to expect at a place after an outcome. */
static size_t row_bytes_settle(hm_habit_t *habit, size_t row_bytes, size_t gcd)
{
    if (row_bytes == 0 || gcd <= row_bytes) {
        habit->streak = 0;
        return row_bytes == 0 ? bytes_gcd(habit->row_bytes, gcd) : row_bytes;
    }
    size_t common = habit->streak == 0 ? gcd : bytes_gcd(habit->wider, gcd);
    habit->wider = common;
    habit->streak = common > row_bytes ? habit->streak + 1 : 0;
    if (habit->streak < WIDEN_AFTER) return row_bytes;
    habit->streak = 0;
    return common;
}

void learn_note(hm_learn_t *learn, size_t row_bytes, size_t gcd, bool worth)
{
    hm_habit_t *habit = habit_find(learn);
    habit->row_bytes = row_bytes_settle(habit, row_bytes, gcd);
    /* Where no row fitted, what the counts have in common changes by chance. */
    habit->outcome = outcome_hash(row_bytes == 0 ? 0 : habit->row_bytes, worth);
    learn->row_bytes = habit->row_bytes;
    habit->idle = worth ? 0 : habit->idle + 1;
    if (habit->idle >= PATIENCE) {
        unsigned over = habit->idle - PATIENCE;
        habit->left = over < 5 ? 4u << over : PROBE_MAX;
    }
    history_add(learn, habit->outcome);
}
