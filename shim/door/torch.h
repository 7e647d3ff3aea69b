/* What the PyTorch that a function belongs to promises about its all-to-alls. */
#ifndef HM_TORCH_H
#define HM_TORCH_H

#include <stdbool.h>

/* Whether the groups of PyTorch's all-to-alls hold a send to and a receive from every rank, empty ones too: from 2.1
 * on, where built for NCCL 2.14 or later (pytorch/pytorch#103140). Before, a rank without tokens issues nothing at all,
 * and no other rank can know. at: code of the function. false also where the version cannot be found: the file lies in
 * a PyTorch tree, which has version.py or build-version beside its lib/. Reads a small file. Any thread. */
bool torch_legs_complete(const void *at);

#endif
