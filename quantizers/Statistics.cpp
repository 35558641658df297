// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/Statistics.h"

#include "quantizers/Tensors.h"

bq::CacheStats bq::kernelStatistics() { return take("bq", KernelCache::process())->stats(); }
