#include "learn.h"

#include <string.h>

#define PATIENCE 2    /* agreements without a gain before a place stops paying for them */
#define WIDEN_AFTER 4 /* agreements that a larger row must have fitted in a row */
#define PROBE_MAX 128 /* calls left alone between two tries, at most */

void learn_init(hm_learn_t *learn)
{
    memset(learn, 0, sizeof *learn);
    for (int k = 0; k < HM_LEARN_KINDS; k++) learn->kind[k].form = -1;
}

/* The record of a kind; kinds beyond the table share its last record, which only makes them learn worse. */
static hm_kind_t *kind_find(hm_learn_t *learn, int form, int type)
{
    int k = 0;
    while (k < HM_LEARN_KINDS - 1 && learn->kind[k].form != -1 &&
           (learn->kind[k].form != form || learn->kind[k].type != type))
        k++;
    if (learn->kind[k].form == -1) {
        learn->kind[k].form = form;
        learn->kind[k].type = type;
    }
    return &learn->kind[k];
}

static uint64_t outcome_hash(size_t row_bytes, bool worth)
{
    uint64_t hash = ((uint64_t)row_bytes * 2 + worth + 1) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 31;
}

/* The place that the last outcomes lead to. Where the table is full of others the oldest way is to share: a wrong
 * expectation costs time, never bytes. */
static hm_place_t *place_find(hm_kind_t *kind)
{
    uint64_t context = 1;
    for (int i = 0; i < 3; i++) context = (context ^ kind->history[i]) * 0xD6E8FEB86659FD93u + 1;
    if (context == 0) context = 1;
    size_t at = (size_t)(context >> 40) % HM_LEARN_PLACES;
    for (size_t tries = 0; tries < HM_LEARN_PLACES; tries++, at = (at + 1) % HM_LEARN_PLACES) {
        if (kind->place[at].context == context) return &kind->place[at];
        if (kind->place[at].context != 0) continue;
        kind->place[at] = (hm_place_t){.context = context, .row_bytes = kind->row_bytes};
        return &kind->place[at];
    }
    kind->place[at] = (hm_place_t){.context = context, .row_bytes = kind->row_bytes};
    return &kind->place[at];
}

static void history_add(hm_kind_t *kind, uint64_t outcome)
{
    memmove(kind->history, kind->history + 1, 2 * sizeof kind->history[0]);
    kind->history[2] = outcome;
}

hm_expectation_t learn_expect(hm_learn_t *learn, int form, int type)
{
    hm_kind_t *kind = kind_find(learn, form, type);
    hm_place_t *place = place_find(kind);
    if (place->left == 0) return (hm_expectation_t){true, place->row_bytes};
    place->left--;
    history_add(kind, place->outcome);
    return (hm_expectation_t){false, place->row_bytes};
}

/* The row size to expect at a place after an outcome. */
static size_t row_bytes_settle(hm_place_t *place, size_t row_bytes, size_t gcd)
{
    if (row_bytes == 0 || gcd <= row_bytes) {
        place->streak = 0;
        return row_bytes == 0 ? gcd : row_bytes;
    }
    size_t common = place->streak == 0 ? gcd : place->wider;
    for (size_t rest = gcd; rest != 0;) {
        size_t next = common % rest;
        common = rest;
        rest = next;
    }
    place->wider = common;
    place->streak = common > row_bytes ? place->streak + 1 : 0;
    if (place->streak < WIDEN_AFTER) return row_bytes;
    place->streak = 0;
    return common;
}

void learn_note(hm_learn_t *learn, int form, int type, size_t row_bytes, size_t gcd, bool worth)
{
    hm_kind_t *kind = kind_find(learn, form, type);
    hm_place_t *place = place_find(kind);
    place->row_bytes = row_bytes_settle(place, row_bytes, gcd);
    place->outcome = outcome_hash(place->row_bytes, worth);
    kind->row_bytes = place->row_bytes;
    place->idle = worth ? 0 : place->idle + 1;
    if (place->idle >= PATIENCE) {
        unsigned over = place->idle - PATIENCE;
        place->left = over < 5 ? 4u << over : PROBE_MAX;
    }
    history_add(kind, place->outcome);
}
