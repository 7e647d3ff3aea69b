#include "device.h"

const mp_device_t *device_find(void)
{
    const mp_device_t *host = device_host_find();
    return host ? host : device_cuda_find();
}
