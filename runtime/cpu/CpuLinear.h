// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The linear layer on the CPU: finds the kernel, converts the activations, spreads the tasks over threads.
#ifndef BQ_RUNTIME_CPU_CPULINEAR_H
#define BQ_RUNTIME_CPU_CPULINEAR_H

#include "runtime/KernelCache.h"
#include "runtime/cpu/CpuWeight.h"

namespace bq {

/// Backend::linear for a weight packed for this machine. Any thread.
Status runLinear(const CpuWeight &weight, const LinearArgs &args, KernelCache &cache, ParallelFor parallel);

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPULINEAR_H
