// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/FragmentPlan.h"

#include "dialect/core/CudaAbi.h"

#include "mlir/IR/TypeUtilities.h"

#include <cstddef>

using namespace mlir;
using namespace bq;

FragmentPlan FragmentPlan::get(ProductLayer op) {
  FragmentPlan plan;
  auto weight = cast<WeightType>(op.getWeight().getType());
  ScheduleAttr schedule = *op.getSchedule();
  plan.format = weight.getFormat();
  plan.layout = FragmentLayout::get(plan.format, weight.getN(), weight.getK());
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
  plan.form = compute == Compute::BF16 ? Form::BF16 : compute == Compute::I8 ? Form::I8 : Form::F32;
  plan.readsPanel = schedule.getAlgorithm() == "pipeline" || (plan.format.isMixed() && plan.form == Form::I8);
  return plan;
}

int64_t FragmentPlan::stagedStride(int64_t columns) const {
  // Eight lanes at a time read 16 bytes each from two rows (8 bytes from four rows, for i8): rows are apart by an odd
  // number of what they read of one.
  const int64_t bytes = columns * activationBytes(), read = form == Form::I8 ? 32 : 64;
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
