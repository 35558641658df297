// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// DiffQ's noise as one thread makes it, for kernels for GPUs.
#ifndef BQ_PASSES_GPU_NOISENUMBERS_H
#define BQ_PASSES_GPU_NOISENUMBERS_H

#include "passes/gpu/GpuBuilder.h"

#include "dialect/core/Noise.h"
#include "dialect/core/NoiseAbi.h"

#include <array>

namespace bq {

/// Writes noise by the formulas of `bq.diffq_noise`, in the order of operations that kernels for CPUs have.
class NoiseNumbers {
public:
  /// Elements whose noise comes of one counter, one after the other `apart` elements behind the last.
  static constexpr int64_t perCounter = 4, apart = abi::noiseBlock / perCounter;

  /// `counter`: seed and offset, two words of i32 each, the lower first.
  NoiseNumbers(GpuBuilder &b, NoiseKind kind, int64_t rounds, std::array<mlir::Value, 4> counter)
      : b(b), kind(kind), rounds(rounds), counter(counter) {}

  /// Of the elements of counter `index`, i64; the first is 64 * (index / 16) + index % 16.
  std::array<mlir::Value, perCounter> of(mlir::Value index);

  /// 1 / (2^bits - 1) for bits as f32; those outside [2^-20, 126] count as the nearest there.
  static mlir::Value unit(GpuBuilder &b, mlir::Value bits);

private:
  mlir::Value uniform(mlir::Value word);
  std::pair<mlir::Value, mlir::Value> gaussian(mlir::Value first, mlir::Value second);

  GpuBuilder &b;
  NoiseKind kind;
  int64_t rounds;
  std::array<mlir::Value, 4> counter;
};

} // namespace bq

#endif // BQ_PASSES_GPU_NOISENUMBERS_H
