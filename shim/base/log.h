/* Messages, in the form of NCCL's: host:pid:tid [rank] HIERMOE WARN text. To stderr or HIERMOE_DEBUG_FILE, never to
 * stdout; one write per line, so that lines of many ranks do not mix. */
#ifndef HM_LOG_H
#define HM_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define HM_RANK_NONE (-1)

/* The words of HIERMOE_DEBUG, by index. */
typedef enum hm_log { HM_LOG_NONE, HM_LOG_WARN, HM_LOG_INFO, HM_LOG_TRACE } hm_log_t;

/* Whether a message of this level would be said; to skip work that is only for the message. */
bool log_on(hm_log_t level);

/* Says one line; longer text is cut at 1000 bytes. A warning that has been said in this process before, word for word,
 * is said at INFO. rank: of the communicator that it is about, or HM_RANK_NONE. Keeps errno. Any thread. */
void log_say(hm_log_t level, int rank, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same of a list of arguments. */
void log_list(hm_log_t level, int rank, const char *format, va_list arguments);

/* Says what is wrong with the settings and, at INFO, what is not as it is by default, the first time in a process.
 * rank: in the first communicator; from ranks above 0 at INFO, as rank 0 most likely has the same settings. */
void log_complaints(int rank);

/* Fills in %h (host), %p (process id), %r (rank; - for HM_RANK_NONE) and %% of a file name. false: too long. */
bool log_path(const char *pattern, int rank, char *path, size_t size);

/* Name of this host up to the first dot. */
const char *log_host(void);

#endif
