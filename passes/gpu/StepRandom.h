// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The random numbers of an optimizer step for the pieces of a round, for kernels for GPUs.
#ifndef BQ_PASSES_GPU_STEPRANDOM_H
#define BQ_PASSES_GPU_STEPRANDOM_H

#include "passes/gpu/StepPieces.h"

namespace bq {

/// The numbers that `bq.update` speaks of. A few threads make the words of the counters, which go to their columns by
/// way of shared memory.
class StepRandom {
public:
  /// i32 each.
  StepRandom(GpuBuilder &b, mlir::Value seedLow, mlir::Value seedHigh, mlir::Value step)
      : b(b), seedLow(seedLow), seedHigh(seedHigh), step(step) {}

  /// Makes the numbers of a round, which begins at a multiple of 256 columns. All threads come here.
  void write(const RowRound &round, bool forMoments, bool forWeights);
  /// Of the four columns of a half, counted by an i32, of this thread's piece of that round, i32: of 32 bits those for
  /// moments, of 16 bits those for weights.
  mlir::SmallVector<mlir::Value> moments(mlir::Value half);
  mlir::SmallVector<mlir::Value> weights(mlir::Value half);

  /// The low or the high half of a number.
  static mlir::Value half(GpuBuilder &b, mlir::Value word, bool high);
  /// A number of 16 bits as one in (0, 1).
  static mlir::Value unit(GpuBuilder &b, mlir::Value half);
  /// `x` rounded down or up to an integer, up with the probability of its fraction, as f32.
  static mlir::Value roundAtRandom(GpuBuilder &b, mlir::Value x, mlir::Value unit);

private:
  void writeStream(const RowRound &round, int64_t stream, mlir::Value words);
  mlir::SmallVector<mlir::Value> load(mlir::Value words, mlir::Value half);

  GpuBuilder &b;
  mlir::Value seedLow, seedHigh, step;
  mlir::Value momentWords, weightWords; ///< Shared memory: sixteen for each block of 256 columns.
  mlir::Value firstWord, turn;          ///< Of this thread's piece: its place there, and what is added to its words.
};

} // namespace bq

#endif // BQ_PASSES_GPU_STEPRANDOM_H
