// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/LinearPlan.h"

#include "passes/Schedules.h"
#include "passes/cpu/DirectConv2d.h"
#include "passes/cpu/MixedLinear.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace bq;

LinearPlan LinearPlan::get(ProductLayer layer, const CpuTarget &target) {
  LinearPlan plan;
  auto weight = cast<WeightType>(layer.getWeight().getType());
  ScheduleAttr schedule = *layer.getSchedule();
  plan.format = weight.getFormat();
  plan.layout = layoutFor(layer, target);
  plan.activation = layer.getActivationKind();
  plan.hasBias = static_cast<bool>(layer.getBias());
  plan.permuted = layer.getPermuted();
  plan.hasColumnScale = plan.format.hasColumnScale() || layer.getColumnFactors();
  plan.staticBits = layer.getStaticBits();
  if (ArrayRef<int64_t> patch = layer.getPatch(); !patch.empty()) {
    plan.patchHeight = patch[0];
    plan.patchWidth = patch[1];
  }
  plan.dataType = getElementTypeOrSelf(layer.getInput().getType());
  plan.scaleType = weight.getScale();
  plan.zero = weight.getZero();
  plan.isPanel = schedule.getAlgorithm() == "panel";
  plan.hasPaddedRows = plan.isPanel || (plan.format.isMixed() && ShapedType::isDynamic(layer.getProductRows()));
  plan.rows = schedule.getRows();
  plan.vectors = schedule.getVectors();
  if (isDirectConv2d(layer)) {
    // A product for each activation that is loaded: nothing is gained by fewer bits.
    plan.groups = cast<Conv2dOp>(layer.getOperation()).getGroups();
    plan.roundToBF16 = layer.getCompute().getValue() == Compute::BF16;
    return plan;
  }
  switch (layer.getCompute().getValue()) {
  case Compute::F32:
    plan.form = Form::F32;
    break;
  case Compute::BF16:
    plan.roundToBF16 = !target.has(CpuTarget::AVX512BF16) || (plan.format.isMixed() && !plan.isPanel);
    plan.form = plan.roundToBF16 ? Form::F32 : Form::BF16;
    break;
  case Compute::I16:
    plan.form = Form::I16;
    break;
  case Compute::I8:
    plan.form = Form::I8;
    break;
  }
  if (plan.format.isMixed() && schedule.getAlgorithm() == "stream" && hasMixedBlocks(plan)) {
    // Slices of a float as integers whose products and sums are exact: the scheme of Ozaki et al., "Error-free
    // transformations of matrix multiplication by using fast routines of matrix multiplication", 2012.
    if (plan.form == Form::F32)
      plan.form = Form::TwoWords;
    else if (plan.form == Form::I16)
      plan.form = Form::Words;
  }
  plan.isDeinterleaved = plan.format.isMixed() && schedule.getAlgorithm() == "stream" && plan.form == Form::F32 &&
                         plan.format.group % deinterleavedColumns == 0;
  return plan;
}

SmallVector<float> LinearPlan::planeUnits() const {
  if (form == Form::I16)
    return {128.0f, 1.0f};
  if (form == Form::TwoWords)
    return {0x1p16f * fixedPointUnit(), fixedPointUnit()};
  return {1.0f};
}

int64_t LinearPlan::rowMultiple() const { return !hasPaddedRows ? 1 : isPanel ? panelRowMultiple : mixedRowMultiple; }

bool LinearPlan::readsSums() const {
  if (format.isMixed())
    return isInteger() || isPanel;
  const bool hasZero = !format.hasZeroPoints() || zero != ZeroPointType::None;
  return isInteger() ? hasZero : form == Form::BF16 && zero != ZeroPointType::None;
}
