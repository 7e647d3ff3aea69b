#include "ranks.h"

#include "draw.h"

#include <stdio.h>
#include <stdlib.h>

#define GAP_NOISE .05
#define LEAD_NOISE .3
#define HICCUP_CHANCE .01
#define HICCUP 5
#define UNREAD_CHANCE .004 /* that some rank cannot read its times */
#define WAKE_MS .02        /* until a host notices that the table is there, in the mean */

/* What each rank measured of one look; 0 us: it could not. */
typedef struct measured {
    uint32_t lead_us[SIM_RANKS], transfer_us[SIM_RANKS], wait_us[SIM_RANKS];
    double agreed_ms; /* rank 0's clock when it had the table */
} measured_t;

typedef struct play {
    const sim_job_t *job;
    const sim_rule_t *rule;
    char *state[SIM_RANKS];
    uint64_t seed;  /* of what happens */
    uint64_t local; /* of what each rank sees of it, where that must not matter */
    double clock_ms;
    measured_t look[3]; /* by number of the look */
    int looks;
} play_t;

static double call_noise(play_t *play)
{
    double factor = draw_factor(&play->seed, play->job->noise);
    return draw_unit(&play->seed) < HICCUP_CHANCE ? HICCUP * factor : factor;
}

static uint32_t to_us(double ms)
{
    return ms <= 0 ? 0 : (uint32_t)(ms * 1e3) + 1;
}

static int rank_draw(uint64_t *seed)
{
    return (int)(draw_unit(seed) * SIM_RANKS);
}

/* Each rank's own times of a look. The last to come in waits for nobody, the slowest transfer is what the job waits
 * for, the host that is farthest ahead is held up longest: what the others see is theirs. */
static void look_measure(play_t *play, double lead_ms, double transfer_ms, double wait_ms)
{
    measured_t *look = &play->look[play->looks % 3];
    double held_ms = play->job->ahead_ms * (.7 + .6 * draw_unit(&play->seed)) + lead_ms + wait_ms;
    bool unread = draw_unit(&play->seed) < UNREAD_CHANCE;
    int last = rank_draw(&play->local), slowest = rank_draw(&play->local), held = rank_draw(&play->local);
    for (int r = 0; r < SIM_RANKS; r++) {
        double part = r == slowest ? 1 : .7 + .3 * draw_unit(&play->local);
        look->lead_us[r] = to_us(lead_ms + (r == last ? 0 : wait_ms * draw_unit(&play->local)));
        look->transfer_us[r] = to_us(transfer_ms * part);
        look->wait_us[r] = to_us(held_ms * (r == held ? 1 : draw_unit(&play->local)));
    }
    if (unread) look->transfer_us[rank_draw(&play->local)] = 0;
    look->agreed_ms = play->clock_ms + lead_ms + draw_wait(&play->seed, WAKE_MS);
    play->looks++;
}

/* What the ranks' words make of the last looks, as the library's agreement does. */
static void times_agree(const play_t *play, sim_agreed_t *agreed)
{
    const measured_t *last = &play->look[(play->looks + 2) % 3], *before = &play->look[(play->looks + 1) % 3];
    for (int r = 0; r < SIM_RANKS && play->looks > 0; r++)
        if (last->wait_us[r] > agreed->wait_us) agreed->wait_us = last->wait_us[r];
    if (play->looks < 2) return;
    agreed->span_us = to_us(last->agreed_ms - before->agreed_ms);
    agreed->timed = true;
    agreed->lead_us = UINT32_MAX;
    for (int r = 0; r < SIM_RANKS; r++) {
        if (before->lead_us[r] == 0 || before->transfer_us[r] == 0) agreed->timed = false;
        if (before->lead_us[r] < agreed->lead_us) agreed->lead_us = before->lead_us[r];
        if (before->transfer_us[r] > agreed->transfer_us) agreed->transfer_us = before->transfer_us[r];
    }
}

/* What the counts of all ranks have in common is now and then a multiple of the row. */
static size_t gcd_draw(play_t *play, const sim_kind_t *kind)
{
    double unit = draw_unit(&play->seed);
    if (kind->row_bytes < SIM_ROW_LEAST) return kind->row_bytes * (1 + (size_t)(unit * 6));
    return kind->row_bytes * (unit < .04 ? 2 : unit < .05 ? 3 : 1);
}

static void call_describe(play_t *play, const sim_call_t *call, size_t row_bytes, sim_agreed_t *agreed, int *rounds)
{
    const sim_job_t *job = play->job;
    const sim_kind_t *kind = &job->kind[call->kind];
    *agreed = (sim_agreed_t){.gcd = gcd_draw(play, kind), .bytes = kind->bytes * call->scale, .copies = kind->copies};
    bool fits = row_bytes >= SIM_ROW_LEAST && agreed->gcd % row_bytes == 0;
    agreed->row_bytes = fits ? row_bytes : agreed->gcd >= SIM_ROW_LEAST ? agreed->gcd : 0;
    agreed->able = agreed->row_bytes != 0 && agreed->bytes >= SIM_BYTES_LEAST;
    *rounds = fits || agreed->row_bytes == 0 ? 1 : 2;
    for (int d = 0; d <= SIM_DEPTHS; d++) /* where rows differ, the model errs alike for all depths */
        agreed->model_ms[d] = kind->ms[d] * call->scale * job->bias[kind->copies >= .05 ? d : 0];
}

/* All ranks are asked; false: they do not decide alike. */
static bool ranks_expect(play_t *play, bool *look, size_t *row_bytes)
{
    for (int r = 0; r < SIM_RANKS; r++) {
        size_t mine = 0;
        bool looks = play->rule->expect(play->state[r], &mine);
        if (r == 0) *look = looks, *row_bytes = mine;
        if (looks != *look || (looks && mine != *row_bytes)) return false;
    }
    return true;
}

static bool ranks_decide(play_t *play, const sim_agreed_t *agreed, int *depth)
{
    for (int r = 0; r < SIM_RANKS; r++) {
        int mine = play->rule->decide(play->state[r], agreed);
        if (r == 0) *depth = mine;
        if (mine != *depth) return false;
    }
    return true;
}

/* Plays one call; false: the ranks do not decide alike. */
static bool call_play(play_t *play, const sim_call_t *call, sim_played_t *played)
{
    const sim_job_t *job = play->job;
    const sim_kind_t *kind = &job->kind[call->kind];
    size_t row_bytes = 0;
    double wait = draw_wait(&play->seed, job->wait_ms), lead = 0, hidden = 0;
    *played = (sim_played_t){.plain_ms = kind->ms[0] * call->scale, .rest_ms = call->gap_ms + job->wait_ms};
    sim_call_best(job, call, &played->best_ms);
    play->clock_ms += call->gap_ms * draw_factor(&play->seed, GAP_NOISE) + wait;
    if (!ranks_expect(play, &played->looked, &row_bytes)) return false;
    if (played->looked) {
        sim_agreed_t agreed;
        int rounds;
        call_describe(play, call, row_bytes, &agreed, &rounds);
        times_agree(play, &agreed);
        if (!ranks_decide(play, &agreed, &played->depth)) return false;
        double off = draw_gauss(&play->seed);
        lead = job->look_ms * rounds * smooth_exp(LEAD_NOISE * (off < 0 ? -off : off));
        hidden = job->hidden_ms;
        played->cost_ms = job->look_ms * rounds + hidden;
    }
    double transfer = kind->ms[played->depth] * call->scale;
    played->cost_ms += transfer;
    transfer *= call_noise(play);
    if (played->looked) look_measure(play, lead, transfer, wait);
    play->clock_ms += lead + hidden + transfer;
    return true;
}

int sim_play(const sim_job_t *job, const sim_rule_t *rule, const sim_seeds_t *seeds, sim_played_t *played)
{
    play_t play = {.job = job, .rule = rule, .seed = draw_seed(seeds->job) * 7 + 1, .local = draw_seed(seeds->ranks)};
    size_t bytes = (rule->bytes + 63) / 64 * 64;
    char *states = malloc(SIM_RANKS * bytes);
    int differ = 0;
    if (states == NULL) {
        fprintf(stderr, "no memory for the ranks' states\n");
        abort();
    }
    for (int r = 0; r < SIM_RANKS; r++) rule->init(play.state[r] = states + (size_t)r * bytes);
    for (int i = 0; i < job->calls && differ == 0; i++) differ = !call_play(&play, &job->call[i], &played[i]);
    free(states);
    return differ;
}
