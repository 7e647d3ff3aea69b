/* Finding the CUDA driver. */
#include "cuda_driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static hm_cuda_t driver;
static char missing[96]; /* empty: the driver is there */

static void symbol_find(void *library, const char *symbol, void *function)
{
    void *found = dlsym(library, symbol);
    memcpy(function, &found, sizeof found);
    if (found == NULL && missing[0] == '\0')
        snprintf(missing, sizeof missing, "the CUDA driver is older than 11.3: it lacks %s", symbol);
}

static void driver_find(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(missing, sizeof missing, "there is no CUDA driver (libcuda.so.1 was not found)");
        return;
    }
#define HM_CUDA_TEXT(symbol) #symbol
#define HM_CUDA_SYMBOL(symbol) HM_CUDA_TEXT(symbol)
#define HM_CUDA_FIND(name) symbol_find(library, HM_CUDA_SYMBOL(name), &driver.name##_);
    HM_CUDA_CALLS(HM_CUDA_FIND)
    void *load = dlsym(library, "cuFuncLoad"), *launch = dlsym(library, "cuLaunchKernelEx");
    memcpy(&driver.load_function, &load, sizeof load);
    symbol_find(library, "cuEventElapsedTime", &driver.event_elapsed);
    memcpy(&driver.launch_with, &launch, sizeof launch);
}

const hm_cuda_t *cuda_driver_open(const char **why)
{
    pthread_once(&opened, driver_find);
    if (missing[0] == '\0') return &driver;
    *why = missing;
    return NULL;
}
