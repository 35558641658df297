// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the kernels of libbq_torch.so have cost this process.
#ifndef BQ_QUANTIZERS_STATISTICS_H
#define BQ_QUANTIZERS_STATISTICS_H

#include "quantizers/Export.h"
#include "runtime/KernelCache.h"

namespace bq {

/// The statistics of the library's kernel cache; all zero before the first kernel. Any thread. Throws c10::Error where
/// the cache's environment variables are wrong.
BQ_TORCH_API CacheStats kernelStatistics();

} // namespace bq

#endif // BQ_QUANTIZERS_STATISTICS_H
