/* What cuda.c puts together: the interface's functions, and how each part of a context begins and ends. */
#ifndef HM_CUDA_PARTS_H
#define HM_CUDA_PARTS_H

#include "cuda_context.h"

/* Parts. An open returns 0 or as cuda_check; a close takes a part that was opened in part or not at all. `idle`: no
 * work of the context is on the device any more, so that memory which it may have read or written can go. */

/* Finds the device, `wanted` or (below 0) the calling thread's current one. The device itself is not entered yet. */
int cuda_device_find(hm_context_t *context, int wanted);
/* Asks what the device is like and loads the kernels, once for each CUDA context. */
int cuda_device_open(hm_context_t *context);
int cuda_memory_open(hm_context_t *context);
/* Pinned memory that the device may still write to is left allocated. */
void cuda_memory_close(hm_context_t *context, bool idle);
/* Reserve room for all but the largest tables and picks, so that later calls seldom need memory. */
int cuda_stage_open(hm_context_t *context);
void cuda_stage_close(hm_context_t *context);
int cuda_scan_open(hm_context_t *context);
void cuda_scan_close(hm_context_t *context);
int cuda_beside_open(hm_context_t *context);
void cuda_beside_close(hm_context_t *context);
/* Whether memory is shared that would be left allocated if the context ended before its work. */
bool cuda_share_pending(const hm_context_t *context);
void cuda_share_close(hm_context_t *context, bool idle);
void cuda_mark_close(hm_context_t *context);

/* The interface's functions (kernels.h), one source file for each group. */
int cuda_memory_alloc(hm_context_t *context, size_t bytes, void **memory);
void cuda_memory_free(hm_context_t *context, void *memory);
int cuda_host_alloc(hm_context_t *context, size_t bytes, void **memory);
void cuda_host_free(hm_context_t *context, void *memory);

int cuda_capturing(hm_context_t *context, void *stream);
int cuda_join(hm_context_t *context, void *stream);
int cuda_copy(hm_context_t *context, void *stream, void *dst, const void *src, size_t bytes);
int cuda_wait(hm_context_t *context, void *stream, double seconds, const atomic_int *cancel);
int cuda_claim(hm_context_t *context, void *stream, hm_claim_t *claim, uint32_t *word, uint32_t value);

size_t cuda_identify_bytes(size_t n);
int cuda_identify(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                  const hm_bits_t *groups, int group_count, int fingerprint_bits, void *work,
                  const hm_identity_t *identity);
size_t cuda_period_bytes(const hm_period_job_t *job);
int cuda_period(hm_context_t *context, void *stream, const hm_period_job_t *job, void *work, uint32_t *found);
size_t cuda_tokens_bytes(size_t n, uint64_t tokens);
int cuda_tokens(hm_context_t *context, void *stream, const hm_rows_t *rows, const uint32_t *bit,
                const hm_bits_t *groups, int group_count, const hm_tokens_t *tokens, void *work,
                const hm_identity_t *identity, const hm_tokens_found_t *found);
size_t cuda_invert_bytes(size_t sums);
int cuda_invert(hm_context_t *context, void *stream, const hm_invert_job_t *job);
int cuda_sum(hm_context_t *context, void *stream, const hm_sum_job_t *jobs, int count);
int cuda_pick(hm_context_t *context, void *stream, const hm_pick_job_t *jobs, int count);
int cuda_map(hm_context_t *context, void *stream, const hm_map_job_t *jobs, int count);
int cuda_move(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count);

int cuda_fork(hm_context_t *context, void *stream);
int cuda_move_beside(hm_context_t *context, void *stream, const hm_move_job_t *jobs, int count);
int cuda_merge(hm_context_t *context, void *stream);

int cuda_share(hm_context_t *context, size_t bytes, void **memory, unsigned char *ticket);
int cuda_window_open(hm_context_t *context, const unsigned char *ticket, void **window);
void cuda_abandon(hm_context_t *context);

int cuda_mark(hm_context_t *context, void *stream, int slot);
int cuda_span(hm_context_t *context, int from, int to, double *ms);

#endif
