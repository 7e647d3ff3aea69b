#include "sizes.h"

#include "base/bytes.h"

#include <string.h>

#define SIZE_LEAST 64 /* bytes: rows in question */
#define SIZE_MOST 65536
#define GOOD (HM_PERIOD_ONE / 16)   /* saved: no other size is looked for */
#define BETTER (HM_PERIOD_ONE / 32) /* so much more must a size save to be tried after another one */
#define AGAIN 61                    /* every so many looks the bytes are searched whatever is known */
#define BARREN_MOST 10              /* at most 2^10 looks between two searches that bring nothing */

int sizes_list(size_t gcd, uint32_t *size)
{
    int count = 0;
    size_t step = gcd & -gcd, most = gcd < SIZE_MOST ? gcd : SIZE_MOST;
    if (gcd == 0) return 0;
    if (step > 16) step = 16;
    for (size_t bytes = most / step * step; bytes >= SIZE_LEAST && count < HM_PERIOD_SIZES; bytes -= step)
        if (gcd % bytes == 0) size[count++] = (uint32_t)bytes;
    return count;
}

void sizes_vote_add(hm_size_vote_t *vote, uint32_t row_bytes, uint32_t share)
{
    int i = 0;
    if (row_bytes == 0) return;
    while (i < vote->sizes && vote->found[i].row_bytes != row_bytes) i++;
    if (i == (int)(sizeof vote->found / sizeof vote->found[0])) return;
    if (i == vote->sizes) {
        vote->found[i].row_bytes = row_bytes;
        vote->sizes++;
    }
    vote->found[i].ranks++;
    vote->found[i].share += share;
}

size_t sizes_vote_count(const hm_size_vote_t *vote, size_t gcd, int ranks, int64_t *net)
{
    size_t best = 0;
    int64_t best_net = 0;
    for (int i = 0; i < vote->sizes; i++) {
        uint32_t bytes = vote->found[i].row_bytes;
        int64_t sum = 0;
        if (gcd % bytes != 0) continue;
        for (int j = 0; j < vote->sizes; j++) {
            if (vote->found[j].row_bytes % bytes != 0) continue;
            sum += (int64_t)vote->found[j].share + vote->found[j].ranks * period_net(0, bytes);
        }
        if (sum < best_net || (sum == best_net && bytes <= best) || sum <= 0) continue;
        best = bytes;
        best_net = sum;
    }
    *net = best_net / ranks;
    return best;
}

void sizes_init(hm_sizes_t *sizes)
{
    memset(sizes, 0, sizeof *sizes);
}

static hm_size_kind_t *kind_find(hm_sizes_t *sizes, size_t gcd)
{
    for (int i = 0; i < HM_SIZE_KINDS; i++)
        if (sizes->kind[i].gcd == gcd) return &sizes->kind[i];
    return NULL;
}

static void kind_keep(hm_sizes_t *sizes, size_t gcd, size_t row_bytes)
{
    hm_size_kind_t *kind = kind_find(sizes, gcd);
    for (int i = 0; kind == NULL && i < HM_SIZE_KINDS; i++)
        if (sizes->kind[i].gcd == 0) kind = &sizes->kind[i];
    if (kind == NULL) {
        kind = &sizes->kind[0];
        for (int i = 1; i < HM_SIZE_KINDS; i++)
            if (sizes->kind[i].used < kind->used) kind = &sizes->kind[i];
    }
    *kind = (hm_size_kind_t){gcd, row_bytes, sizes->looks};
}

bool sizes_proven(const hm_sizes_t *sizes, size_t row_bytes)
{
    for (int i = 0; i < HM_SIZE_KINDS; i++)
        if (sizes->kind[i].gcd != 0 && sizes->kind[i].row_bytes == row_bytes) return true;
    return false;
}

static bool tried(const hm_size_look_t *look, size_t row_bytes)
{
    for (int i = 0; i < look->rounds; i++)
        if (look->try[i].row_bytes == row_bytes) return true;
    return false;
}

static hm_size_try_t round_add(hm_size_look_t *look, size_t row_bytes, bool search)
{
    hm_size_try_t next = {row_bytes, search && !look->searched};
    look->searched |= next.search;
    look->try[look->rounds++] = next;
    return next;
}

/* Whether the bytes are searched although a size is known, which may be good without being the best: where the first
 * calls held zeros they said little. Look 4, 8, 16, ... and every AGAIN-th: a prime, since kinds of calls take turns.
 */
static bool look_again(uint64_t number)
{
    return (number >= 4 && (number & (number - 1)) == 0) || number % AGAIN == AGAIN - 1;
}

hm_size_try_t sizes_begin(hm_sizes_t *sizes, size_t expected, hm_size_look_t *look)
{
    *look = (hm_size_look_t){.best_net = INT64_MIN};
    uint64_t number = sizes->looks++;
    bool due = number >= sizes->due;
    /* Rows that will be refused are not looked at: that takes memory for each of them. */
    if (expected < HM_ROW_BYTES_MIN) return round_add(look, 0, due);
    return round_add(look, expected, due && look_again(number));
}

/* The size known for such counts, else the one used last that fits them; 0: none that was not tried. */
static size_t size_remembered(hm_sizes_t *sizes, const hm_size_look_t *look, size_t gcd)
{
    hm_size_kind_t *kind = kind_find(sizes, gcd);
    if (kind == NULL && look->best == 0)
        for (int i = 0; i < HM_SIZE_KINDS; i++) {
            hm_size_kind_t *other = &sizes->kind[i];
            if (other->gcd == 0 || gcd % other->row_bytes != 0 || tried(look, other->row_bytes)) continue;
            if (kind == NULL || other->used > kind->used) kind = other;
        }
    if (kind == NULL || tried(look, kind->row_bytes)) return 0;
    return kind->row_bytes;
}

/* What a size that does not fit has in common with the counts: it may be a multiple of the true size. Else all of what
 * the counts have in common. */
static size_t size_common(const hm_size_look_t *look, size_t gcd)
{
    size_t common = bytes_gcd(look->try[look->rounds - 1].row_bytes, gcd);
    return common >= SIZE_LEAST && !tried(look, common) ? common : gcd;
}

/* A larger size than the last one, which made too many rows. */
static bool size_widen(const hm_size_look_t *look, const hm_size_outcome_t *outcome, bool search, hm_size_try_t *next)
{
    const size_t wider[] = {look->best, look->found, outcome->gcd};
    for (size_t i = 0; i < 3; i++) {
        if (wider[i] <= look->try[look->rounds - 1].row_bytes) continue;
        if (wider[i] != look->best && tried(look, wider[i])) continue;
        *next = (hm_size_try_t){wider[i], search};
        return true;
    }
    return false;
}

/* The search of this look, if there was one, found what saves something, or did not. */
static void look_settle(hm_sizes_t *sizes, const hm_size_look_t *look, size_t gcd)
{
    bool good = look->best_net >= GOOD;
    hm_size_kind_t *kind = kind_find(sizes, gcd);
    if (good && (kind != NULL || look->best == look->found)) kind_keep(sizes, gcd, look->best);
    if (!look->searched) return;
    sizes->barren = good ? 0 : sizes->barren + 1;
    unsigned doublings = sizes->barren < BARREN_MOST ? sizes->barren : BARREN_MOST;
    sizes->due = sizes->looks + (good ? 0 : ((uint64_t)1 << doublings) - 1);
}

/* Which size comes next, and whether with a search; false: none. */
static bool size_choose(hm_sizes_t *sizes, const hm_size_look_t *look, const hm_size_outcome_t *outcome,
                        hm_size_try_t *next)
{
    bool due = !look->searched && sizes->looks > sizes->due;
    size_t last = look->try[look->rounds - 1].row_bytes;
    if (outcome->crowded) return size_widen(look, outcome, due, next);
    *next = (hm_size_try_t){.search = false};
    if (look->found != 0 && !tried(look, look->found) &&
        (look->best == 0 || look->found_net > look->best_net + BETTER)) {
        next->row_bytes = look->found;
        return true;
    }
    next->row_bytes = size_remembered(sizes, look, outcome->gcd);
    if (next->row_bytes != 0) return true;
    if (look->best == 0) {
        *next = (hm_size_try_t){size_common(look, outcome->gcd), due};
        return next->row_bytes >= HM_ROW_BYTES_MIN && !tried(look, next->row_bytes);
    }
    if (look->best_net < GOOD && due) {
        *next = (hm_size_try_t){look->best, true};
        return true;
    }
    next->row_bytes = look->best; /* an earlier round was better */
    return look->best != last;
}

bool sizes_next(hm_sizes_t *sizes, hm_size_look_t *look, const hm_size_outcome_t *outcome, hm_size_try_t *next)
{
    size_t last = look->try[look->rounds - 1].row_bytes;
    if (look->try[look->rounds - 1].search) {
        look->found = outcome->found;
        look->found_net = outcome->found_net;
    }
    if (outcome->fits && last != 0 && outcome->net > look->best_net) {
        look->best = last;
        look->best_net = outcome->net;
    }
    if (outcome->gcd > 0 && look->rounds < HM_SIZE_ROUNDS && size_choose(sizes, look, outcome, next)) {
        *next = round_add(look, next->row_bytes, next->search);
        return true;
    }
    if (outcome->gcd > 0) look_settle(sizes, look, outcome->gcd);
    return false;
}
