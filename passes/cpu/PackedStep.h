// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The second half of bq.update on a packed weight: directions to new codes, a row at a time.
#ifndef BQ_PASSES_CPU_PACKEDSTEP_H
#define BQ_PASSES_CPU_PACKEDSTEP_H

#include "passes/cpu/MomentStep.h"

namespace bq {

/// Works in units of the old scale: rel = (code - zero + residual / 256 - rate * direction / scale) * keep, so that an
/// element that nothing moves comes back exactly.
class PackedStep {
public:
  /// Buffers are 1-D; those that the op does not need may be null. `scratch`: 1-D f32, scratchFloats() of them. To be
  /// made before any loop.
  PackedStep(KernelBuilder &b, RowMemory &memory, UpdateOp op, const StepOptions &options, mlir::Value codes,
             mlir::Value scales, mlir::Value zeros, mlir::Value residual, mlir::Value scratch);

  /// Floats of scratch: values, and where they are needed random words for both streams, and factors and zero points.
  static int64_t scratchFloats(UpdateOp op);

  /// The directions of a row, for moments that give them a block at a time.
  mlir::Value values() const { return rowValues; }
  /// Buffers of random words; null where they are not needed.
  mlir::Value momentWords() const { return rowMomentWords; }
  mlir::Value weightWords() const { return rowWords; }

  /// body(first, columns) for stretches of a row that hold whole groups, and whole steps but for the last: indices.
  void forEachStretch(llvm::function_ref<void(mlir::Value first, mlir::Value columns)> body);
  /// A stretch of directions, directionAt(column, count) of each step, to new values. Those of sign stay directions.
  void step(mlir::Value row, mlir::Value first, mlir::Value columns,
            llvm::function_ref<mlir::Value(mlir::Value column, mlir::Value count)> directionAt);
  /// The scale that a row of one group wants for its new values, in f32: not yet rounded to its type.
  mlir::Value wantedScale(mlir::Value row);
  /// New values of a stretch to scales, zero points, codes and residuals.
  void encode(mlir::Value row, mlir::Value first, mlir::Value columns);

private:
  mlir::VectorType floats() { return b.vec(b.getF32Type(), rowStep); }
  mlir::VectorType integers() { return b.vec(b.getI32Type(), rowStep); }
  mlir::Value splat(float value);
  mlir::Value splat(mlir::Value scalar) { return b.broadcast(floats(), scalar); }
  mlir::Value groupAt(mlir::Value row, mlir::Value group) { return b.add(b.mul(row, format.groupCount(k)), group); }
  mlir::Value loadScale(mlir::Value row, mlir::Value group);
  mlir::Value loadZero(mlir::Value row, mlir::Value group);
  /// Least and greatest of the columns [first, last), and 0.
  std::pair<mlir::Value, mlir::Value> range(mlir::Value first, mlir::Value last);
  /// New scale and zero point of a group; gives the factor from old units to new.
  mlir::Value regroup(mlir::Value row, mlir::Value group, mlir::Value first, mlir::Value last);
  /// Keeps what factorOf(group, first, last) writes for the groups of a stretch, and their zero points: for factorAt()
  /// and zeroAt().
  void keepFactors(mlir::Value row, mlir::Value first,
                   llvm::function_ref<mlir::Value(mlir::Value group, mlir::Value first, mlir::Value last)> factorOf);
  mlir::Value factorAt(mlir::Value column);
  mlir::Value zeroAt(mlir::Value column);
  /// The lanes of a step that are the row's; null where all are.
  mlir::Value realLanes(mlir::Value count);
  void writeCodes(mlir::Value row, mlir::Value column, mlir::Value count);

  KernelBuilder &b;
  RowMemory &memory;
  Format format;
  mlir::Type scaleType;
  ZeroPointType zeroType;
  Rounding rounding;
  ScaleUpdate scaling;
  int64_t k, group;
  bool isByGroup; ///< Whether a stretch is a group; else groups end inside steps, and it is the row.
  const StepOptions &options;
  mlir::Value codes, scales, zeros, residual;
  mlir::Value rowValues, rowWords, rowMomentWords;
  mlir::Value rowFactors, rowZeros; ///< Of columns, where a stretch is the row.
  mlir::Value factor, zero;         ///< Of the stretch, where it is a group.
};

} // namespace bq

#endif // BQ_PASSES_CPU_PACKEDSTEP_H
