/* Names as NCCL exports them: a strong pncclX, and a weak ncclX at the same address. */
#ifndef HOST_EXPORT_H
#define HOST_EXPORT_H

#define HOSTNCCL_API(ret, name, params) \
    ret p##name params; \
    ret name params __attribute__((weak, alias("p" #name))); \
    ret p##name params

#endif
