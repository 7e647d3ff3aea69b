/* The tables of a kernel's jobs, on their way to the device. */
#ifndef HM_CUDA_TABLE_H
#define HM_CUDA_TABLE_H

#include "cuda_jobs.h"
#include "cuda_stage.h"

typedef struct hm_cuda_tables {
    hm_tables_t parameter; /* what the kernel gets */
    unsigned char *host;   /* where the tables are written, on 16 bytes */
    size_t bytes;
    hm_stage_t stage; /* of tables that are too large for parameters */
} hm_cuda_tables_t;

/* Room for `bytes` of tables. Call before cuda_begin. */
int cuda_tables_open(hm_context_t *context, size_t bytes, hm_cuda_tables_t *tables);

/* Launches a kernel whose first argument is the parameter; carries the tables over before it where they need that.
 * Call after cuda_begin. */
int cuda_tables_launch(hm_context_t *context, CUstream stream, hm_cuda_tables_t *tables, hm_cuda_kernel_t kernel,
                       uint64_t blocks, unsigned threads, void **arguments);

/* Fills in the table of segments from rows with the bits of their masks. Returns the number of rows, or UINT64_MAX
 * where an argument is broken. */
uint64_t cuda_segments_fill(hm_table_t *table, hm_segment_t *segment, const hm_rows_t *rows, const uint32_t *bit,
                            size_t mask_bytes);

static inline uint64_t cuda_tiles(uint64_t rows, uint64_t tile)
{
    return (rows + tile - 1) / tile;
}

#endif
