#include "kind.h"

#include <string.h>

#define BYTES_APART 4.     /* times as many bytes are another kind */
#define COPIES_APART .2    /* so many more copies are */
#define ROWS_APART .1      /* what a row that is a multiple of the other counts for; 1: another kind */
#define EXPECTED_APART 1.5 /* of the kind that was expected */
#define FOLLOW .125        /* of the way to each call */
#define WIDEN_AFTER 4

static size_t gcd_of(size_t a, size_t b)
{
    for (size_t rest; b != 0; a = b, b = rest) rest = a % b;
    return a;
}

/* 0: the same; up to 1: the same kind; far above it: another. */
static double distance(const hm_call_kind_t *kind, const hm_outcome_t *outcome)
{
    const double far = 1e9;
    if (kind->able != outcome->able) return far;
    if (!outcome->able) return 0;
    size_t small = kind->row_bytes, large = outcome->row_bytes;
    if (small > large) small = outcome->row_bytes, large = kind->row_bytes;
    if (large % small != 0) return far;
    if ((kind->copies < HM_KIND_COPIES) != (outcome->copies < HM_KIND_COPIES)) return far;
    double less = kind->bytes, more = outcome->bytes, copies = kind->copies - outcome->copies;
    if (less > more) less = outcome->bytes, more = kind->bytes;
    double bytes = (more / less - 1) / (BYTES_APART - 1);
    copies = (copies < 0 ? -copies : copies) / COPIES_APART;
    return (bytes > copies ? bytes : copies) + (large > small ? ROWS_APART : 0);
}

/* The nearest kind within 1, -1: none. */
static int nearest(const hm_call_kind_t *kinds, int expected, const hm_outcome_t *outcome)
{
    int best = -1;
    double least = 1;
    if (expected > 0 && distance(&kinds[expected - 1], outcome) <= EXPECTED_APART) return expected - 1;
    for (int k = 0; k < HM_KINDS; k++) {
        double off = kinds[k].used ? distance(&kinds[k], outcome) : 2;
        if (off > least) continue;
        least = off;
        best = k;
    }
    return best;
}

static int oldest(const hm_call_kind_t *kinds)
{
    int old = 0;
    for (int k = 0; k < HM_KINDS && kinds[old].used; k++)
        if (!kinds[k].used || kinds[k].last < kinds[old].last) old = k;
    return old;
}

static void row_settle(hm_call_kind_t *kind, const hm_outcome_t *outcome)
{
    if (outcome->row_bytes < kind->row_bytes) kind->row_bytes = outcome->row_bytes;
    size_t common = kind->streak == 0 ? outcome->gcd : gcd_of(kind->wider, outcome->gcd);
    kind->wider = common;
    kind->streak = common > kind->row_bytes ? (uint8_t)(kind->streak + 1) : 0;
    if (kind->streak < WIDEN_AFTER) return;
    kind->row_bytes = common;
    kind->streak = 0;
}

/* A new kind knows of its rows what the latest kind with such rows does. */
static void row_inherit(hm_call_kind_t *kinds, int at)
{
    const hm_call_kind_t *latest = NULL;
    for (int k = 0; k < HM_KINDS; k++) {
        if (k == at || !kinds[k].used || kinds[k].row_bytes != kinds[at].row_bytes) continue;
        if (latest == NULL || kinds[k].last > latest->last) latest = &kinds[k];
    }
    if (latest == NULL) return;
    kinds[at].streak = latest->streak;
    kinds[at].wider = latest->wider;
}

int kind_find(hm_call_kind_t kinds[HM_KINDS], int expected, const hm_outcome_t *outcome, uint64_t call, int *lost)
{
    int at = nearest(kinds, expected, outcome);
    *lost = 0;
    if (at < 0) {
        at = oldest(kinds);
        if (kinds[at].used) *lost = at + 1;
        memset(&kinds[at], 0, sizeof kinds[at]);
        kinds[at].used = true;
        kinds[at].able = outcome->able;
        kinds[at].bytes = outcome->bytes;
        kinds[at].copies = outcome->copies;
        kinds[at].row_bytes = outcome->able ? outcome->row_bytes : 0;
        if (outcome->able) row_inherit(kinds, at);
    }
    hm_call_kind_t *kind = &kinds[at];
    kind->last = call;
    kind->bytes += (outcome->bytes - kind->bytes) * FOLLOW;
    kind->copies += (outcome->copies - kind->copies) * FOLLOW;
    if (kind->able) row_settle(kind, outcome);
    return at + 1;
}
