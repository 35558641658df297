// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ's noise, its gradient, and the range of a weight on the CPU.
#ifndef BQ_RUNTIME_CPU_CPUDIFFQNOISE_H
#define BQ_RUNTIME_CPU_CPUDIFFQNOISE_H

#include "dialect/core/CpuTarget.h"
#include "runtime/Backend.h"
#include "runtime/DiffqNoiseArgs.h"
#include "runtime/KernelCache.h"

namespace bq {

/// Backend::diffqNoise, diffqNoiseGrad and weightRange on verified arguments. Any thread.
Status runDiffqNoise(const DiffqNoiseArgs &args, const CpuTarget &target, KernelCache &cache, ParallelFor parallel);
Status runDiffqNoiseGrad(const DiffqNoiseGradArgs &args, const CpuTarget &target, KernelCache &cache,
                         ParallelFor parallel);
Status runWeightRange(const WeightRangeArgs &args, const CpuTarget &target, KernelCache &cache, ParallelFor parallel);

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPUDIFFQNOISE_H
