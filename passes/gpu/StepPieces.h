// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Eight elements of each tensor of an optimizer step at a time, for kernels for GPUs: between memory and registers all
/// at once, and what is done with them in a loop over two halves.
#ifndef BQ_PASSES_GPU_STEPPIECES_H
#define BQ_PASSES_GPU_STEPPIECES_H

#include "passes/gpu/RowKernel.h"

namespace bq {

/// What one thread does in a round: eight consecutive columns of a row, of which those from `last` on are not there.
struct StepPiece {
  static constexpr int64_t columns = RowPiece::columns;

  mlir::Value row;     ///< i32
  mlir::Value first;   ///< i32, its first column.
  mlir::Value last;    ///< i32
  mlir::Value at;      ///< i64, its first element: rows are one after the other.
  mlir::Value isWhole; ///< i1

  /// `rowColumns`: from one row to the next.
  StepPiece(GpuBuilder &b, const RowRound &round, mlir::Value last, int64_t rowColumns);

  mlir::Value isThere(GpuBuilder &b) const { return b.lessThan(first, last); }
  /// Whether all its elements are there, and aligned in each of the tensors, so that one access or two take them.
  mlir::Value isVector(GpuBuilder &b, mlir::ValueRange pointers) const;
};

/// Four columns of a piece, its first or its second.
struct StepHalf {
  static constexpr int64_t columns = StepPiece::columns / 2;

  mlir::Value number;     ///< i32, 0 or 1.
  mlir::Value row, first; ///< i32 each, as of the piece.
  mlir::Value last;       ///< i32

  mlir::Value isThere(GpuBuilder &b, int64_t i) const { return b.lessThan(b.add(first, i), last); }
};

/// What a piece has of one tensor: words of which the first half belongs to its first four columns. 32-bit elements are
/// words as they are, four or two others are one i32.
struct StepTrack {
  using Words = mlir::SmallVector<mlir::Value>;

  /// Words that are in registers.
  explicit StepTrack(Words words) : words(std::move(words)) {}
  /// Elements of the tensor at `pointer`: read where `isLoaded`, written where `isStored`.
  static StepTrack inMemory(mlir::Value pointer, bool isLoaded, bool isStored);

  Words words;
  mlir::Value pointer;
  bool isLoaded = false, isStored = false;
};

/// Writes a loop of two turns over the halves of a piece, since what a kernel's body holds decides how long it takes to
/// compile. Registers have no index: `body` gets the half of each track that is in front, and what it leaves there goes
/// behind the other. Gives the words of the tracks after both turns, in their order again.
///
/// Where all eight elements are there, and aligned in every tensor, a tensor takes one access or two before and after
/// the loop; else each element has its own, in the loop. Elements that are not there are 0.
mlir::SmallVector<StepTrack::Words>
forEachHalf(GpuBuilder &b, const StepPiece &piece, llvm::ArrayRef<StepTrack> tracks,
            llvm::function_ref<void(const StepHalf &half, llvm::MutableArrayRef<StepTrack::Words> fronts)> body);

/// The words of a piece that isVector().
StepTrack::Words loadVectors(GpuBuilder &b, mlir::Value pointer, const StepPiece &piece);

/// Words of f32, f16 or bf16 as f32.
StepTrack::Words floatsOf(GpuBuilder &b, mlir::Type element, mlir::ValueRange words);
/// Rounded to nearest.
StepTrack::Words wordsOfFloats(GpuBuilder &b, mlir::Type element, mlir::ValueRange values);
/// Words of i8 as i32.
StepTrack::Words bytesOf(GpuBuilder &b, mlir::ValueRange words, bool isSigned);
/// Words of the low `bits` bits, 8 or 16, of i32.
StepTrack::Words wordsOfBits(GpuBuilder &b, mlir::ValueRange values, int64_t bits);

} // namespace bq

#endif // BQ_PASSES_GPU_STEPPIECES_H
