/* An adapter that needs the library may link it instead of asking whether it is preloaded. Also C++. */
#include <hiermoe.h>

#include <stdio.h>

int main(void)
{
    const hiermoe_api_t *api = hiermoe_api();
    if (api->version < 1 || api != hiermoe_api_load()) return 1;
    printf("linked with libhiermoe.so %s\n", api->library);
    return 0;
}
