/* hiermoe fit: the job that measures. */
#ifndef HM_FIT_JOB_H
#define HM_FIT_JOB_H

#define HM_EXIT_NOT_FOUND 127 /* what a shell returns for a command that could not be started */

/* Sets what makes the job's ranks load the library and measure into `out`; sizes may be NULL. 0, or the exit status,
 * said.
 */
int fit_environment_set(const char *library, const char *out, const char *sizes);

/* Runs the job and hands SIGTERM and SIGHUP on to it. Returns its exit status as a shell does (128 + signal). */
int fit_job_run(char **command);

#endif
