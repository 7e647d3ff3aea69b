/* The job that the command starts, and waits for. */
#ifndef HM_JOB_H
#define HM_JOB_H

#define HM_EXIT_NOT_FOUND 127 /* what a shell returns for a command that could not be started */

/* From here on this process is not ended by writing to a pipe that nobody reads, and is told of its children's ends; the
 * job finds both as they were. job_run does it where it has not been done. */
void job_prepare(void);

/* Runs the job and hands signals on to it: SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2, but those of a
 * terminal, which the job gets itself. Returns 0 with *status as waitpid has it, or the exit status, said as `verb`'s.
 */
int job_run(const char *verb, char **command, int *status);

/* The exit status of a shell for what waitpid says: 128 + signal. */
int job_status(int status);

/* Ends this process as the job ended: by the same signal, without a core file of its own, or by its exit status. */
_Noreturn void job_end_alike(int status);

#endif
