/* Carrying the tables of jobs over: as parameters of the kernel itself, or through staging memory. */
#include "cuda_table.h"

int cuda_tables_open(hm_context_t *context, size_t bytes, hm_cuda_tables_t *tables)
{
    tables->bytes = cuda_round(bytes);
    tables->parameter.staged = NULL;
    tables->host = (unsigned char *)tables->parameter.held;
    if (bytes <= HM_TABLES_HELD) return 0;
    int status = cuda_stage(context, bytes, &tables->stage);
    if (status != 0) return status;
    tables->parameter.staged = (const unsigned char *)(uintptr_t)tables->stage.device;
    tables->host = tables->stage.host;
    return 0;
}

int cuda_tables_launch(hm_context_t *context, CUstream stream, hm_cuda_tables_t *tables, hm_cuda_kernel_t kernel,
                       uint64_t blocks, unsigned threads, void **arguments)
{
    int status = 0;
    bool staged = tables->parameter.staged != NULL;
    if (staged) status = cuda_stage_send(context, stream, &tables->stage, tables->bytes);
    if (status == 0) status = cuda_launch(context, stream, kernel, blocks, threads, staged, arguments);
    return status;
}
