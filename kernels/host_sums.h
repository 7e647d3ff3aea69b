/* Adding rows on the host, one plain function per kernel; called on the stream's thread. */
#ifndef HM_HOST_SUMS_H
#define HM_HOST_SUMS_H

#include "kernels.h"

/* The pieces are those of the job. */
void host_sums_invert(const hm_invert_job_t *job);

/* Row tables are those of host_rows_table_copy. */
void host_sums_add(const hm_sum_job_t *job);

/* The interface's functions. */
size_t host_tokens_bytes(size_t n, uint64_t tokens);
int host_tokens(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                const hm_bits_t *groups, int group_count, const hm_tokens_t *tokens, void *work,
                const hm_identity_t *identity, const hm_tokens_found_t *found);
size_t host_invert_bytes(size_t sums);
int host_invert(hm_context_t *context, void *stream, const hm_invert_job_t *job);
int host_sum(hm_context_t *context, void *stream, const hm_sum_job_t *jobs, int count);

#endif
