// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which groups of a row of a `mixed` weight have a width.
#ifndef BQ_PASSES_CPU_MIXEDLISTS_H
#define BQ_PASSES_CPU_MIXEDLISTS_H

#include "passes/cpu/MixedDecoder.h"
#include "passes/cpu/MixedLinear.h"

namespace bq {

/// Sorts the groups of one segment of a row by width. A segment has at most MixedIndex::maxListed of them, so that
/// their numbers are bytes.
class MixedLists {
public:
  MixedLists(KernelBuilder &b, const LinearPlan &plan, MixedFrame &frame, MixedDecoder &decoder, int64_t offset = 0);

  /// Loads the widths of a segment; whether one of them is above `narrow`.
  mlir::Value load(mlir::Value row, mlir::Value segment, int64_t narrow);
  /// The least width that the weight has, and one more than the greatest that its fields can say, as indices.
  mlir::Value firstWidth() { return toIndex(frame.leastWidth()); }
  mlir::Value endWidth();
  /// Keeps the widths that are loaded as those of row `i` of some, and the inverse.
  void storeWidths(mlir::Value i);
  void loadWidths(mlir::Value i);
  /// Writes the numbers of the groups that have `width` (in every byte) to `target` from `at` on; where they end. Up to
  /// 64 bytes behind are written.
  mlir::Value append(mlir::Value width, mlir::Value target, mlir::Value at);
  /// The sums after `body`, which gets how many groups have `width` (in every byte) and is run where there are any.
  /// They are listed then.
  mlir::SmallVector<mlir::Value> withListed(mlir::Value width, mlir::ValueRange sums,
                                            mlir::function_ref<mlir::SmallVector<mlir::Value>(mlir::Value count)> body);
  /// First column, in the segment, of the listed group `entry`; of the eight behind the last, a column of zeros.
  mlir::Value columnOf(mlir::Value entry);

  /// Bytes of scratch, where widths of so many rows are kept; the constructor's `offset` is what lies before them.
  static int64_t bytes(const LinearPlan &plan, int64_t rows = 0);

private:
  int64_t vectors() const { return (segmentGroups + 63) / 64; }
  mlir::Value iota(int64_t first);
  mlir::Value isIn(int64_t first, mlir::Value segment);
  mlir::Value i64(int64_t value) { return mlir::arith::ConstantIntOp::create(b, b.getI64Type(), value); }
  mlir::Value toIndex(mlir::Value value) { return mlir::arith::IndexCastOp::create(b, b.getIndexType(), value); }
  mlir::Value toI64(mlir::Value value) { return mlir::arith::IndexCastOp::create(b, b.getI64Type(), value); }
  /// A vector of 64 bits as an integer.
  mlir::Value bitsOf(mlir::Value mask);

  KernelBuilder &b;
  const LinearPlan &plan;
  MixedFrame &frame;
  MixedDecoder &decoder;
  const int64_t size, rowGroups, segmentGroups;
  MixedDecoder::Fields fields;
  mlir::Value list;                      ///< i8
  mlir::Value kept;                      ///< i8, widths of rows
  mlir::SmallVector<mlir::Value> widths; ///< Of the segment's groups, bytes; zeros behind.
};

} // namespace bq

#endif // BQ_PASSES_CPU_MIXEDLISTS_H
