#include "prepare.h"

#include "planner/call/layout.h"

/* Scratch on the rank that needs most, for pieces of `width` bytes. */
static size_t need_of(hm_carry_t *carry, const hm_load_t *load, size_t width)
{
    return layout_need(carry->routes.depth[load->depth].paths, load->table, load->distinct, width, carry->work);
}

/* The widest pieces that keep scratch under the cap on every rank; 0 if not even 16 bytes of a row do. */
static size_t width_choose(hm_carry_t *carry, const hm_channel_t *channel, const hm_load_t *load, size_t *need)
{
    size_t cap = scratch_most(&carry->scratch), row_bytes = load->table->row_bytes;
    size_t lanes = (size_t)place_lanes(load->place, load->depth);
    hm_plan_options_t options = know_plan_options(channel);
    size_t slices = (size_t)plan_slices(load->place->topo, load->table, load->depth, &options);
    size_t wanted = message_width(row_bytes, lanes * slices);
    *need = need_of(carry, load, wanted);
    if (*need <= cap) return wanted;
    size_t whole = need_of(carry, load, row_bytes), fixed = need_of(carry, load, 0);
    if (fixed >= cap) return 0;
    size_t width = (size_t)((double)row_bytes * (double)(cap - fixed) / (double)(whole - fixed)) / 16 * 16;
    if (width == 0) return 0;
    width = message_width(row_bytes, (row_bytes + width - 1) / width);
    *need = need_of(carry, load, width);
    return *need <= cap ? width : 0;
}

/* Makes the routes of the depth on all ranks, once. */
static int routes_prepare(hm_carry_t *carry, hm_channel_t *channel, const hm_load_t *load, bool *ready)
{
    bool *agreed = &carry->routes.depth[load->depth].ready;
    *ready = *agreed;
    if (*ready) return 0;
    bool near = windows_possible(&carry->windows, channel);
    bool mine = routes_make(&carry->routes, load->place, channel->comm->rank, load->depth, near) == 0;
    int status = board_vote(load->board, channel, mine, ready);
    if (status == 0) *agreed = *ready;
    return status;
}

/* Gives the scratch of all ranks room for `need` bytes, or leaves it as it is where one cannot. */
static int scratch_prepare(hm_carry_t *carry, hm_channel_t *channel, const hm_load_t *load, size_t need, bool *ready)
{
    hm_scratch_t *scratch = &carry->scratch;
    size_t capacity = scratch_wanted(scratch, need);
    *ready = need <= scratch->capacity;
    if (*ready || (scratch->refused != 0 && capacity >= scratch->refused)) return 0;
    int status = windows_scratch_share(&carry->windows, scratch, channel, load->board, load->place, capacity, ready);
    if (status != 0 || *ready) return status;
    status = scratch_grow(scratch, channel, load->board, need, capacity, ready);
    if (status == 0 && *ready) carry->windows.use = HM_WINDOWS_OFF; /* only its rank reads such scratch */
    return status;
}

int prepare_run(hm_carry_t *carry, hm_channel_t *channel, hm_load_t *load, hm_reason_t *reason)
{
    bool ready;
    size_t need;
    int status = routes_prepare(carry, channel, load, &ready);
    *reason = HM_REASON_NO_MEMORY;
    if (status != 0 || !ready) return status;
    load->width = width_choose(carry, channel, load, &need);
    *reason = HM_REASON_SCRATCH_CAP;
    if (load->width == 0) return 0;
    status = scratch_prepare(carry, channel, load, need, &ready);
    *reason = ready ? HM_REASON_NONE : HM_REASON_NO_MEMORY;
    return status;
}
