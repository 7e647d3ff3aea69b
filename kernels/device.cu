/* All kernels as one module. */
#include "identify.cu"
#include "move.cu"
#include "pick.cu"
