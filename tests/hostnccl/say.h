/* Messages. */
#ifndef HOST_SAY_H
#define HOST_SAY_H

#include "abi.h"

/* Sets the calling thread's last error and returns `result`; said on stderr too if NCCL_DEBUG asks for warnings. */
__attribute__((format(printf, 2, 3))) ncclResult_t say_error(ncclResult_t result, const char *format, ...);

/* The calling thread's last error. */
const char *say_last(void);

#endif
