// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of optimizers on the CPU.
#ifndef BQ_RUNTIME_CPU_CPUUPDATE_H
#define BQ_RUNTIME_CPU_CPUUPDATE_H

#include "dialect/core/CpuTarget.h"
#include "runtime/Backend.h"
#include "runtime/KernelCache.h"

namespace bq {

/// Backend::update on verified arguments. Any thread.
Status runUpdate(const UpdateArgs &args, const CpuTarget &target, KernelCache &cache, ParallelFor parallel);

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPUUPDATE_H
