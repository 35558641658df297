// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which of the threads that share fragments a thread is.
#ifndef BQ_PASSES_GPU_LANE_H
#define BQ_PASSES_GPU_LANE_H

#include "passes/gpu/GpuBuilder.h"

namespace bq {

/// Lane `number` = 4 g + t of warp `warp` of a block of threads.
struct Lane {
  mlir::Value warp, number, g, t;

  explicit Lane(GpuBuilder &b) {
    mlir::Value thread = b.thread();
    warp = b.div(thread, 32);
    number = b.rem(thread, 32);
    g = b.div(number, 4);
    t = b.rem(number, 4);
  }

  /// Where element i, 0 to 3, of a sum by bqgpu.mma is: the row of operand A, and the column of operand B where that
  /// holds eight columns of many, the `tile`th.
  mlir::Value sumRow(GpuBuilder &b, int64_t i) const { return b.add(g, i / 2 * 8); }
  mlir::Value sumColumn(GpuBuilder &b, int64_t tile, int64_t i) const { return b.add(b.mul(t, 2), 8 * tile + i % 2); }
};

} // namespace bq

#endif // BQ_PASSES_GPU_LANE_H
