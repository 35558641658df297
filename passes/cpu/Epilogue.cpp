// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From the sum of a layer to its result.
#include "passes/Activation.h"
#include "passes/cpu/LinearPlan.h"

#include "dialect/core/KernelAbi.h"

#include "mlir/IR/TypeUtilities.h"

#include <cstddef>
#include <numeric>

using namespace mlir;
using namespace bq;

Value bq::writeRowScale(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, Value m) {
  if (!plan.isInteger())
    return {};
  Value scale = b.loadScalar(buffers.rowScales, m);
  if (plan.format.isTable()) {
    size_t offset =
        plan.form == LinearPlan::Form::I8 ? offsetof(abi::WeightTable, i8Scale) : offsetof(abi::WeightTable, i16Scale);
    Value bytes = b.load(b.vec(b.getI8Type(), 4), buffers.table, b.index(offset));
    Value one = vector::ExtractOp::create(b, b.bitcast(b.vec(b.getF32Type(), 1), bytes), int64_t(0));
    scale = b.mulF(scale, one);
  }
  return b.broadcast(scale);
}

void bq::writeEpilogue(KernelBuilder &b, const LinearPlan &plan, const LinearBuffers &buffers, Value sum,
                       Value rowScale, Value m, Value column) {
  const bool isRagged = plan.layout.n % (b.lanes * plan.vectors) != 0;
  Value mask;
  if (isRagged) {
    SmallVector<int32_t> lane(b.lanes);
    std::iota(lane.begin(), lane.end(), 0);
    Value left = arith::IndexCastOp::create(b, b.getI32Type(), b.sub(b.index(plan.layout.n), column));
    mask = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, b.ints(lane), b.broadcast(left));
  }
  Value x = rowScale ? b.mulF(sum, rowScale) : sum;
  if (plan.hasBias) {
    Value bias = isRagged ? Value(vector::MaskedLoadOp::create(b, b.f32s(), buffers.bias, column, mask, b.splat(0.0f)))
                          : b.load(b.f32s(), buffers.bias, column);
    x = b.addF(x, bias);
  }
  Value y = b.truncateFloat(writeActivation(b, plan.activation, x, [&](float value) { return b.splat(value); }),
                            plan.dataType);
  y = b.bitcast(b.vec(plan.storageType(b), b.lanes), y);
  if (isRagged)
    vector::MaskedStoreOp::create(b, buffers.y, ValueRange{m, column}, mask, y);
  else
    b.store(y, buffers.y, {m, column});
}
