#include "clock.h"

#include "base/log.h"

#include <stdio.h>
#include <time.h>

/* Slots of one call's marks. */
enum { BEGIN, AGREED, END, STEPS, SLOTS = HM_CHANNEL_MARK / 2 };

static int slot_of(uint32_t call, int slot)
{
    return (int)(call % 2) * SLOTS + slot;
}

static hm_timed_t *timed_now(hm_clock_t *clock)
{
    return &clock->timed[clock->calls % 2];
}

static double host_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static uint32_t to_us(double ms)
{
    return ms <= 0 ? 0 : ms >= 4e6 ? UINT32_MAX : (uint32_t)(ms * 1e3) + 1;
}

/* A mark that could not be set leaves its call untimed. */
static void mark(hm_clock_t *clock, const hm_channel_t *channel, int slot)
{
    int status = channel->kernels->mark(channel->context, channel->stream, slot_of(clock->calls, slot));
    if (status != 0) timed_now(clock)->marked = false;
}

static bool span(const hm_channel_t *channel, uint32_t call, int from, int to, double *ms)
{
    return channel->kernels->span(channel->context, slot_of(call, from), slot_of(call, to), ms) == 0;
}

/* Says, part by part, how a transfer went on this rank. */
static void steps_say(const hm_clock_t *clock, const hm_channel_t *channel, double lead, double transfer)
{
    const hm_timed_t *timed = &clock->read;
    char text[SLOTS * 12];
    size_t used = 0;
    double ms;
    text[0] = '\0';
    for (int i = 0; i < timed->steps && used < sizeof text; i++)
        if (span(channel, clock->calls, i == 0 ? AGREED : STEPS + i - 1, STEPS + i, &ms))
            used += (size_t)snprintf(text + used, sizeof text - used, " %.3f", ms);
    comm_say(HM_LOG_TRACE, channel->comm, "call %u, depth %d: %.3f ms until agreed, %.3f ms transfer:%s",
             (unsigned)clock->calls - 2, timed->depth, lead, transfer, text);
}

/* Reads what the call before the last took. */
static void timed_read(hm_clock_t *clock, const hm_channel_t *channel)
{
    double lead, transfer;
    clock->lead_us = clock->transfer_us = 0;
    clock->read = *timed_now(clock);
    if (!clock->read.planned || !clock->read.marked) return;
    if (!span(channel, clock->calls, BEGIN, AGREED, &lead) || !span(channel, clock->calls, AGREED, END, &transfer))
        return;
    clock->lead_us = to_us(lead);
    clock->transfer_us = to_us(transfer);
    if (log_on(HM_LOG_TRACE)) steps_say(clock, channel, lead, transfer);
}

void clock_begin(hm_clock_t *clock, const hm_channel_t *channel)
{
    clock->calls++;
    clock->begun_ms = host_ms();
    timed_read(clock, channel);
    *timed_now(clock) = (hm_timed_t){.marked = true};
}

void clock_table(hm_clock_t *clock)
{
    double now = host_ms();
    clock->span_us = clock->table_ms > 0 ? to_us(now - clock->table_ms) : 0;
    clock->wait_us = to_us(now - clock->begun_ms);
    clock->table_ms = now;
}

void clock_drop(hm_clock_t *clock)
{
    clock->calls--;
    clock->span_us = clock->wait_us = 0;
}

void clock_joined(hm_clock_t *clock, const hm_channel_t *channel)
{
    mark(clock, channel, BEGIN);
}

void clock_agreed(hm_clock_t *clock, const hm_channel_t *channel, const hm_timed_t *planned)
{
    hm_timed_t *timed = timed_now(clock);
    mark(clock, channel, AGREED);
    timed->depth = planned->depth;
    timed->model_ms = planned->model_ms;
    timed->predicted_ms = planned->predicted_ms;
}

void clock_step(hm_clock_t *clock, const hm_channel_t *channel)
{
    hm_timed_t *timed = timed_now(clock);
    if (!log_on(HM_LOG_TRACE) || STEPS + timed->steps >= SLOTS) return;
    mark(clock, channel, STEPS + timed->steps++);
}

void clock_end(hm_clock_t *clock, const hm_channel_t *channel)
{
    mark(clock, channel, END);
    timed_now(clock)->planned = true;
}
