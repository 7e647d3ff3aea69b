/* Prints what each rule loses in each job: policy_regret [PART OF A JOB'S NAME]. The same table on every machine. */
#include "figures.h"

#include <stdio.h>
#include <string.h>

static const sim_rule_t *const rules[] = {&rule_before, &rule_policy};

static void row_print(const char *job, const sim_rule_t *rule, const sim_figures_t *f)
{
    if (f->differ > 0) {
        printf("%-26s %-8s ranks decide differently\n", job, rule->name);
        return;
    }
    printf("%-26s %-8s %7.1f %7.1f %7.2f %7.2f %7.2f %7.2f %7.1f %7.1f %7.1f %7.1f %6d\n", job, rule->name, f->first_20,
           f->first_200, f->main, f->late, f->late_step, f->alone, f->worst, f->hits, f->hits_small, f->looks,
           f->ended);
}

int main(int argc, char **argv)
{
    int differ = 0;
    if (argc > 2) {
        fprintf(stderr, "usage: %s [PART OF A JOB'S NAME]\n", argv[0]);
        return 2;
    }
    printf("Means over %d seeds, %d ranks; percent. Columns: figures.h.\n", SIM_SEEDS, SIM_RANKS);
    printf("%-26s %-8s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %6s\n", "job", "rule", "first20", "frst200", "100-2k",
           "late", "l.step", "200-", "worst", "hits", "h.small", "looks", "ended");
    for (int id = 0; id < SIM_JOBS; id++) {
        sim_job_t job;
        sim_job_create((sim_job_id_t)id, sim_seed_names[0], &job);
        for (size_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
            if (argc == 2 && strstr(job.name, argv[1]) == NULL) continue;
            sim_figures_t mean = sim_figures_mean((sim_job_id_t)id, rules[r]);
            row_print(job.name, rules[r], &mean);
            differ += mean.differ;
        }
        sim_job_destroy(&job);
    }
    return differ > 0;
}
