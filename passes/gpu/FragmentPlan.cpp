// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/FragmentPlan.h"

#include "dialect/core/CudaAbi.h"

#include "mlir/IR/TypeUtilities.h"

#include <cstddef>

using namespace mlir;
using namespace bq;

FragmentPlan FragmentPlan::get(LinearOp op) {
  FragmentPlan plan;
  WeightType weight = op.getWeight().getType();
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
  plan.readsPanel = schedule.getAlgorithm() == "pipeline";
  Compute compute = op.getCompute().getValue();
  plan.form = compute == Compute::BF16 ? Form::BF16 : compute == Compute::I8 ? Form::I8 : Form::F32;
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

SmallVector<Value> ActivationReader::read(Value row, Value column) {
  const FragmentLayout &layout = plan.layout;
  const bool isEven = layout.segmentCodes == layout.segmentSize && layout.k == layout.paddedColumns();
  SmallVector<Value> values;
  if (isEven) {
    for (int64_t i = 0; i < 8; ++i)
      values.push_back(readOne(row, b.add(column, i)));
    return values;
  }
  Value segment = b.div(column, layout.segmentSize), offset = b.rem(column, layout.segmentSize);
  Value group = b.div(segment, layout.segmentsPerGroup), part = b.rem(segment, layout.segmentsPerGroup);
  Value groupBegin = b.mul(group, layout.groupSize);
  Value begin = b.add(groupBegin, b.mul(part, layout.segmentCodes));
  Value groupEnd = b.min(b.add(groupBegin, layout.groupSize), b.i32(layout.k));
  Value end = b.min(b.add(begin, layout.segmentCodes), groupEnd);
  for (int64_t i = 0; i < 8; ++i) {
    Value at = b.add(begin, b.add(offset, i));
    values.push_back(b.choose(b.lessThan(at, end), [&] { return readOne(row, at); }, [&] { return b.f32(0.0f); }));
  }
  return values;
}

Value ActivationReader::readOne(Value row, Value column) {
  Value source = plan.permuted ? b.load(buffers.permutation, column) : column;
  Value at = b.add(b.mul(b.wide(row), buffers.xStride), b.wide(source));
  Value value = b.loadFloat(plan.dataType, buffers.x, at);
  return plan.format.hasColumnScale() ? b.mulF(value, b.load(buffers.columnScale, column)) : value;
}
