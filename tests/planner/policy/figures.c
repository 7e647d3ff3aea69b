#include "figures.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW 200
#define QUIET 100
#define QUIET_FROM 20

static double regret(const sim_played_t *played, int from, int to)
{
    double lost = 0, best = 0;
    for (int i = from; i < to; i++) {
        lost += played[i].cost_ms - played[i].best_ms;
        best += played[i].best_ms;
    }
    return best > 0 ? 100 * lost / best : 0;
}

static double regret_step(const sim_played_t *played, int from, int to)
{
    double lost = 0, step = 0;
    for (int i = from; i < to; i++) {
        lost += played[i].cost_ms - played[i].best_ms;
        step += played[i].best_ms + played[i].rest_ms;
    }
    return step > 0 ? 100 * lost / step : 0;
}

static double slower_most(const sim_played_t *played, int calls)
{
    double most = -100;
    for (int from = WINDOW; from + WINDOW <= calls; from += WINDOW / 10) {
        double cost = 0, plain = 0;
        for (int i = from; i < from + WINDOW; i++) {
            cost += played[i].cost_ms;
            plain += played[i].plain_ms;
        }
        if (100 * (cost / plain - 1) > most) most = 100 * (cost / plain - 1);
    }
    return most;
}

/* Calls replaced of those whose gain, as a share of the plain time, is in [least, most). */
static double hits_count(const sim_played_t *played, int from, int to, double least, double most)
{
    int worth = 0, hits = 0;
    for (int i = from; i < to; i++) {
        double gain = 1 - played[i].best_ms / played[i].plain_ms;
        if (gain < least || gain >= most) continue;
        worth++;
        hits += played[i].depth > 0;
    }
    return worth > 0 ? 100. * hits / worth : 100;
}

static int ended_find(const sim_played_t *played, int calls)
{
    int left = 0;
    for (int i = QUIET_FROM; i < calls; i++) {
        left = played[i].depth > 0 ? 0 : left + 1;
        if (left == QUIET) return i + 1 - QUIET;
    }
    return -1;
}

sim_figures_t sim_figures(const sim_job_t *job, const sim_rule_t *rule, const char *seed, int from)
{
    sim_figures_t figures = {.worst = -100, .ended = -1};
    sim_seeds_t seeds = {seed, seed};
    int calls = job->calls, half = calls / 2, looks = 0;
    sim_played_t *played = malloc((size_t)calls * sizeof *played);
    if (played == NULL) {
        fprintf(stderr, "no memory for %d played calls\n", calls);
        abort();
    }
    figures.differ = sim_play(job, rule, &seeds, played);
    if (figures.differ == 0) {
        figures.first_20 = regret(played, 0, 20);
        figures.first_200 = regret(played, 0, WINDOW);
        figures.main = regret(played, 100, calls < 2000 ? calls : 2000);
        figures.late = regret(played, half, calls);
        figures.late_step = regret_step(played, half, calls);
        figures.alone = regret(played, WINDOW, calls);
        figures.worst = slower_most(played, calls);
        figures.hits = hits_count(played, from, calls, .15, 1);
        figures.hits_small = hits_count(played, from, calls, .03, .15);
        figures.ended = ended_find(played, calls);
        for (int i = half; i < calls; i++) looks += played[i].looked;
        figures.looks = 100. * looks / (calls - half);
    }
    free(played);
    return figures;
}

static void mean_add(double *mean, double figure)
{
    *mean += figure / SIM_SEEDS;
}

sim_figures_t sim_figures_mean(sim_job_id_t id, const sim_rule_t *rule)
{
    sim_figures_t mean = {.worst = -100, .ended = -1};
    for (int s = 0; s < SIM_SEEDS; s++) {
        sim_job_t job;
        sim_job_create(id, sim_seed_names[s], &job);
        sim_figures_t one = sim_figures(&job, rule, sim_seed_names[s], sim_known_from(id, &job));
        mean_add(&mean.first_20, one.first_20);
        mean_add(&mean.first_200, one.first_200);
        mean_add(&mean.main, one.main);
        mean_add(&mean.late, one.late);
        mean_add(&mean.late_step, one.late_step);
        mean_add(&mean.alone, one.alone);
        mean_add(&mean.hits, one.hits);
        mean_add(&mean.hits_small, one.hits_small);
        mean_add(&mean.looks, one.looks);
        if (one.worst > mean.worst) mean.worst = one.worst;
        if (one.ended > mean.ended) mean.ended = one.ended;
        mean.differ += one.differ;
        sim_job_destroy(&job);
    }
    return mean;
}

int sim_known_from(sim_job_id_t id, const sim_job_t *job)
{
    return id == SIM_TITAN_24 ? 3 * job->period : 2 * job->period;
}
