// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/LinearPlan.h"

#include "passes/Schedules.h"

#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace bq;

LinearPlan LinearPlan::get(LinearOp op, const CpuTarget &target) {
  LinearPlan plan;
  WeightType weight = op.getWeight().getType();
  ScheduleAttr schedule = *op.getSchedule();
  plan.format = weight.getFormat();
  plan.layout = layoutFor(weight, target);
  plan.activation = op.getActivationKind();
  plan.hasBias = static_cast<bool>(op.getBias());
  plan.permuted = op.getPermuted();
  plan.dataType = getElementTypeOrSelf(op.getInput().getType());
  plan.scaleType = weight.getScale();
  plan.zero = weight.getZero();
  plan.hasPaddedRows = schedule.getAlgorithm() == "panel";
  plan.rows = schedule.getRows();
  plan.vectors = schedule.getVectors();
  switch (op.getCompute().getValue()) {
  case Compute::F32:
    plan.form = Form::F32;
    break;
  case Compute::BF16:
    plan.roundToBF16 = !target.has(CpuTarget::AVX512BF16);
    plan.form = plan.roundToBF16 ? Form::F32 : Form::BF16;
    break;
  case Compute::I16:
    plan.form = Form::I16;
    break;
  case Compute::I8:
    plan.form = Form::I8;
    break;
  }
  return plan;
}
