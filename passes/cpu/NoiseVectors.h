// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The noise of bq.diffq_noise for elements of a chunk, and what it is multiplied by.
#ifndef BQ_PASSES_CPU_NOISEVECTORS_H
#define BQ_PASSES_CPU_NOISEVECTORS_H

#include "dialect/core/NoiseAbi.h"
#include "passes/cpu/RowMemory.h"

#include <utility>

namespace bq {

/// Writes noise, sixteen elements to a vector, by the formulas of the op: with the polynomials here it is within 1e-6
/// of theirs.
class NoiseVectors {
public:
  /// `counter`: 4 x i32, the seed, then the offset. To be made before any loop.
  NoiseVectors(KernelBuilder &b, NoiseKind kind, int64_t rounds, mlir::Value counter);

  /// Writes the random words of a chunk that begins at the element `first` to `words`, i32 [noiseChunk]: those of its
  /// first `length` elements, and of all others of their blocks.
  void fill(mlir::Value first, mlir::Value length, mlir::Value words);
  /// The noise of sixteen elements and of the next sixteen, from their words.
  std::pair<mlir::Value, mlir::Value> noise(mlir::Value first, mlir::Value second);

  /// 1 / (2^bits - 1) for bits as floats; those outside [2^-20, 126] count as the nearest there.
  static mlir::Value unit(KernelBuilder &b, mlir::Value bits);

private:
  mlir::VectorType floats() { return b.vec(b.getF32Type(), rowStep); }
  mlir::VectorType integers() { return b.vec(b.getI32Type(), rowStep); }
  mlir::Value uniform(mlir::Value words);
  std::pair<mlir::Value, mlir::Value> gaussian(mlir::Value first, mlir::Value second);

  KernelBuilder &b;
  NoiseKind kind;
  int64_t rounds;
  mlir::Value seed[2], offset[2];
};

} // namespace bq

#endif // BQ_PASSES_CPU_NOISEVECTORS_H
