/* Row work of the host back end, one plain function per kernel; called on the stream's thread. */
#ifndef HM_HOST_ROWS_H
#define HM_HOST_ROWS_H

#include "kernels.h"

/* Arguments of identify with copies of the caller's host arrays, one block to free. */
typedef struct hm_host_identify {
    hm_rows_t rows;
    const uint32_t *bit;
    const hm_bits_t *groups;
    int group_count, fingerprint_bits;
    void *work;
    hm_identity_t identity;
} hm_host_identify_t;

hm_host_identify_t *host_rows_pack(const hm_rows_t *rows, const uint32_t *bit, const hm_bits_t *groups,
                                   int group_count);

/* *arguments points to a hm_host_identify_t *, which is freed. */
void host_rows_identify(const void *arguments);
size_t host_rows_identify_bytes(size_t n);

/* Counts the distinct rows and those with a bit in each group, from their masks. */
void host_rows_groups_count(const hm_host_identify_t *call, uint32_t distinct);

void host_rows_pick(const hm_pick_job_t *job);
void host_rows_move(const hm_move_job_t *job);

/* A segment table copied into `memory` of host_rows_table_bytes bytes; `rows` become first row numbers. */
size_t host_rows_table_bytes(const hm_rows_t *rows);
const hm_rows_t *host_rows_table_copy(const hm_rows_t *rows, void *memory);

/* The bytes of row `number` of such a copy. */
const char *host_rows_table_row(const hm_rows_t *table, size_t number);

#endif
