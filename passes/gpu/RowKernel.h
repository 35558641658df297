// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The general form of kernels for GPUs that work row by row: which thread does which columns, element by element and
/// group by group.
#ifndef BQ_PASSES_GPU_ROWKERNEL_H
#define BQ_PASSES_GPU_ROWKERNEL_H

#include "passes/gpu/GpuBuilder.h"

namespace bq {

/// What one thread does at once: consecutive columns of a row. Eight codes of any width fill whole bytes.
struct RowPiece {
  static constexpr int64_t columns = 8;

  mlir::Value row;    ///< i32
  mlir::Value number; ///< i32, counted in the row.
  mlir::Value first;  ///< i32, its first column: 8 * number.
  int64_t count;      ///< Its columns: 8, or fewer at the end of a row.
};

/// Consecutive columns of a row that the threads of a block do together, a piece each.
struct RowRound {
  static constexpr int64_t columns = 1024; ///< Of which those from `last` on are not there.

  mlir::Value row;   ///< i32
  mlir::Value first; ///< i32, its first column.
  mlir::Value last;  ///< i32, the end of the block's columns.
};

/// Columns of a row that have a scale or the like in common.
struct RowGroup {
  mlir::Value row;         ///< i32
  mlir::Value number;      ///< i32, counted in the row.
  mlir::Value inBlock;     ///< i32, counted among the groups that this block of threads does.
  mlir::Value first, last; ///< i32: columns [first, last).
};

/// Writes a kernel over rows of k columns, in the order: begin(), then any of the others, each the work of all threads
/// of a block; a barrier between two where the later one reads what the earlier one has written. An element-wise kernel
/// is one forEachPiece(); one with a reduction has forEachGroup() with fold() before it.
class RowKernel {
public:
  /// `group`: columns of a group, of which the last of a row may have fewer; the groups of a piece are all done by the
  /// same block. 0 = no groups: short rows share a block then. Blocks begin at multiples of `unit` columns, itself one
  /// of RowPiece::columns.
  RowKernel(GpuBuilder &b, int64_t k, int64_t group = 0, int64_t unit = RowPiece::columns);

  /// Makes the function; the builder goes to the start of its body.
  mlir::func::FuncOp begin(llvm::StringRef name, mlir::TypeRange arguments);

  /// Writes the work on the pieces of this thread: `body` once for whole pieces, and once more for the last of a row
  /// where that is shorter. `rows`: number of rows, i64.
  void forEachPiece(mlir::Value rows, llvm::function_ref<void(const RowPiece &piece)> body);

  /// Writes the work on the block's columns in rounds, with groups only: all threads come to `body`, a thread's piece
  /// begins 8 * its number behind the first column.
  void forEachRound(llvm::function_ref<void(const RowRound &round)> body);
  /// Columns that a block does.
  int64_t columnsPerBlock() const { return blockColumns; }
  /// The same for a kernel made from these.
  static int64_t columnsPerBlock(int64_t k, int64_t group, int64_t unit);
  int64_t roundsPerBlock() const { return (blockColumns + RowRound::columns - 1) / RowRound::columns; }

  /// The most groups that a block does.
  int64_t groupsPerBlock() const { return group ? (blockColumns + group - 1) / group : 0; }
  /// Writes the work on the block's groups. All threads of a team come to `body` for a group: a warp for groups of up
  /// to 1024 columns, else the whole block.
  void forEachGroup(llvm::function_ref<void(const RowGroup &group)> body);
  /// The same with one thread for each group.
  void forEachGroupByThread(llvm::function_ref<void(const RowGroup &group)> body);
  /// In the body of forEachGroup(): values of each column, of type f32 or i32, combined over the group; every thread of
  /// the team gets the results. Combining with `neutral`, as many values, changes nothing. combine() of the values at
  /// `index` is associative and commutative, but for rounding.
  mlir::SmallVector<mlir::Value>
  fold(const RowGroup &group, mlir::ValueRange neutral,
       llvm::function_ref<mlir::SmallVector<mlir::Value>(mlir::Value column)> values,
       llvm::function_ref<mlir::Value(size_t index, mlir::Value l, mlir::Value r)> combine);
  /// In the body of forEachGroup(): what one thread of the team does for all.
  void once(llvm::function_ref<void()> body);

  /// Whether the columns of a piece are always of one group, for groups of this size.
  static bool keepsPieces(int64_t k, int64_t group) { return group >= k || group % RowPiece::columns == 0; }
  /// The group of a column, counted among those of the block that does it; i32.
  mlir::Value groupInBlock(mlir::Value column);
  /// A column counted among those of the block that does it; i32.
  mlir::Value columnInBlock(mlir::Value column);

private:
  static constexpr int64_t threads = 128, warpThreads = 32;

  int64_t blocksPerRow() const { return (k + blockColumns - 1) / blockColumns; }
  int64_t teamThreads() const { return group <= 1024 ? warpThreads : threads; }
  mlir::Value memberOfTeam();
  /// The first of the block's columns, pieces or groups, where a block has `perBlock`; i32.
  mlir::Value firstOfBlock(int64_t perBlock);
  /// Writes a loop over the block's groups, `begin` and `step` by thread.
  void loopOverGroups(mlir::Value begin, int64_t step, llvm::function_ref<void(const RowGroup &group)> body);

  GpuBuilder &b;
  int64_t k, group;
  int64_t blockColumns; ///< Columns that a block does; whole pieces and whole groups where a row has several blocks.
  int64_t rowsPerBlock = 1; ///< Above 1 where a row has no more pieces than a block has threads.
};

} // namespace bq

#endif // BQ_PASSES_GPU_ROWKERNEL_H
