// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The ordered list of ways to compute an op on a GPU.
#include "passes/Schedules.h"
#include "passes/gpu/FragmentPlan.h"
#include "passes/gpu/MixedDecoder.h"

#include "dialect/core/CudaAbi.h"

using namespace mlir;
using namespace bq;

namespace {

/// As in products; those of convolutions are many, whatever is known of them.
int64_t rowsOf(ProductLayer op) { return op.getPatch().empty() ? op.getProductRows() : ShapedType::kDynamic; }

/// Multiprocessors of the largest GPU of an architecture: what a grid should fill.
int64_t multiprocessors(const CudaTarget &target) {
  if (target.isEmulator)
    return target.multiprocessors;
  switch (target.major) {
  case 8:
    return target.minor == 0 ? 108 : target.minor == 9 ? 142 : 84;
  case 9:
    return 132;
  case 10:
    return 148;
  default:
    return 188;
  }
}

/// The schedule with so many parts of K that the grid has two blocks of threads for each multiprocessor, where K is
/// long enough to give each at least four segments.
ScheduleAttr withSplits(ProductLayer op, const Target &target, StringRef name, int64_t rows, int64_t blocks) {
  const FragmentLayout layout = FragmentPlan::layoutOf(op, /*isStreamed=*/false);
  const int64_t grid = llvm::divideCeil(layout.blocks(), FragmentPlan::warps * blocks);
  const int64_t wanted = llvm::divideCeil(2 * multiprocessors(std::get<CudaTarget>(target)), grid);
  int64_t splits = std::clamp<int64_t>(wanted, 1, std::clamp<int64_t>(layout.segments() / 4, 1, 16));
  // Patches fill the grid by their number; those of mixed weights are few where sums are of floats, and each tile of
  // them decodes the weight anew.
  const bool isMixed = cast<WeightType>(op.getWeight().getType()).getFormat().isMixed();
  if (!op.getPatch().empty() && !(isMixed && op.getCompute().getValue() != Compute::I8))
    splits = 1;
  // As many as have something to do.
  splits = llvm::divideCeil(layout.segments(), llvm::divideCeil(layout.segments(), splits));
  return ScheduleAttr::get(op->getContext(), name, rows, blocks, splits, {});
}

/// Whether no kernel for GPUs does the layer.
bool isLeftOut(ProductLayer op, std::string &reason) {
  if (op.getColumnFactors())
    reason = "kernels for GPUs have no column factors";
  return !reason.empty();
}

ScheduleAttr proposeFragment(Operation *op, const Target &target, std::string &reason) {
  auto linear = cast<ProductLayer>(op);
  if (isLeftOut(linear, reason))
    return {};
  const int64_t rows = rowsOf(linear);
  if (linear.getCompute().getValue() != Compute::BF16) {
    reason = "reads activations as they are, which is for compute bf16, got " +
             std::string(str(linear.getCompute().getValue()));
    return {};
  }
  if (ShapedType::isDynamic(rows) || rows < 1 || rows > cuda::maxExactRows) {
    reason = ShapedType::isDynamic(rows) ? "the number of rows is not known"
                                         : std::to_string(rows) + " rows; two operands of tensor instructions have " +
                                               std::to_string(cuda::maxExactRows);
    return {};
  }
  // What is done for a segment's activations is shared by the blocks of a warp; narrow codes, unless they are looked
  // up, leave less else to do. With two operands of activations the sums of four blocks would need a loop inside the
  // segment, which costs more than it saves.
  const Format &format = cast<WeightType>(linear.getWeight().getType()).getFormat();
  const int64_t blocks = format.bits <= 2 && !format.isTable() && rows <= 8 ? 4 : 2;
  return withSplits(linear, target, "fragment", rows, blocks);
}

ScheduleAttr proposePipeline(Operation *op, const Target &target, std::string &reason) {
  auto linear = cast<ProductLayer>(op);
  if (isLeftOut(linear, reason))
    return {};
  Compute compute = linear.getCompute().getValue();
  if (compute != Compute::BF16 && compute != Compute::I8) {
    reason = "tensor instructions take compute bf16 and i8, got " + std::string(str(compute));
    return {};
  }
  const int64_t rows = rowsOf(linear);
  const int64_t tile = ShapedType::isDynamic(rows) ? 32 : std::min<int64_t>(llvm::alignTo(rows, 8), 32);
  return withSplits(linear, target, "pipeline", tile, /*blocks=*/2);
}

ScheduleAttr proposeSimt(Operation *op, const Target &target, std::string &reason) {
  auto linear = cast<ProductLayer>(op);
  if (isLeftOut(linear, reason))
    return {};
  if (linear.getCompute().getValue() != Compute::F32) {
    reason = "multiply-adds are for compute f32, got " + std::string(str(linear.getCompute().getValue())) +
             "; GPUs have f32, bf16 and i8";
    return {};
  }
  const int64_t rows = rowsOf(linear);
  // A word of a plane of one bit holds two units: the body of the innermost loop, and so the time to compile it, is
  // twice as long.
  const bool hasBitPlane = cast<WeightType>(linear.getWeight().getType()).getFormat().bits % 2;
  const int64_t most = ShapedType::isDynamic(rows) || hasBitPlane ? 8 : cuda::maxExactRows;
  return withSplits(linear, target, "simt", ShapedType::isDynamic(rows) ? most : std::min(rows, most), /*blocks=*/1);
}

bool lacksMixed(ProductLayer op, std::string &reason) {
  if (op.getCompute().getValue() == Compute::I16)
    reason = "GPUs have compute f32, bf16 and i8, got i16";
  return !reason.empty();
}

/// A weight of the format `mixed`: as many of its rows for each block of threads as leave each multiprocessor four
/// blocks, since they share what is read of the activations.
ScheduleAttr proposeStream(Operation *op, const Target &target, std::string &reason) {
  auto linear = cast<ProductLayer>(op);
  auto weight = cast<WeightType>(linear.getWeight().getType());
  if (isLeftOut(linear, reason))
    return {};
  const int64_t rows = rowsOf(linear), most = MixedDecoder::maxRows;
  if (ShapedType::isDynamic(rows) || rows > most) {
    reason = ShapedType::isDynamic(rows)
                 ? "the number of rows is not known"
                 : std::to_string(rows) + " rows; registers have sums of " + std::to_string(most);
    return {};
  }
  if (lacksMixed(linear, reason))
    return {};
  int64_t outputs = MixedDecoder::hasWholePieces(weight.getFormat(), weight.getK()) ? MixedDecoder::maxOutputs : 1;
  while (outputs > 1 && weight.getN() < 4 * outputs * multiprocessors(std::get<CudaTarget>(target)))
    outputs /= 2;
  return ScheduleAttr::get(op->getContext(), "stream", rows, outputs, 1, {});
}

/// The same for many rows: what a block of threads decodes is for as many of them as registers have sums of.
ScheduleAttr proposePanel(Operation *op, const Target &target, std::string &reason) {
  auto linear = cast<ProductLayer>(op);
  if (isLeftOut(linear, reason) || lacksMixed(linear, reason))
    return {};
  const int64_t rows = rowsOf(linear);
  return withSplits(linear, target, "panel",
                    ShapedType::isDynamic(rows) ? 64 : std::min<int64_t>(llvm::alignTo(rows, 8), 64),
                    /*blocks=*/1);
}

/// A block of threads has the columns of eight operands of the transposed weight, where segments are not longer, or of
/// four where much is done with each; and each multiprocessor four blocks, since a warp has one block of rows of the
/// weight on its way at a time, where each warp then has at least four of them.
ScheduleAttr proposeGradient(Operation *op, const Target &target, std::string &reason) {
  auto gradient = cast<LinearInputGradientOp>(op);
  WeightType weight = gradient.getWeight().getType();
  const Format &format = weight.getFormat();
  const Compute compute = gradient.getCompute().getValue();
  const bool isF32 = compute == Compute::F32;
  if (!FragmentPlan::hasGradient(format, compute)) {
    reason = format.isMixed() ? "codes of mixed weights are not prepacked"
                              : "operands are bf16, in which codes of format " + format.str() + " are not exact";
    return {};
  }
  const FragmentLayout layout = FragmentLayout::get(format, weight.getN(), weight.getK());
  const int64_t given = gradient.getGradient().getType().getDimSize(0);
  const bool isMany = ShapedType::isDynamic(given) || given > 8;
  const bool hasPlanes = layout.planes().size() > 1;
  const int64_t columns = isMany && (isF32 || hasPlanes) ? 64 : 128;
  const int64_t segments = std::min<int64_t>(layout.segments(), std::max<int64_t>(columns / layout.segmentSize, 1));
  // The sums of more than these rows and columns would fill the registers, or take long to compile.
  const int64_t most = segments * layout.segmentSize > (isF32 && hasPlanes ? 64 : 128) ? 8 : 16;
  const int64_t rows = ShapedType::isDynamic(given) ? most : std::clamp<int64_t>(given, 1, most);
  const int64_t wanted = llvm::divideCeil(4 * multiprocessors(std::get<CudaTarget>(target)),
                                          llvm::divideCeil(layout.segments(), segments));
  const int64_t useful = std::clamp<int64_t>(layout.blocks() / (4 * FragmentPlan::warps), 1, 16);
  const int64_t splits = std::min(wanted, useful);
  return ScheduleAttr::get(op->getContext(), "gradient", rows, segments,
                           llvm::divideCeil(layout.blocks(), llvm::divideCeil(layout.blocks(), splits)), {});
}

ScheduleAttr proposeRows(Operation *op, const Target &, std::string &) {
  return ScheduleAttr::get(op->getContext(), "rows", 0, 0, 1, {});
}

constexpr Candidate linearCandidates[] = {
    {"fragment", proposeFragment}, {"pipeline", proposePipeline}, {"simt", proposeSimt}};
constexpr Candidate mixedCandidates[] = {{"stream", proposeStream}, {"panel", proposePanel}};
constexpr Candidate gradientCandidates[] = {{"gradient", proposeGradient}};
constexpr Candidate rowCandidates[] = {{"rows", proposeRows}};

} // namespace

ArrayRef<Candidate> bq::gpuCandidatesFor(Operation *op) {
  if (isa<LinearInputGradientOp>(op))
    return gradientCandidates;
  auto layer = dyn_cast<ProductLayer>(op);
  if (!layer)
    return rowCandidates;
  const bool isMixed = cast<WeightType>(layer.getWeight().getType()).getFormat().isMixed();
  return isMixed ? ArrayRef<Candidate>(mixedCandidates) : ArrayRef<Candidate>(linearCandidates);
}
