// An adapter in C++ that needs the library may link it instead of asking whether it is preloaded.
#include <hiermoe.h>

#include <cstdio>

int main()
{
    const hiermoe_api_t *api = hiermoe_api();
    if (api->version < 1 || api != hiermoe_api_load()) return 1;
    std::printf("linked with libhiermoe.so %s\n", api->library);
    return 0;
}
