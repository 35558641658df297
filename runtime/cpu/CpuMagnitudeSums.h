// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Sums of magnitudes on the CPU.
#ifndef BQ_RUNTIME_CPU_CPUMAGNITUDESUMS_H
#define BQ_RUNTIME_CPU_CPUMAGNITUDESUMS_H

#include "dialect/core/CpuTarget.h"
#include "runtime/Backend.h"
#include "runtime/KernelCache.h"

namespace bq {

/// Backend::magnitudeSums on verified arguments. Any thread.
Status runMagnitudeSums(const MagnitudeSumsArgs &args, const CpuTarget &target, KernelCache &cache,
                        ParallelFor parallel);

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPUMAGNITUDESUMS_H
