// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the parts of a linear kernel for GPUs agree on.
#ifndef BQ_PASSES_GPU_FRAGMENTPLAN_H
#define BQ_PASSES_GPU_FRAGMENTPLAN_H

#include "dialect/BQDialect.h"
#include "dialect/core/FragmentLayout.h"
#include "passes/gpu/GpuBuilder.h"

namespace bq {

/// A scheduled bq.linear, its gradient or a bq.conv2d for a GPU. A block of threads is four warps; each has `blocks`
/// blocks of 16 rows of the weight and the block's tile of rows of activations; where a weight of the format `mixed` is
/// streamed all warps have `blocks` rows together. Of a gradient, activations are gradients, and all warps have
/// `blocks` segments together and every fourth block of rows each.
struct FragmentPlan {
  /// What products are made of. Fixed-point activations are I8, or as BF16, which holds them exactly.
  enum class Form { F32, BF16, I8 };

  Form form = Form::BF16;
  Format format;
  FragmentLayout layout;
  Activation activation = Activation::None;
  bool hasBias = false, permuted = false;
  mlir::Type dataType, scaleType;
  ZeroPointType zero = ZeroPointType::None;
  int64_t rows = 8;          ///< Rows of activations in a tile.
  int64_t blocks = 2;        ///< Blocks of rows of the weight for each warp.
  int64_t splits = 1;        ///< Parts of the sum, each done by blocks of threads of its own.
  bool isStreamed = false;   ///< A weight of the format `mixed` goes to registers once for each tile, else to a panel.
  bool readsPanel = false;   ///< Activations come prepared (cuda::PrepareFn), else x as it is.
  bool hasRowScales = false; ///< Activations are in fixed point.
  bool isGradient = false;   ///< x W, of which the form is BF16.
  int64_t parts = 1;         ///< Of a gradient: bf16 numbers that are an element of x times a scale.
  int64_t staticBits = 0;    ///< Of activations with one scale; 0 = as the form takes them.
  /// Of the patches that the rows are; 0 where they are rows of x.
  int64_t patchHeight = 0, patchWidth = 0;

  static constexpr int64_t warps = 4, threads = 32 * warps;
  /// Segments of activations on their way or in use, where they are copied asynchronously.
  static constexpr int64_t stages = 4;
  /// Shared memory for activations, at most, where they are staged by the threads: what every GPU has without asking.
  static constexpr int64_t stagedBytes = 32 << 10;
  /// Of a gradient, columns that a block of threads may have.
  static constexpr int64_t maxGradientColumns = 256;

  static FragmentPlan get(ProductLayer op);
  static FragmentPlan get(LinearInputGradientOp op);
  /// Whether a gradient's sums can be of this weight's codes: they are operands in bf16.
  static bool hasGradient(const Format &format, Compute compute) {
    return !format.isMixed() && (compute == Compute::BF16 || format.isExactInBF16());
  }
  /// The layout of a layer's weight and activations; where a panel is made of a weight of the format `mixed`, in
  /// segments of so many columns as are in it at once.
  static FragmentLayout layoutOf(ProductLayer op, bool isStreamed);

  bool hasPatches() const { return patchHeight != 0; }
  /// Of a pixel of a patch.
  int64_t channels() const { return layout.k / (patchHeight * patchWidth); }

  /// Columns of B operands: the tile in eights.
  int64_t tiles() const { return (rows + 7) / 8; }
  /// Columns of the result: rows of the weight, or of a gradient its columns in the order of segments, with padding.
  int64_t resultColumns() const { return isGradient ? layout.paddedColumns() : layout.n; }
  /// Those that a block of threads has.
  int64_t tileColumns() const {
    return isGradient ? blocks * layout.segmentSize : isStreamed ? blocks : warps * blocks * FragmentLayout::blockRows;
  }
  int64_t gridY() const { return (resultColumns() + tileColumns() - 1) / tileColumns(); }
  /// What a part of the sum has of segments, or of a gradient of blocks of rows.
  int64_t segmentsPerSplit() const { return (layout.segments() + splits - 1) / splits; }
  int64_t blocksPerSplit() const { return (layout.blocks() + splits - 1) / splits; }
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
  mlir::Value xStride, yStride, m, activationScale;
  /// As cuda::PatchArguments, where the rows are patches.
  struct Axis {
    mlir::Value stride, size, multiply, divide, offset, tapStep;
  };
  struct Patches {
    mlir::Value batchStride, firstRow, outHeight, outWidth, padCode;
    Axis lines, pixels;
  } patches;

  /// Types of cuda::PatchArguments, to be added to a signature, and the arguments from number `first` on taken up.
  static void addPatchTypes(GpuBuilder &b, mlir::SmallVectorImpl<mlir::Type> &types);
  void takePatches(mlir::func::FuncOp func, unsigned first);
};

/// Where columns of the layout are in the weight: from `begin` on those before `end`, the others are padding. `end` is
/// null where there is none.
struct ColumnPiece {
  mlir::Value begin, end;
};
/// Of columns from `column` on, as many as lie in its segment.
ColumnPiece locateColumns(GpuBuilder &b, const FragmentLayout &layout, mlir::Value column);

/// Elements of patches of images (abi::Conv2dGeometry).
class PatchReader {
public:
  PatchReader(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
      : b(b), plan(plan), buffers(buffers) {}

  /// What the columns of a patch share: where its image is in x, i64, and the numerators of its first tap's line and
  /// pixel, i32.
  struct Patch {
    mlir::Value image, line, pixel;
  };
  Patch patchOf(mlir::Value row);
  /// The pixel of a column: where it is in x, i64, and whether it is inside the image; if not, the place is the first
  /// element of x.
  struct Place {
    mlir::Value at, isInside;
  };
  Place locate(const Patch &patch, mlir::Value column);
  /// What counts where a patch lies outside the image, f32.
  mlir::Value padding();
  /// Whether eight channels from a multiple of eight on are aligned to 16 bytes, i1.
  mlir::Value isAligned();

private:
  struct Coordinate {
    mlir::Value value, isInside;
  };
  mlir::Value firstTap(const FragmentBuffers::Axis &axis, mlir::Value out);
  Coordinate coordinate(const FragmentBuffers::Axis &axis, mlir::Value first, mlir::Value tap);

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentBuffers &buffers;
};

/// Rows of activations, in the order of the layout's segments.
class ActivationReader {
public:
  /// What is asked of x's alignment is computed here, to stand before a loop.
  ActivationReader(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);

  /// What the columns of a row share: a row of x, which starts at element `first`, i64, or a patch.
  struct Row {
    mlir::Value first;
    PatchReader::Patch patch;
  };
  Row rowOf(mlir::Value row);

  /// Eight columns of a row from padded column `column` on, a multiple of eight, as f32: with the column scale, or
  /// quantized but not yet rounded; zeros where padded.
  mlir::SmallVector<mlir::Value> read(const Row &row, mlir::Value column);

  /// Eight columns are staged as they are in memory: bf16 that nothing is done to.
  bool isCopied() const;
  /// Then, where the rows of x are aligned to 16 bytes, copies them to `memory[to]` asynchronously, otherwise has them
  /// stored.
  void copy(const Row &row, mlir::Value column, mlir::Value memory, mlir::Value to,
            mlir::function_ref<void(mlir::ArrayRef<mlir::Value> values)> store);

private:
  mlir::SmallVector<mlir::Value> readChannels(const Row &row, mlir::Value column);
  mlir::Value readOne(const Row &row, mlir::Value column);
  mlir::Value readOne(const Row &row, const ColumnPiece &piece, mlir::Value number);
  mlir::SmallVector<mlir::Value> readEach(const Row &row, const ColumnPiece &piece);
  mlir::SmallVector<mlir::Value> readFours(const Row &row, const ColumnPiece &piece);
  mlir::SmallVector<mlir::Value> loadAligned(mlir::Value at, mlir::Value column);
  mlir::Value convert(mlir::Value value, mlir::Value column);

  GpuBuilder &b;
  const FragmentPlan &plan;
  const FragmentBuffers &buffers;
  PatchReader patches;
  mlir::Value isAligned; ///< Whether every eight columns are aligned in memory; null where that cannot be.
  mlir::Value staticScale;
};

/// Writes cuda::PrepareFn as a function of this name.
void writePrepareRows(GpuBuilder &b, const FragmentPlan &plan, llvm::StringRef name);

/// Writes cuda::LinearFn: tensor instructions for bf16 and i8, multiply-adds for f32; tensor instructions for
/// gradients.
void writeMmaLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);
void writeSimtLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);
void writeMmaGradient(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);
/// The same for the format `mixed`: streamed, by multiply-adds whatever the form is; or from panels, as for others.
void writeMixedLinear(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);
void writeMixedPanels(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers);

/// One sum that a thread holds: of a row and a column of the block's tile of results, both i32, if `isKept`, i1; null =
/// true.
struct Partial {
  mlir::Value sum, row, column, isKept;
};
/// From the sums of a block of threads to y; those of a gradient its warps have in parts. Where the sum is split, sums
/// go to the workspace, and the last of the blocks that share a tile adds them up in order. Every thread of the block
/// must come here. `memory`: shared, i32, resultWords() of it, which nothing else uses any more; null = of its own.
void writeResults(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers,
                  mlir::ArrayRef<Partial> partials, mlir::Value memory = {});
int64_t resultWords(const FragmentPlan &plan);

} // namespace bq

#endif // BQ_PASSES_GPU_FRAGMENTPLAN_H
