// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/GpuBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <optional>

using namespace mlir;
using namespace bq;

func::FuncOp GpuBuilder::kernel(StringRef name, TypeRange arguments, const Grid &grid) {
  auto func = func::FuncOp::create(*this, name, getFunctionType(arguments, {}));
  auto set = [&](StringRef attribute, int64_t value) { func->setAttr(attribute, getI32IntegerAttr(value)); };
  set("bqgpu.threads", grid.threads);
  set("bqgpu.rows_per_block", grid.rowsPerBlock);
  set("bqgpu.grid_y", grid.y);
  set("bqgpu.grid_z", grid.z);
  entry = func.addEntryBlock();
  setInsertionPointToStart(entry);
  func::ReturnOp::create(*this);
  setInsertionPointToStart(entry);
  return func;
}

gpu::PtrType GpuBuilder::pointer(Type element, bool shared) { return gpu::PtrType::get(getContext(), element, shared); }
gpu::PtrType GpuBuilder::floatPointer(Type element) { return pointer(element.isF32() ? element : Type(getI16Type())); }

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

Value GpuBuilder::i32(int64_t value) {
  return arith::ConstantOp::create(*this, getI32IntegerAttr(static_cast<int32_t>(value)));
}
Value GpuBuilder::i64(int64_t value) { return arith::ConstantOp::create(*this, getI64IntegerAttr(value)); }
Value GpuBuilder::f32(float value) { return arith::ConstantOp::create(*this, getF32FloatAttr(value)); }
Value GpuBuilder::constantLike(Value value, int64_t constant) {
  return value.getType().isInteger(64) ? i64(constant) : i32(constant);
}

static std::optional<int64_t> constantOf(Value value) {
  if (auto op = value.getDefiningOp<arith::ConstantOp>())
    if (auto attr = dyn_cast<IntegerAttr>(op.getValue()))
      return attr.getInt();
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

Value GpuBuilder::add(Value l, Value r) {
  std::optional<int64_t> a = constantOf(l), b = constantOf(r);
  if (a && b)
    return constantLike(l, *a + *b);
  if (a && *a == 0)
    return r;
  return b && *b == 0 ? l : arith::AddIOp::create(*this, l, r);
}
Value GpuBuilder::sub(Value l, Value r) {
  std::optional<int64_t> a = constantOf(l), b = constantOf(r);
  if (a && b)
    return constantLike(l, *a - *b);
  return b && *b == 0 ? l : arith::SubIOp::create(*this, l, r);
}
Value GpuBuilder::mul(Value l, Value r) {
  std::optional<int64_t> a = constantOf(l), b = constantOf(r);
  return a && b ? constantLike(l, *a * *b) : arith::MulIOp::create(*this, l, r);
}
Value GpuBuilder::div(Value l, int64_t r) {
  if (r == 1)
    return l;
  if (auto a = constantOf(l))
    return constantLike(l, *a / r);
  return arith::DivUIOp::create(*this, l, constantLike(l, r));
}
Value GpuBuilder::rem(Value l, int64_t r) {
  if (auto a = constantOf(l))
    return constantLike(l, *a % r);
  return r == 1 ? constantLike(l, 0) : arith::RemUIOp::create(*this, l, constantLike(l, r));
}
Value GpuBuilder::min(Value l, Value r) {
  std::optional<int64_t> a = constantOf(l), b = constantOf(r);
  return a && b ? constantLike(l, std::min(*a, *b)) : arith::MinSIOp::create(*this, l, r);
}
Value GpuBuilder::max(Value l, Value r) {
  std::optional<int64_t> a = constantOf(l), b = constantOf(r);
  return a && b ? constantLike(l, std::max(*a, *b)) : arith::MaxSIOp::create(*this, l, r);
}
Value GpuBuilder::bitAnd(Value l, int64_t mask) { return arith::AndIOp::create(*this, l, constantLike(l, mask)); }
Value GpuBuilder::bitOr(Value l, Value r) { return arith::OrIOp::create(*this, l, r); }
Value GpuBuilder::bitXor(Value l, int64_t mask) { return arith::XOrIOp::create(*this, l, constantLike(l, mask)); }
Value GpuBuilder::shiftLeft(Value l, int64_t bits) {
  return bits ? arith::ShLIOp::create(*this, l, constantLike(l, bits)) : l;
}
Value GpuBuilder::shiftRight(Value l, int64_t bits) {
  return bits ? arith::ShRUIOp::create(*this, l, constantLike(l, bits)) : l;
}
Value GpuBuilder::shiftRight(Value l, Value bits) {
  if (auto count = constantOf(bits))
    return shiftRight(l, *count);
  return arith::ShRUIOp::create(*this, l, bits);
}
Value GpuBuilder::shiftRightSigned(Value l, int64_t bits) {
  return bits ? arith::ShRSIOp::create(*this, l, constantLike(l, bits)) : l;
}
Value GpuBuilder::wide(Value narrow) {
  if (auto a = constantOf(narrow))
    return i64(*a);
  return narrow.getType().isInteger(64) ? narrow : arith::ExtSIOp::create(*this, getI64Type(), narrow);
}
Value GpuBuilder::lessThan(Value l, Value r) { return arith::CmpIOp::create(*this, arith::CmpIPredicate::slt, l, r); }
Value GpuBuilder::equal(Value l, Value r) { return arith::CmpIOp::create(*this, arith::CmpIPredicate::eq, l, r); }
Value GpuBuilder::both(Value l, Value r) { return arith::AndIOp::create(*this, l, r); }

//===----------------------------------------------------------------------===//
// Floats
//===----------------------------------------------------------------------===//

Value GpuBuilder::addF(Value l, Value r) { return arith::AddFOp::create(*this, l, r); }
Value GpuBuilder::subF(Value l, Value r) { return arith::SubFOp::create(*this, l, r); }
Value GpuBuilder::mulF(Value l, Value r) { return arith::MulFOp::create(*this, l, r); }
Value GpuBuilder::divF(Value l, Value r) { return arith::DivFOp::create(*this, l, r); }
Value GpuBuilder::fma(Value a, Value b, Value c) { return math::FmaOp::create(*this, a, b, c); }
Value GpuBuilder::negF(Value x) { return arith::NegFOp::create(*this, x); }
Value GpuBuilder::absF(Value x) { return math::AbsFOp::create(*this, x); }
Value GpuBuilder::minF(Value l, Value r) { return arith::MinNumFOp::create(*this, l, r); }
Value GpuBuilder::maxF(Value l, Value r) { return arith::MaxNumFOp::create(*this, l, r); }
Value GpuBuilder::sqrtF(Value x) { return math::SqrtOp::create(*this, x); }
Value GpuBuilder::floorF(Value x) { return math::FloorOp::create(*this, x); }
Value GpuBuilder::roundEven(Value x) { return math::RoundEvenOp::create(*this, x); }
Value GpuBuilder::compareF(arith::CmpFPredicate predicate, Value l, Value r) {
  return arith::CmpFOp::create(*this, predicate, l, r);
}
Value GpuBuilder::toInt(Value f32) { return arith::FPToSIOp::create(*this, getI32Type(), f32); }
Value GpuBuilder::toFloat(Value i32) { return arith::SIToFPOp::create(*this, getF32Type(), i32); }
Value GpuBuilder::bits(Value f32) { return arith::BitcastOp::create(*this, getI32Type(), f32); }
Value GpuBuilder::asFloat(Value i32) { return arith::BitcastOp::create(*this, getF32Type(), i32); }
Value GpuBuilder::select(Value condition, Value yes, Value no) {
  return arith::SelectOp::create(*this, condition, yes, no);
}

//===----------------------------------------------------------------------===//
// Memory and fragments
//===----------------------------------------------------------------------===//

Value GpuBuilder::load(Value pointer, Value index) {
  Type element = cast<gpu::PtrType>(pointer.getType()).getElement();
  return load(element.isInteger(8) || element.isInteger(16) ? Type(getI32Type()) : element, pointer, index);
}
Value GpuBuilder::load(Type type, Value pointer, Value index, bool streamed) {
  return gpu::LoadOp::create(*this, type, pointer, index, streamed, /*fresh=*/false);
}
Value GpuBuilder::loadFresh(Value pointer, Value index) {
  return gpu::LoadOp::create(*this, cast<gpu::PtrType>(pointer.getType()).getElement(), pointer, index,
                             /*streamed=*/false, /*fresh=*/true);
}
void GpuBuilder::store(Value value, Value pointer, Value index) { gpu::StoreOp::create(*this, value, pointer, index); }
Value GpuBuilder::loadFloat(Type element, Value pointer, Value index) {
  Value value = load(pointer, index);
  if (element.isF32())
    return value;
  return gpu::ExtendOp::create(*this, element.isF16() ? gpu::Half::F16 : gpu::Half::BF16, value);
}
void GpuBuilder::storeFloat(Type element, Value value, Value pointer, Value index) {
  if (!element.isF32())
    value = gpu::RoundOp::create(*this, element.isF16() ? gpu::Half::F16 : gpu::Half::BF16, value);
  store(value, pointer, index);
}
Value GpuBuilder::roundTo(Type element, Value value) {
  if (element.isF32())
    return value;
  gpu::Half half = element.isF16() ? gpu::Half::F16 : gpu::Half::BF16;
  return gpu::ExtendOp::create(*this, half, gpu::RoundOp::create(*this, half, value));
}
Value GpuBuilder::roundPair(Type element, Value low, Value high) {
  if (element.isBF16())
    return gpu::RoundPairOp::create(*this, low, high);
  return bitOr(gpu::RoundOp::create(*this, gpu::Half::F16, low),
               shiftLeft(gpu::RoundOp::create(*this, gpu::Half::F16, high), 16));
}
Value GpuBuilder::shared(Type element, int64_t count) {
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(entry);
  return gpu::SharedOp::create(*this, pointer(element, true), count);
}
Value GpuBuilder::pack(ValueRange elements) {
  return gpu::PackOp::create(*this, vec(elements.front().getType(), elements.size()), elements);
}
Value GpuBuilder::element(Value fragment, int64_t index) {
  return gpu::ElementOp::create(*this, cast<VectorType>(fragment.getType()).getElementType(), fragment, index);
}
Value GpuBuilder::splat(Value element, int64_t count) { return pack(SmallVector<Value>(count, element)); }

//===----------------------------------------------------------------------===//
// Control
//===----------------------------------------------------------------------===//

SmallVector<Value> GpuBuilder::loop(Value begin, Value end, Value step, ValueRange initial,
                                    function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(*this, begin, end, step, initial,
                               [&](OpBuilder &builder, Location, Value i, ValueRange carried) {
                                 OpBuilder::InsertionGuard guard(*this);
                                 restoreInsertionPoint(builder.saveInsertionPoint());
                                 SmallVector<Value> next = body(i, carried);
                                 scf::YieldOp::create(*this, next);
                               });
  return SmallVector<Value>(op.getResults());
}

void GpuBuilder::loop(Value begin, Value end, Value step, function_ref<void(Value)> body) {
  loop(begin, end, step, {}, [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

void GpuBuilder::when(Value condition, function_ref<void()> body, function_ref<void()> otherwise) {
  auto op = scf::IfOp::create(*this, condition, /*withElseRegion=*/static_cast<bool>(otherwise));
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  body();
  if (!otherwise)
    return;
  setInsertionPointToStart(op.elseBlock());
  otherwise();
}

Value GpuBuilder::choose(Value condition, function_ref<Value()> yes, function_ref<Value()> no) {
  return chooseAll(condition, [&] { return Values{yes()}; }, [&] { return Values{no()}; })[0];
}

GpuBuilder::Values GpuBuilder::chooseAll(Value condition, function_ref<Values()> yes, function_ref<Values()> no) {
  auto branch = [&](function_ref<Values()> body) {
    return [this, body](OpBuilder &builder, Location) {
      OpBuilder::InsertionGuard guard(*this);
      restoreInsertionPoint(builder.saveInsertionPoint());
      scf::YieldOp::create(*this, body());
    };
  };
  return Values(scf::IfOp::create(*this, condition, branch(yes), branch(no)).getResults());
}

Value GpuBuilder::shuffleXor(Value value, int64_t mask) {
  return gpu::ShuffleXorOp::create(*this, value, static_cast<int32_t>(mask));
}

Value GpuBuilder::reduceWarp(Value value, function_ref<Value(Value, Value)> combine) {
  for (int64_t mask = 16; mask; mask /= 2)
    value = combine(value, shuffleXor(value, mask));
  return value;
}

Value GpuBuilder::reduceBlock(Value value, int64_t threads, function_ref<Value(Value, Value)> combine) {
  value = reduceWarp(value, combine);
  const int64_t warps = threads / 32;
  if (warps == 1)
    return value;
  Value parts = shared(value.getType(), warps);
  Value id = thread();
  // What an earlier reduction left there is read no more.
  barrier();
  when(equal(rem(id, 32), i32(0)), [&] { store(value, parts, div(id, 32)); });
  barrier();
  Value total = load(parts, i32(0));
  for (int64_t warp = 1; warp < warps; ++warp)
    total = combine(total, load(parts, i32(warp)));
  return total;
}
