// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/RowMemory.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace bq;

Value RowMemory::onStack(Type element, int64_t count) {
  return memref::AllocaOp::create(b, MemRefType::get({count}, element), b.getI64IntegerAttr(64));
}

void RowMemory::prepare(Type element) {
  for (auto &[type, temp] : temps)
    if (type == element)
      return;
  // A step of codes is at most sixteen bytes, of anything else sixteen elements.
  temps.emplace_back(element, onStack(element, rowStep));
}

Value RowMemory::tempFor(Type element) {
  for (auto &[type, temp] : temps)
    if (type == element)
      return temp;
  llvm_unreachable("prepare() was not called for this type");
}

void RowMemory::forEachStep(Value columns, function_ref<void(Value, Value)> body) {
  forEachStep(columns, ValueRange(), [&](Value column, Value count, Carried &) { body(column, count); });
}

Value RowMemory::forEachStep(Value columns, Value initial, function_ref<Value(Value, Value, Value)> body) {
  return forEachStep(columns, ValueRange(initial), [&](Value column, Value count, Carried &carried) {
    carried[0] = body(column, count, carried[0]);
  })[0];
}

RowMemory::Carried RowMemory::forEachStep(Value columns, ValueRange initial,
                                          function_ref<void(Value, Value, Carried &)> body) {
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  Value whole = known ? b.index(*known / rowStep * rowStep) : b.mul(b.div(columns, rowStep), rowStep);
  auto step = [&](Value column, Value count, ValueRange before) {
    Carried carried(before);
    body(column, count, carried);
    return carried;
  };
  Carried last = b.loop(b.index(0), whole, rowStep, initial,
                        [&](Value column, ValueRange carried) { return step(column, Value(), carried); });
  if (known && *known % rowStep == 0)
    return last;
  // At most one more, which is shorter.
  Value rest = known ? b.index(*known % rowStep) : b.sub(columns, whole);
  Value isLeft = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, rest, b.index(0));
  if (initial.empty()) {
    b.when(isLeft, [&] { step(whole, rest, {}); });
    return {};
  }
  Value once = b.select(isLeft, b.index(1), b.index(0));
  return b.loop(b.index(0), once, 1, last, [&](Value, ValueRange carried) { return step(whole, rest, carried); });
}

void RowMemory::storeBytes(Value columns, Value ahead, ByteSteps &steps) {
  const int64_t span = stepsAtOnce() * rowStep;
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  Value whole = known ? b.index(*known / span * span) : b.mul(b.div(columns, span), span);
  auto bytesOfSteps = [&](ArrayRef<Value> lanes) {
    Value bytes = bytesOf(lanes);
    return steps.offset ? b.subI(bytes, b.broadcast(cast<VectorType>(bytes.getType()), steps.offset)) : bytes;
  };
  steps.carried = b.loop(b.index(0), whole, span, steps.carried, [&](Value column, ValueRange before) {
    Carried carried(before);
    SmallVector<Value> lanes;
    for (int64_t offset = 0; offset < span; offset += rowStep)
      lanes.push_back(steps.step(b.add(column, offset), Value(), carried));
    Value to = b.add(steps.at, column);
    b.store(bytesOfSteps(lanes), steps.buffer, to);
    b.prefetch(steps.buffer, b.add(to, ahead));
    return carried;
  });
  if (known && *known % span == 0)
    return;
  Value rest = known ? b.index(*known % span) : b.sub(columns, whole);
  steps.carried = forEachStep(rest, steps.carried, [&](Value offset, Value count, Carried &carried) {
    Value column = b.add(whole, offset);
    store(bytesOfSteps(steps.step(column, count, carried)), steps.buffer, b.add(steps.at, column), count);
  });
}

Value RowMemory::bytesOf(ArrayRef<Value> steps, int64_t number) {
  if (steps.size() == 1) {
    Value lanes = number ? b.shiftRight(steps[0], 8 * number) : steps[0];
    return arith::TruncIOp::create(b, b.vec(b.getI8Type(), rowStep), lanes);
  }
  auto allBytes = [&](Value step) { return b.bitcast(b.vec(b.getI8Type(), 4 * rowStep), step); };
  auto join = [&](Value low, Value high, int64_t first, int64_t count, int64_t stride) -> Value {
    SmallVector<int64_t> order;
    for (int64_t i = 0; i < count; ++i)
      order.push_back(first + stride * i);
    return vector::ShuffleOp::create(b, low, high, order);
  };
  Value low = join(allBytes(steps[0]), allBytes(steps[1]), number, 2 * rowStep, 4);
  Value high = join(allBytes(steps[2]), allBytes(steps[3]), number, 2 * rowStep, 4);
  return join(low, high, 0, 4 * rowStep, 1);
}

Value RowMemory::load(Type element, Value buffer, Value at, Value count, int64_t lanes) {
  VectorType type = b.vec(element, lanes);
  if (!count)
    return b.load(type, buffer, at);
  Value temp = tempFor(element);
  b.store(b.zero(b.vec(element, rowStep)), temp, b.index(0));
  b.loop(b.index(0), count, 1, [&](Value i) { b.storeScalar(b.loadScalar(buffer, b.add(at, i)), temp, i); });
  return b.load(type, temp, b.index(0));
}

void RowMemory::store(Value vector, Value buffer, Value at, Value count) {
  if (!count)
    return b.store(vector, buffer, at);
  Value temp = tempFor(cast<VectorType>(vector.getType()).getElementType());
  b.store(vector, temp, b.index(0));
  b.loop(b.index(0), count, 1, [&](Value i) { b.storeScalar(b.loadScalar(temp, i), buffer, b.add(at, i)); });
}
