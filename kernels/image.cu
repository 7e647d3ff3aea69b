/* All kernels as one module. */
#include "identify_class.cu"
#include "identify_compare.cu"
#include "identify_label.cu"
#include "move.cu"
#include "period_count.cu"
#include "pick.cu"
