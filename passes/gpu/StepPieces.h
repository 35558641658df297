// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Eight elements of each tensor of an optimizer step at a time, for kernels for GPUs.
#ifndef BQ_PASSES_GPU_STEPPIECES_H
#define BQ_PASSES_GPU_STEPPIECES_H

#include "passes/gpu/RowKernel.h"

namespace bq {

/// What one thread does in a round: eight consecutive columns of a row, of which those from `last` on are not there.
struct StepPiece {
  static constexpr int64_t columns = RowPiece::columns;

  mlir::Value row;     ///< i32
  mlir::Value first;   ///< i32, its first column.
  mlir::Value inBlock; ///< i32, the same counted among the columns of the block.
  mlir::Value last;    ///< i32
  mlir::Value at;      ///< i64, its first element: rows are one after the other.
  mlir::Value isWhole; ///< i1

  /// `rowColumns`: from one row to the next.
  StepPiece(GpuBuilder &b, const RowRound &round, mlir::Value last, int64_t rowColumns);

  mlir::Value isThere(GpuBuilder &b, int64_t i) const { return b.lessThan(b.add(first, i), last); }
};

/// Moves the eight elements between memory and registers: by one access or two where all are there and aligned, else
/// one by one.
class StepMemory {
public:
  using Values = mlir::SmallVector<mlir::Value>;

  explicit StepMemory(GpuBuilder &b) : b(b) {}

  /// As f32, of memory of f32, f16 or bf16; 0 what is not there.
  Values loadFloats(mlir::Type element, mlir::Value pointer, const StepPiece &piece);
  /// Rounded to nearest.
  void storeFloats(mlir::Type element, mlir::ValueRange values, mlir::Value pointer, const StepPiece &piece);
  /// As i32, of memory of i8; 0 what is not there.
  Values loadBytes(mlir::Value pointer, const StepPiece &piece, bool isSigned);
  /// The low bits of i32, to memory of i8 or i16.
  void storeBits(mlir::ValueRange values, mlir::Value pointer, const StepPiece &piece);

private:
  mlir::Value canBeVector(mlir::Value pointer, const StepPiece &piece);
  Values load(mlir::Value pointer, const StepPiece &piece);
  Values loadHalves(mlir::Value pointer, const StepPiece &piece);
  void store(mlir::ValueRange values, mlir::Value pointer, const StepPiece &piece);

  GpuBuilder &b;
};

} // namespace bq

#endif // BQ_PASSES_GPU_STEPPIECES_H
