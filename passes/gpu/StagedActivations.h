// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Activations in shared memory, brought there as a block of threads goes along K.
#ifndef BQ_PASSES_GPU_STAGEDACTIVATIONS_H
#define BQ_PASSES_GPU_STAGEDACTIVATIONS_H

#include "passes/gpu/FragmentPlan.h"

namespace bq {

/// The rows of this block of threads' tile, for its part of the sum over K.
class StagedActivations {
public:
  StagedActivations(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);

  /// First row of x in the tile; first segment of the part and the one after its last, i32.
  mlir::Value firstRow() const { return tileRow; }
  mlir::Value begin() const { return firstSegment; }
  mlir::Value end() const { return lastSegment; }

  /// What the rows of one segment are in: 32-bit words in shared memory, row r from word `first + r * stride` on, in
  /// the form that the plan's products take, segment order and padding as in FragmentLayout. Rows from plan.rows on are
  /// not there.
  struct Segment {
    mlir::Value index, memory, first;
    int64_t stride;
  };
  /// body(segment, carried values) for each segment of the part in order; gives the last values. Every thread of the
  /// block must come here.
  using Body = mlir::function_ref<mlir::SmallVector<mlir::Value>(const Segment &segment, mlir::ValueRange carried)>;
  mlir::SmallVector<mlir::Value> forEachSegment(mlir::ValueRange initial, Body body);

  /// The same with memory for one segment: meanwhile(index, carried values) gives the values that `body` gets, and is
  /// done while the segment's rows are on their way. Every thread has done it before any does `body`, and the body of
  /// the segment before.
  using Meanwhile = mlir::function_ref<mlir::SmallVector<mlir::Value>(mlir::Value segment, mlir::ValueRange carried)>;
  mlir::SmallVector<mlir::Value> forEachSegment(mlir::ValueRange initial, Meanwhile meanwhile, Body body);

private:
  mlir::SmallVector<mlir::Value> stageFromInput(mlir::ValueRange initial, Body body);
  mlir::SmallVector<mlir::Value> copyFromPanel(mlir::ValueRange initial, Body body);
  void stage(mlir::Value memory, int64_t stride, mlir::Value chunk, int64_t segments);
  void copy(mlir::Value memory, mlir::Value stageWords, int64_t stride, mlir::Value segment);

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentLayout &layout;
  const FragmentBuffers &buffers;
  mlir::Value tileRow, firstSegment, lastSegment;
};

} // namespace bq

#endif // BQ_PASSES_GPU_STAGEDACTIVATIONS_H
