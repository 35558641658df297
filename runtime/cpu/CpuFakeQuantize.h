// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Fake quantization and its gradient on the CPU.
#ifndef BQ_RUNTIME_CPU_CPUFAKEQUANTIZE_H
#define BQ_RUNTIME_CPU_CPUFAKEQUANTIZE_H

#include "runtime/Backend.h"
#include "runtime/cpu/CpuRowKernels.h"

namespace bq {

/// The calls of Backend for fake quantization, on verified arguments. Any thread.
class CpuFakeQuantize {
public:
  /// `cache` outlives this.
  CpuFakeQuantize(const CpuTarget &target, KernelCache &cache) : kernels(target, cache) {}

  Status forward(const FakeQuantizeArgs &args, ParallelFor parallel);
  Status backward(const FakeQuantizeGradArgs &args, ParallelFor parallel);

private:
  CpuRowKernels kernels;
};

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPUFAKEQUANTIZE_H
