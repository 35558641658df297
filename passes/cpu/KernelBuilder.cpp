// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/KernelBuilder.h"

#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"

#include <numeric>

using namespace mlir;
using namespace bq;

//===----------------------------------------------------------------------===//
// Constants and index arithmetic
//===----------------------------------------------------------------------===//

Value KernelBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(*this, value); }
Value KernelBuilder::i32(int64_t value) { return arith::ConstantIntOp::create(*this, getI32Type(), value); }
Value KernelBuilder::f32(float value) { return arith::ConstantOp::create(*this, getF32FloatAttr(value)); }

Value KernelBuilder::splat(VectorType type, int64_t value) {
  unsigned width = type.getElementTypeBitWidth();
  APInt bits(width, static_cast<uint64_t>(value), /*isSigned=*/false, /*implicitTrunc=*/true);
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(type, bits));
}
Value KernelBuilder::splat(float value) {
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(f32s(), value));
}
Value KernelBuilder::zero(VectorType type) { return arith::ConstantOp::create(*this, getZeroAttr(type)); }
Value KernelBuilder::ints(ArrayRef<int32_t> values) {
  VectorType type = vec(getI32Type(), values.size());
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(type, values));
}

static std::optional<int64_t> constantOf(Value value) { return getConstantIntValue(getAsOpFoldResult(value)); }

Value KernelBuilder::add(Value l, Value r) {
  auto a = constantOf(l), b = constantOf(r);
  if (a && b)
    return index(*a + *b);
  if (a && !*a)
    return r;
  return b && !*b ? l : arith::AddIOp::create(*this, l, r);
}
Value KernelBuilder::sub(Value l, Value r) { return arith::SubIOp::create(*this, l, r); }
Value KernelBuilder::mul(Value l, int64_t r) {
  if (auto a = constantOf(l))
    return index(*a * r);
  return r == 1 ? l : arith::MulIOp::create(*this, l, index(r));
}
Value KernelBuilder::div(Value l, int64_t r) { return r == 1 ? l : arith::DivUIOp::create(*this, l, index(r)); }
Value KernelBuilder::rem(Value l, int64_t r) { return r == 1 ? index(0) : arith::RemUIOp::create(*this, l, index(r)); }
Value KernelBuilder::min(Value l, Value r) { return arith::MinSIOp::create(*this, l, r); }
Value KernelBuilder::max(Value l, Value r) { return arith::MaxSIOp::create(*this, l, r); }

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value KernelBuilder::view(Value pointer, ArrayRef<int64_t> shape, ValueRange sizes, Value rowStride) {
  SmallVector<OpFoldResult> dims, strides(shape.size());
  auto nextSize = sizes.begin();
  for (int64_t dim : shape)
    dims.push_back(ShapedType::isDynamic(dim) ? OpFoldResult(*nextSize++) : getIndexAttr(dim));
  SmallVector<int64_t> staticStrides(shape.size());
  OpFoldResult stride = getIndexAttr(1);
  for (int64_t i = shape.size() - 1; i >= 0; --i) {
    if (i == 0 && rowStride)
      stride = rowStride;
    strides[i] = stride;
    auto known = getConstantIntValue(stride);
    staticStrides[i] = known ? *known : ShapedType::kDynamic;
    auto size = getConstantIntValue(dims[i]);
    if (known && size)
      stride = getIndexAttr(*known * *size);
    else if (i > 0 && size)
      stride = mul(cast<Value>(stride), *size);
    else if (i > 0)
      stride = Value(arith::MulIOp::create(*this, cast<Value>(dims[i]), known ? index(*known) : cast<Value>(stride)));
  }
  auto layout = StridedLayoutAttr::get(getContext(), 0, staticStrides);
  auto type = MemRefType::get(shape, getElementTypeOrSelf(pointer.getType()), layout);
  return memref::ReinterpretCastOp::create(*this, type, pointer, OpFoldResult(getIndexAttr(0)), dims, strides);
}

Value KernelBuilder::load(VectorType type, Value buffer, ValueRange at, int64_t alignment) {
  auto op = vector::LoadOp::create(*this, type, buffer, at);
  if (alignment)
    op->setAttr("alignment", getI64IntegerAttr(alignment));
  return op;
}
void KernelBuilder::store(Value vector, Value buffer, ValueRange at) {
  vector::StoreOp::create(*this, vector, buffer, at);
}
Value KernelBuilder::loadScalar(Value buffer, ValueRange at) { return memref::LoadOp::create(*this, buffer, at); }
void KernelBuilder::storeScalar(Value value, Value buffer, ValueRange at) {
  memref::StoreOp::create(*this, value, buffer, at);
}
void KernelBuilder::prefetch(Value buffer, ValueRange at) {
  memref::PrefetchOp::create(*this, buffer, at, /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
}
Value KernelBuilder::broadcastLoad(VectorType type, Value buffer, ValueRange at) {
  Value scalar = loadScalar(buffer, at);
  const int64_t bits = type.getNumElements() * type.getElementTypeBitWidth();
  return bitcast(type, broadcast(vec(scalar.getType(), bits / scalar.getType().getIntOrFloatBitWidth()), scalar));
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

Value KernelBuilder::bitcast(Type type, Value value) {
  if (value.getType() == type)
    return value;
  if (isa<VectorType>(type))
    return vector::BitCastOp::create(*this, cast<VectorType>(type), value);
  return arith::BitcastOp::create(*this, type, value);
}
Value KernelBuilder::slice(Value vector, int64_t offset, int64_t count) {
  SmallVector<int64_t> order(count);
  std::iota(order.begin(), order.end(), offset);
  return vector::ShuffleOp::create(*this, vector, vector, order);
}
Value KernelBuilder::broadcast(Value scalar) { return broadcast(vec(scalar.getType(), lanes), scalar); }
Value KernelBuilder::broadcast(VectorType type, Value scalar) {
  return vector::BroadcastOp::create(*this, type, scalar);
}
Value KernelBuilder::shiftRight(Value vector, int64_t bits) {
  return bits ? arith::ShRUIOp::create(*this, vector, splat(cast<VectorType>(vector.getType()), bits)) : vector;
}
Value KernelBuilder::shiftLeft(Value vector, int64_t bits) {
  return bits ? arith::ShLIOp::create(*this, vector, splat(cast<VectorType>(vector.getType()), bits)) : vector;
}
Value KernelBuilder::bitAnd(Value vector, int64_t mask) {
  return arith::AndIOp::create(*this, vector, splat(cast<VectorType>(vector.getType()), mask));
}
Value KernelBuilder::bitOr(Value l, Value r) { return arith::OrIOp::create(*this, l, r); }
Value KernelBuilder::addI(Value l, Value r) { return arith::AddIOp::create(*this, l, r); }
Value KernelBuilder::subI(Value l, Value r) { return arith::SubIOp::create(*this, l, r); }
Value KernelBuilder::mulI(Value l, Value r) { return arith::MulIOp::create(*this, l, r); }
Value KernelBuilder::addF(Value l, Value r) { return arith::AddFOp::create(*this, l, r); }
Value KernelBuilder::subF(Value l, Value r) { return arith::SubFOp::create(*this, l, r); }
Value KernelBuilder::mulF(Value l, Value r) { return arith::MulFOp::create(*this, l, r); }
Value KernelBuilder::divF(Value l, Value r) { return arith::DivFOp::create(*this, l, r); }
Value KernelBuilder::fma(Value a, Value b, Value c) { return math::FmaOp::create(*this, a, b, c); }
Value KernelBuilder::toFloat(Value ints) {
  auto type = cast<VectorType>(ints.getType());
  return arith::SIToFPOp::create(*this, vec(getF32Type(), type.getNumElements()), ints);
}
Value KernelBuilder::roundToInt(Value floats) {
  return LLVM::LrintOp::create(*this, vec(getI32Type(), cast<VectorType>(floats.getType()).getNumElements()), floats);
}
Value KernelBuilder::select(Value condition, Value yes, Value no) {
  return arith::SelectOp::create(*this, condition, yes, no);
}
Value KernelBuilder::extractBits(Value data, Value begins) {
  const bool isWhole = cast<VectorType>(data.getType()).getNumElements() == 64;
  return writeIntrinsic(*this, isWhole ? "llvm.x86.avx512.pmultishift.qb.512" : "llvm.x86.avx512.pmultishift.qb.256",
                        data.getType(), {begins, data});
}

Value bq::writeIntrinsic(ImplicitLocOpBuilder &b, StringRef name, Type result, ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name), operands).getResult(0);
}

static Type withElement(Type like, Type element) {
  auto vector = dyn_cast<VectorType>(like);
  return vector ? Type(vector.clone(element)) : element;
}

Value KernelBuilder::extendFloat(Value value) {
  if (getElementTypeOrSelf(value.getType()).isF32())
    return value;
  return arith::ExtFOp::create(*this, withElement(value.getType(), getF32Type()), value);
}
Value KernelBuilder::truncateFloat(Value value, Type element) {
  if (getElementTypeOrSelf(value.getType()) == element)
    return value;
  return arith::TruncFOp::create(*this, withElement(value.getType(), element), value);
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

SmallVector<Value> KernelBuilder::loop(Value begin, Value end, int64_t step, ValueRange initial,
                                       function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto op =
      scf::ForOp::create(*this, begin, end, index(step), initial, [](OpBuilder &, Location, Value, ValueRange) {});
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(op.getBody());
  SmallVector<Value> next = body(op.getInductionVar(), op.getRegionIterArgs());
  scf::YieldOp::create(*this, next);
  return SmallVector<Value>(op.getResults());
}

void KernelBuilder::loop(Value begin, Value end, int64_t step, function_ref<void(Value)> body) {
  loop(begin, end, step, ValueRange(), [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

void KernelBuilder::when(Value condition, function_ref<void()> body) {
  auto op = scf::IfOp::create(*this, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  body();
}
