// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The second part of bq.update on a quantized weight in kernels for GPUs: directions to new codes, for a piece.
#ifndef BQ_PASSES_GPU_STEPCODES_H
#define BQ_PASSES_GPU_STEPCODES_H

#include "passes/gpu/StepMoments.h"

namespace bq {

/// Memory of a quantized weight; what the op does not need may be null.
struct WeightMemory {
  mlir::Value codes, scales, zeros, residual;
};

/// Works in units of the old scale: rel = (code - zero + residual / 256 - rate * direction / scale) * keep, so that an
/// element that nothing moves comes back exactly. Those of sign are directions.
class StepCodes {
public:
  using Values = StepTrack::Words;

  StepCodes(GpuBuilder &b, UpdateOp op, RowKernel &rows, const StepNumbers &numbers, const WeightMemory &memory);

  /// Brings what a block's groups have to shared memory. A barrier comes before what follows.
  void loadGroups();
  /// What values() and encode() have the halves of: the codes, four in an i32, and the residuals. `isLoaded`: as they
  /// are before the step; `isStored`: those after it are to be stored.
  llvm::SmallVector<StepTrack> tracks(const StepPiece &piece, bool isLoaded, bool isStored);
  /// New values of a half, whose directions these are, in units of `unit` where it is not null.
  Values values(const StepHalf &half, mlir::ValueRange directions, mlir::Value unit, llvm::ArrayRef<Values> fronts);

  /// New scale and zero point of a group, of all its threads. `load`: the new value of a column.
  void regroup(const RowGroup &group, llvm::function_ref<mlir::Value(mlir::Value column)> load);
  /// The scale that a row of one group wants for its new values, in f32, for one thread to store.
  void wantScale(const RowGroup &group, llvm::function_ref<mlir::Value(mlir::Value column)> load,
                 llvm::function_ref<void(mlir::Value wanted)> store);
  /// The scale of the tensor for the rows of a block.
  void setScale(mlir::Value scale);
  /// As a scale is stored: a normal number of its type, 1 where there are zeros only; f32.
  static mlir::Value storedScale(GpuBuilder &b, mlir::Value wanted, mlir::Value isZero, mlir::Type scaleType);

  /// Codes and residuals of new values. `words`: random numbers, where the rounding needs them.
  void encode(const StepHalf &half, mlir::ValueRange values, mlir::ValueRange words,
              llvm::MutableArrayRef<Values> fronts);
  /// Stores the codes of a piece.
  void storeCodes(const StepPiece &piece, mlir::ValueRange words);

private:
  Values loadCodes(const StepPiece &piece);
  mlir::Value encode(mlir::Value value, mlir::Value zero, mlir::Value word, mlir::Value &residual);
  mlir::Value placeOf(const RowGroup &group);
  mlir::Value loadZero(mlir::Value place);
  std::pair<mlir::Value, mlir::Value> range(const RowGroup &group,
                                            llvm::function_ref<mlir::Value(mlir::Value column)> load);
  /// Of the group of each column of a half, from an array of shared memory.
  Values ofGroups(mlir::Value array, const StepHalf &half);

  GpuBuilder &b;
  RowKernel &rows;
  Format format;
  mlir::Type scaleType;
  ZeroPointType zeroType;
  Rounding rounding;
  ScaleUpdate scaling;
  int64_t k;
  StepNumbers numbers;
  WeightMemory at;
  /// Of the block's groups, f32 in shared memory: rate / old scale, old and new zero points, old by new scale.
  mlir::Value rates, zeros, newZeros, factors;
};

} // namespace bq

#endif // BQ_PASSES_GPU_STEPCODES_H
