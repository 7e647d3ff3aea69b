#include "loads.h"

#include <stdbool.h>
#include <string.h>

void loads_add(const uint16_t *ids, size_t tokens, int top_k, uint64_t *loads)
{
    for (size_t i = 0; i < tokens * (size_t)top_k; i++) loads[ids[i]]++;
}

uint64_t loads_sum(const uint64_t *loads, int experts)
{
    uint64_t sum = 0;
    for (int e = 0; e < experts; e++) sum += loads[e];
    return sum;
}

/* Merges two ordered runs of ids, from[0] ... from[middle - 1] and those up to from[end - 1]; of equals the left first.
 */
static void runs_merge(const uint64_t *loads, const int *from, int middle, int end, int *to)
{
    int left = 0, right = middle;
    while (left < middle && right < end) {
        bool take = loads[from[right]] > loads[from[left]];
        *to++ = take ? from[right] : from[left];
        right += take;
        left += !take;
    }
    while (left < middle) *to++ = from[left++];
    while (right < end) *to++ = from[right++];
}

/* Merge sort from the bottom up: stable, so equals keep the order of their ids. */
void loads_order(const uint64_t *loads, int experts, int *order, int *work)
{
    int *from = order, *to = work;
    for (int e = 0; e < experts; e++) order[e] = e;
    for (int run = 1; run < experts; run *= 2) {
        for (int at = 0; at < experts; at += 2 * run) {
            int left = experts - at < run ? experts - at : run;
            int both = experts - at < 2 * run ? experts - at : 2 * run;
            runs_merge(loads, from + at, left, both, to + at);
        }
        int *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != order) memcpy(order, from, (size_t)experts * sizeof(*order));
}
