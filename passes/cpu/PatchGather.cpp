// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/PatchGather.h"

#include "dialect/core/KernelAbi.h"

#include "mlir/IR/TypeUtilities.h"

#include <cstddef>
#include <numeric>

using namespace mlir;
using namespace bq;

Value bq::maxMagnitude(KernelBuilder &b, Value most, Value v) {
  Value magnitude = b.bitAnd(b.bitcast(most.getType(), v), 0x7fffffff);
  return arith::MaxUIOp::create(b, most, magnitude);
}

//===----------------------------------------------------------------------===//
// StaticQuantizer
//===----------------------------------------------------------------------===//

Value StaticQuantizer::quantize(Value v) {
  Type type = v.getType();
  auto constant = [&](float value) -> Value {
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, value));
    return b.f32(value);
  };
  auto is = [&](arith::CmpFPredicate predicate, Value l, Value r) -> Value {
    return arith::CmpFOp::create(b, predicate, l, r);
  };
  // Comparisons with NaN are false, and so let it through.
  using Predicate = arith::CmpFPredicate;
  if (bits == 1) {
    Value positive = b.select(is(Predicate::OGE, v, constant(0)), constant(1), v);
    return b.select(is(Predicate::OLT, v, constant(0)), constant(-1), positive);
  }
  const float least = static_cast<float>(-(int64_t(1) << (bits - 1))), greatest = -least - 1;
  Value divisor = oneScale;
  if (auto vector = dyn_cast<VectorType>(type))
    divisor = b.broadcast(vector, oneScale);
  Value q = b.divF(v, divisor);
  q = b.select(is(Predicate::OLT, q, constant(least)), constant(least), q);
  q = b.select(is(Predicate::OGT, q, constant(greatest)), constant(greatest), q);
  // Adding 1.5 * 2^23 rounds to nearest, ties to even.
  return b.subF(b.addF(q, constant(0x1.8p23f)), constant(0x1.8p23f));
}

//===----------------------------------------------------------------------===//
// PatchGather
//===----------------------------------------------------------------------===//

using Geometry = abi::Conv2dGeometry;

PatchGather::PatchGather(KernelBuilder &b, const LinearPlan &plan, Value pointer, Value geometry,
                         StaticQuantizer *quantizer)
    : b(b), plan(plan), quantizer(quantizer), geometry(geometry) {
  images = b.view(pointer, {ShapedType::kDynamic}, b.index(0));
  outHeight = field(offsetof(Geometry, outHeight));
  outWidth = field(offsetof(Geometry, outWidth));
  batchStride = field(offsetof(Geometry, batchStride));
  y = axis(offsetof(Geometry, height), offsetof(Geometry, rowStride), 0);
  x = axis(offsetof(Geometry, width), offsetof(Geometry, columnStride), 1);
  auto is = [&](Value value, int64_t expected) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, value, b.index(expected));
  };
  auto both = [&](Value l, Value r) -> Value { return arith::AndIOp::create(b, l, r); };
  isDense = both(both(is(x.tapStep.quotient, 1), is(x.divide, 1)), is(x.stride, plan.channels()));
  VectorType type = b.vec(b.getF32Type(), width);
  padding = b.zero(type);
  if (plan.staticBits) {
    Value code = b.loadScalar(geometry, b.index(offsetof(Geometry, padCode) / sizeof(int64_t)));
    padding = b.broadcast(type, arith::SIToFPOp::create(b, b.getF32Type(), code));
  }
}

Value PatchGather::field(size_t offset) {
  Value value = b.loadScalar(geometry, b.index(static_cast<int64_t>(offset / sizeof(int64_t))));
  return arith::IndexCastOp::create(b, b.getIndexType(), value);
}

PatchGather::Axis PatchGather::axis(size_t size, size_t stride, int64_t which) {
  auto element = [&](size_t offset) { return field(offset + which * sizeof(int64_t)); };
  Axis axis;
  axis.size = field(size);
  axis.stride = field(stride);
  axis.multiply = element(offsetof(Geometry, multiply));
  axis.divide = element(offsetof(Geometry, divide));
  axis.offset = element(offsetof(Geometry, offset));
  axis.bias = biasFor(axis.offset, axis.divide);
  Value step = element(offsetof(Geometry, tapStep));
  axis.tapStep = divided(step, axis.divide, biasFor(step, axis.divide));
  return axis;
}

/// No greater than is needed for a numerator of `least`: dividing small numbers is faster.
Value PatchGather::biasFor(Value least, Value divisor) {
  Value needed = b.max(b.sub(b.index(0), least), b.index(0));
  return arith::DivUIOp::create(b, b.sub(b.addI(needed, divisor), b.index(1)), divisor);
}

/// Rounded down, so that the remainder is not negative.
PatchGather::Coordinate PatchGather::divided(Value numerator, Value divisor, Value bias) {
  Value positive = b.addI(numerator, b.mulI(divisor, bias));
  Value quotient = b.sub(arith::DivUIOp::create(b, positive, divisor), bias);
  return {quotient, arith::RemUIOp::create(b, positive, divisor)};
}

PatchGather::Coordinate PatchGather::start(const Axis &axis, Value pixel) {
  return divided(b.addI(b.mulI(pixel, axis.multiply), axis.offset), axis.divide, axis.bias);
}

PatchGather::Coordinate PatchGather::next(const Axis &axis, Coordinate at) {
  Value remainder = b.addI(at.remainder, axis.tapStep.remainder);
  Value carries = arith::CmpIOp::create(b, arith::CmpIPredicate::uge, remainder, axis.divide);
  Value quotient = b.addI(b.addI(at.quotient, axis.tapStep.quotient), b.select(carries, b.index(1), b.index(0)));
  return {quotient, b.select(carries, b.sub(remainder, axis.divide), remainder)};
}

Value PatchGather::isInside(const Axis &axis, Coordinate at) {
  Value isWhole = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, at.remainder, b.index(0));
  Value isIn = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, at.quotient, axis.size);
  return arith::AndIOp::create(b, isWhole, isIn);
}

/// What `yes` makes of `most` where `condition` holds, else `most` after `no`.
Value PatchGather::orElse(Value condition, Value most, function_ref<Value()> yes, function_ref<void()> no) {
  auto branch = scf::IfOp::create(b, most.getType(), condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, yes());
  b.setInsertionPointToStart(branch.elseBlock());
  no();
  scf::YieldOp::create(b, most);
  return branch.getResult(0);
}

Value PatchGather::gather(Value pixel, Value words, int64_t base, Value most) {
  const int64_t lineWords = plan.patchWidth * plan.channels();
  Value line = arith::DivUIOp::create(b, pixel, outWidth), column = arith::RemUIOp::create(b, pixel, outWidth);
  Value image = b.mulI(arith::DivUIOp::create(b, line, outHeight), batchStride);
  Coordinate first = start(y, arith::RemUIOp::create(b, line, outHeight)), left = start(x, column);
  return b.loop(b.index(0), b.index(plan.patchHeight), 1, ValueRange{first.quotient, first.remainder, most},
                [&](Value r, ValueRange state) {
                  Coordinate at{state[0], state[1]};
                  Value to = b.add(b.mul(r, lineWords), base);
                  Value seen = orElse(
                      isInside(y, at), state[2],
                      [&] {
                        Value from = b.addI(image, b.mulI(at.quotient, y.stride));
                        return gatherLine(from, to, left, words, state[2]);
                      },
                      [&] { fill(to, lineWords, words); });
                  Coordinate below = next(y, at);
                  return SmallVector<Value>{below.quotient, below.remainder, seen};
                })[2];
}

/// The pixels of one line of the image.
Value PatchGather::gatherLine(Value line, Value to, Coordinate left, Value words, Value most) {
  // Few channels are copied together with those of the pixels beside them, where these lie there.
  if (plan.channels() >= width)
    return gatherPixels(line, to, left, words, most);
  Value end = b.add(left.quotient, plan.patchWidth);
  Value begins = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, left.quotient, b.index(0));
  Value ends = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, end, x.size);
  Value isRun = arith::AndIOp::create(b, isDense, arith::AndIOp::create(b, begins, ends));
  auto branch = scf::IfOp::create(b, most.getType(), isRun, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  Value from = b.addI(line, b.mulI(left.quotient, x.stride));
  scf::YieldOp::create(b, copyRun(plan.patchWidth * plan.channels(), from, to, words, most));
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, gatherPixels(line, to, left, words, most));
  return branch.getResult(0);
}

Value PatchGather::gatherPixels(Value line, Value to, Coordinate left, Value words, Value most) {
  const int64_t channels = plan.channels();
  return b.loop(b.index(0), b.index(plan.patchWidth), 1, ValueRange{left.quotient, left.remainder, most},
                [&](Value s, ValueRange state) {
                  Coordinate at{state[0], state[1]};
                  Value pixelWords = b.addI(to, b.mul(s, channels));
                  Value seen = orElse(
                      isInside(x, at), state[2],
                      [&] {
                        Value from = b.addI(line, b.mulI(at.quotient, x.stride));
                        return copyRun(channels, from, pixelWords, words, state[2]);
                      },
                      [&] { fill(pixelWords, channels, words); });
                  Coordinate right = next(x, at);
                  return SmallVector<Value>{right.quotient, right.remainder, seen};
                })[2];
}

Value PatchGather::copyRun(int64_t count, Value from, Value to, Value words, Value most) {
  const int64_t steps = count / width;
  if (steps == 0)
    return copyFew(count, from, to, words, most);
  // Steps long enough to hide the loop, short enough to compile fast.
  const int64_t unroll = std::min<int64_t>(steps, 8), looped = steps > unroll ? steps / unroll * unroll : 0;
  auto copyAt = [&](Value first, int64_t offset, Value seen) {
    Value at = b.add(first, offset);
    return copyVector(b.add(from, at), b.add(to, at), words, seen);
  };
  if (looped)
    most = b.loop(b.index(0), b.index(looped * width), unroll * width, ValueRange{most},
                  [&](Value first, ValueRange state) {
                    Value seen = state[0];
                    for (int64_t i = 0; i < unroll; ++i)
                      seen = copyAt(first, i * width, seen);
                    return SmallVector<Value>{seen};
                  })[0];
  for (int64_t i = looped; i < steps; ++i)
    most = copyAt(b.index(0), i * width, most);
  // What is left, with the elements before it once more.
  return count % width ? copyAt(b.index(0), count - width, most) : most;
}

Value PatchGather::copyVector(Value from, Value to, Value words, Value most) {
  Value v = b.extendFloat(b.load(b.vec(plan.dataType, width), images, from));
  if (quantizer)
    v = quantizer->quantize(v);
  b.store(v, words, to);
  return maxMagnitude(b, most, v);
}

/// Less than a vector of them.
Value PatchGather::copyFew(int64_t count, Value from, Value to, Value words, Value most) {
  return b.loop(b.index(0), b.index(count), 1, ValueRange{most}, [&](Value i, ValueRange state) {
    Value v = b.extendFloat(b.loadScalar(images, b.add(from, i)));
    if (quantizer)
      v = quantizer->quantize(v);
    b.storeScalar(v, words, b.add(to, i));
    return SmallVector<Value>{maxMagnitude(b, state[0], b.broadcast(b.vec(b.getF32Type(), width), v))};
  })[0];
}

/// Writes whole vectors, and so up to 15 words more, which belong to what is copied next.
void PatchGather::fill(Value to, int64_t count, Value words) {
  b.loop(b.index(0), b.index(count), width, [&](Value i) { b.store(padding, words, b.add(to, i)); });
}
