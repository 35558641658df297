// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the CPU does row by row on canonical weights: embedding, dequantize, quantize.
#ifndef BQ_RUNTIME_CPU_CPUROWS_H
#define BQ_RUNTIME_CPU_CPUROWS_H

#include "runtime/Backend.h"
#include "runtime/cpu/CpuRowKernels.h"

namespace bq {

/// The row-wise calls of Backend, on verified arguments. Any thread.
class CpuRows {
public:
  /// `cache` outlives this.
  CpuRows(const CpuTarget &target, KernelCache &cache) : kernels(target, cache) {}

  Status embedding(const CanonicalWeight &weight, const int64_t *indices, int64_t count, void *y, ParallelFor parallel);
  Status dequantize(const CanonicalWeight &weight, void *y, ParallelFor parallel);
  Status quantize(const QuantizeArgs &args, ParallelFor parallel);

private:
  Status permutedRows(const CanonicalWeight &weight, const std::vector<int32_t> &columns, const int64_t *indices,
                      int64_t count, void *y, ParallelFor parallel);

  CpuRowKernels kernels;
};

} // namespace bq

#endif // BQ_RUNTIME_CPU_CPUROWS_H
