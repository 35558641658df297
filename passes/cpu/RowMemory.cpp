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
  forEachStep(columns, Value(), [&](Value column, Value count, Value) {
    body(column, count);
    return Value();
  });
}

Value RowMemory::forEachStep(Value columns, Value initial, function_ref<Value(Value, Value, Value)> body) {
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  Value whole = known ? b.index(*known / rowStep * rowStep) : b.mul(b.div(columns, rowStep), rowStep);
  auto carry = [](Value value) { return value ? SmallVector<Value>{value} : SmallVector<Value>(); };
  SmallVector<Value> last = b.loop(b.index(0), whole, rowStep, carry(initial), [&](Value column, ValueRange carried) {
    return carry(body(column, Value(), carried.empty() ? Value() : carried[0]));
  });
  if (known && *known % rowStep == 0)
    return initial ? last[0] : Value();
  // At most one more, which is shorter.
  Value rest = known ? b.index(*known % rowStep) : b.sub(columns, whole);
  Value isLeft = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, rest, b.index(0));
  if (!initial) {
    b.when(isLeft, [&] { body(whole, rest, Value()); });
    return {};
  }
  Value once = b.select(isLeft, b.index(1), b.index(0));
  return b.loop(b.index(0), once, 1, last,
                [&](Value, ValueRange carried) { return carry(body(whole, rest, carried[0])); })[0];
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
