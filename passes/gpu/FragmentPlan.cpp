// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/FragmentPlan.h"

#include "dialect/core/CudaAbi.h"

#include "mlir/IR/TypeUtilities.h"

#include <cstddef>

using namespace mlir;
using namespace bq;

FragmentLayout FragmentPlan::layoutOf(ProductLayer op, bool isStreamed) {
  auto weight = cast<WeightType>(op.getWeight().getType());
  FragmentLayout layout = FragmentLayout::get(weight.getFormat(), weight.getN(), weight.getK());
  if (!weight.getFormat().isMixed() || isStreamed)
    return layout;
  // 256 bytes of a row: their codes are near each other, and the panel leaves room for several blocks of threads.
  layout.segmentSize = layout.segmentCodes = op.getCompute().getValue() == Compute::F32 ? 64 : 128;
  layout.segmentsPerGroup = llvm::divideCeil(layout.k, layout.segmentSize);
  return layout;
}

FragmentPlan FragmentPlan::get(ProductLayer op) {
  FragmentPlan plan;
  auto weight = cast<WeightType>(op.getWeight().getType());
  ScheduleAttr schedule = *op.getSchedule();
  plan.format = weight.getFormat();
  plan.isStreamed = schedule.getAlgorithm() == "stream";
  plan.layout = layoutOf(op, plan.isStreamed);
  plan.activation = op.getActivationKind();
  plan.hasBias = static_cast<bool>(op.getBias());
  plan.permuted = op.getPermuted();
  plan.dataType = getElementTypeOrSelf(op.getInput().getType());
  plan.scaleType = weight.getScale();
  plan.zero = weight.getZero();
  plan.rows = schedule.getRows();
  plan.blocks = schedule.getVectors();
  plan.splits = schedule.getSplits();
  plan.staticBits = op.getStaticBits();
  if (ArrayRef<int64_t> patch = op.getPatch(); !patch.empty()) {
    plan.patchHeight = patch[0];
    plan.patchWidth = patch[1];
  }
  Compute compute = op.getCompute().getValue();
  const bool hasMixedPanel = plan.format.isMixed() && !plan.isStreamed;
  plan.hasRowScales = compute == Compute::I8;
  plan.form = compute == Compute::F32 ? Form::F32 : compute == Compute::I8 && !hasMixedPanel ? Form::I8 : Form::BF16;
  plan.readsPanel = schedule.getAlgorithm() == "pipeline" || (plan.isStreamed && plan.hasRowScales) ||
                    (hasMixedPanel && plan.form == Form::BF16);
  return plan;
}

FragmentPlan FragmentPlan::get(LinearInputGradientOp op) {
  FragmentPlan plan;
  WeightType weight = op.getWeight().getType();
  ScheduleAttr schedule = *op.getSchedule();
  plan.format = weight.getFormat();
  plan.layout = FragmentLayout::get(plan.format, weight.getN(), weight.getK());
  plan.permuted = op.getPermuted();
  plan.dataType = getElementTypeOrSelf(op.getGradient().getType());
  plan.scaleType = weight.getScale();
  plan.zero = weight.getZero();
  plan.rows = schedule.getRows();
  plan.blocks = schedule.getVectors();
  plan.splits = schedule.getSplits();
  plan.isGradient = true;
  plan.parts = op.getCompute().getValue() == Compute::F32 ? 3 : 1;
  return plan;
}

int64_t FragmentPlan::stagedStride(int64_t columns) const {
  // Eight lanes at a time read 16 bytes each from two rows (8 bytes from four rows for i8, 16 bytes from eight rows for
  // mixed f32): rows are apart by an odd number of what they read of one.
  const int64_t read = form == Form::I8 ? 32 : form == Form::F32 && format.isMixed() ? 16 : 64;
  const int64_t bytes = columns * activationBytes();
  return (bytes % (2 * read) == 0 ? bytes + read : bytes) / 4;
}

FragmentPlan::TableForm FragmentPlan::tableForm(Builder &b) const {
  switch (form) {
  case Form::F32:
    return {b.getF32Type(), 16, offsetof(cuda::WeightTable, f32)};
  case Form::BF16:
    return {b.getI32Type(), 256, offsetof(cuda::WeightTable, bf16Pairs)};
  case Form::I8:
    return {b.getI16Type(), 256, offsetof(cuda::WeightTable, i8Pairs)};
  }
  llvm_unreachable("every form is listed");
}

ColumnPiece bq::locateColumns(GpuBuilder &b, const FragmentLayout &layout, Value column) {
  if (layout.segmentCodes == layout.segmentSize && layout.k == layout.paddedColumns())
    return {column, {}};
  Value segment = b.div(column, layout.segmentSize), offset = b.rem(column, layout.segmentSize);
  Value group = b.div(segment, layout.segmentsPerGroup), part = b.rem(segment, layout.segmentsPerGroup);
  Value groupBegin = b.mul(group, layout.groupSize);
  Value begin = b.add(groupBegin, b.mul(part, layout.segmentCodes));
  Value groupEnd = b.min(b.add(groupBegin, layout.groupSize), b.i32(layout.k));
  return {b.add(begin, offset), b.min(b.add(begin, layout.segmentCodes), groupEnd)};
}
