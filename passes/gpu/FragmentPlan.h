// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the parts of a linear kernel for GPUs agree on.
#ifndef BQ_PASSES_GPU_FRAGMENTPLAN_H
#define BQ_PASSES_GPU_FRAGMENTPLAN_H

#include "dialect/BQDialect.h"
#include "dialect/core/FragmentLayout.h"
#include "passes/gpu/GpuBuilder.h"

namespace bq {

/// A scheduled bq.linear for a GPU. A block of threads is four warps; each has `blocks` blocks of 16 rows of the weight
/// and the block's tile of rows of activations.
struct FragmentPlan {
  /// What products are made of.
  enum class Form { F32, BF16, I8 };

  Form form = Form::BF16;
  Format format;
  FragmentLayout layout;
  Activation activation = Activation::None;
  bool hasBias = false, permuted = false;
  mlir::Type dataType, scaleType;
  ZeroPointType zero = ZeroPointType::None;
  int64_t rows = 8;        ///< Rows of activations in a tile.
  int64_t blocks = 2;      ///< Blocks of rows of the weight for each warp.
  int64_t splits = 1;      ///< Parts of the sum over K, each done by blocks of threads of its own.
  bool readsPanel = false; ///< Activations come prepared (cuda::PrepareFn), else x as it is.

  static constexpr int64_t warps = 4, threads = 32 * warps;
  /// Segments of activations on their way or in use, where they are copied asynchronously.
  static constexpr int64_t stages = 4;
  /// Shared memory for activations, at most, where they are staged by the threads: what every GPU has without asking.
  static constexpr int64_t stagedBytes = 32 << 10;

  static FragmentPlan get(LinearOp op);

  /// Columns of B operands: the tile in eights.
  int64_t tiles() const { return (rows + 7) / 8; }
  int64_t gridY() const { return (layout.blocks() + warps * blocks - 1) / (warps * blocks); }
  int64_t segmentsPerSplit() const { return (layout.segments() + splits - 1) / splits; }
  /// Bytes of an activation in shared memory.
  int64_t activationBytes() const { return form == Form::F32 ? 4 : form == Form::BF16 ? 2 : 1; }
  /// 32-bit words from one row of `columns` staged activations to the next, so that a warp's loads meet all banks.
  int64_t stagedStride(int64_t columns) const;
  /// Where a cuda::WeightTable has what kernels look up: elements, their number, and bytes before them.
  struct TableForm {
    mlir::Type element;
    int64_t count, offset;
  };
  TableForm tableForm(mlir::Builder &b) const;
  /// Zero point that all codes of the format share (int stores value + 2^(bits-1)); 0 where there is none.
  int64_t staticZero() const { return format.kind == Format::Kind::Int ? int64_t(1) << (format.bits - 1) : 0; }
};

/// Pointers and sizes of a kernel with the signature cuda::LinearFn.
struct FragmentBuffers {
  mlir::Value codes, scales, zeros, table, bias, x, rowScales, permutation, columnScale, y, workspace, counters;
  mlir::Value xStride, yStride, m;
};

/// Rows of activations, in the order of the layout's segments.
class ActivationReader {
public:
  ActivationReader(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
      : b(b), plan(plan), buffers(buffers) {}

  /// Eight columns of row `row` from padded column `column` on, a multiple of eight, as f32 with the column scale;
  /// zeros where padded. The row is one of x.
  mlir::SmallVector<mlir::Value> read(mlir::Value row, mlir::Value column);

private:
  mlir::Value readOne(mlir::Value row, mlir::Value column);

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentBuffers &buffers;
};

/// Writes cuda::PrepareFn as a function of this name.
void writePrepareRows(GpuBuilder &b, const FragmentPlan &plan, llvm::StringRef name);

/// Writes cuda::LinearFn: tensor instructions for bf16 and i8, multiply-adds for f32.
void writeMmaLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);
void writeSimtLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);

/// One sum that a thread holds: of a row and a column of the block's tile of results, both i32, if `isKept`, i1.
struct Partial {
  mlir::Value sum, row, column, isKept;
};
/// From the sums of a block of threads to y. Where the sum over K is split, sums go to the workspace, and the last of
/// the blocks that share a tile adds them up in order. Every thread of the block must come here.
void writeResults(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers,
                  mlir::ArrayRef<Partial> partials);

} // namespace bq

#endif // BQ_PASSES_GPU_FRAGMENTPLAN_H
