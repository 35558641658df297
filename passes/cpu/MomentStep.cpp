// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/MomentStep.h"

#include "dialect/core/KernelAbi.h"
#include "passes/cpu/GroupCode.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/bit.h"

#include <cmath>

using namespace mlir;
using namespace bq;

StepOptions::StepOptions(KernelBuilder &b, UpdateOp op, Value options) {
  auto at = [&](int64_t i) { return b.loadScalar(options, b.index(i)); };
  rate = at(0);
  if (op.getBiasCorrection())
    rate = b.mulF(rate, at(1));
  keep = at(2);
  beta1 = at(3), fresh1 = at(4), beta2 = at(5), fresh2 = at(6);
  epsilon = at(7), scale = at(8);
}

MomentStep::MomentStep(KernelBuilder &b, RowMemory &memory, UpdateOp op, const StepOptions &options, Value gradient,
                       Value m, Value mScales, Value v, Value vScales)
    : b(b), memory(memory), rule(op.getRule().getValue()), moments(op.getMomentType()),
      dataType(getElementTypeOrSelf(op.getGradient().getType())), options(options), gradient(gradient), m(m),
      mScales(mScales), v(v), vScales(vScales) {
  memory.prepare(dataType);
  if (moments == MomentType::None)
    return;
  momentType = getElementTypeOrSelf(op.getState().front().getType());
  memory.prepare(momentType);
  if (hasBlocks()) {
    blockM = memory.onStack(b.getF32Type(), blocksAtOnce * abi::momentBlock);
    blockV = memory.onStack(b.getF32Type(), blocksAtOnce * abi::momentBlock);
    for (Value *ofBlocks : {&blockGreatest, &decays.ofLeft, &decays.ofEpsilon, &decays.roots})
      *ofBlocks = memory.onStack(b.getF32Type(), blocksAtOnce);
    SmallVector<float> entries;
    for (int code = 0; code < 16; ++code)
      entries.push_back(static_cast<float>(std::sqrt((1 + code % 8 / 8.0) * (code >= 8 ? 2 : 1)) * std::exp2(-15.5)));
    roots = arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), ArrayRef<float>(entries)));
    // Of v between 1/2 and 2, less what decodeRoot() adds for their upper bits.
    SmallVector<int32_t> upper;
    for (int32_t bits = 126 * 8; bits < 128 * 8; ++bits) {
      const auto root = static_cast<float>(std::sqrt(std::ldexp(1 + bits % 8 / 8.0, bits / 8 - 127)));
      upper.push_back(llvm::bit_cast<int32_t>(root) - bits * (1 << 19));
    }
    upperRoots = b.bitcast(floats(), b.ints(upper));
  }
}

Value MomentStep::splat(float value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), value)); }
Value MomentStep::isPositive(Value x) { return arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, splat(0.0f)); }

Value MomentStep::loadGradient(Value at, Value count) {
  return b.extendFloat(memory.load(dataType, gradient, at, count));
}

MomentStep::Pair MomentStep::advance(const Pair &old, Value g, Value decay) {
  Value newM = b.fma(splat(decay), old.m, b.mulF(splat(options.fresh1), g));
  if (rule == UpdateRule::SignMomentum)
    return {newM, Value()};
  return {newM, b.fma(splat(options.beta2), old.v, b.mulF(splat(options.fresh2), b.mulF(g, g)))};
}

/// beta2 v + (1 - beta2) rate sign(m)
Value MomentStep::meanSign(Value old, Value stored) {
  Value size = splat(b.mulF(options.fresh2, options.rate)), none = splat(0.0f);
  Value isNegative = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, stored, none);
  Value change = b.select(isPositive(stored), size, b.select(isNegative, b.subF(none, size), none));
  return b.fma(splat(options.beta2), old, change);
}

/// m / (root + epsilon), and 0 where all are 0.
Value MomentStep::divide(Value first, Value root) {
  return b.divF(first, writeGreater(b, b.addF(root, splat(options.epsilon)), splat(0x1p-126f)));
}

Value MomentStep::directionOf(const Pair &stored) {
  if (rule == UpdateRule::SignMomentum)
    return stored.v;
  return divide(stored.m, math::SqrtOp::create(b, stored.v));
}

Value MomentStep::direction(Value at, Value count, Value words, bool isStored) {
  if (moments == MomentType::None)
    return loadGradient(at, count);
  Pair old{b.extendFloat(memory.load(momentType, m, at, count)), b.extendFloat(memory.load(momentType, v, at, count))};
  if (isStored)
    return directionOf(old);
  auto keep = [&](Value x, Value buffer, bool isSecond) -> Value {
    Value stored = x;
    if (isRandom())
      std::tie(stored, x) = roundTo16(x, words, isSecond, isSecond && rule == UpdateRule::Adam);
    memory.store(stored, buffer, at, count);
    return x;
  };
  Pair next = advance(old, loadGradient(at, count), options.beta1);
  next.m = keep(next.m, m, false);
  if (rule == UpdateRule::SignMomentum)
    next.v = meanSign(old.v, next.m);
  next.v = keep(next.v, v, true);
  return directionOf(next);
}

std::pair<Value, Value> MomentStep::roundTo16(Value x, Value words, bool high, bool isSecond) {
  if (momentType.isBF16()) {
    // The upper half of the word; what is added to the lower half carries into it with the right probability.
    Value bits = b.bitcast(integers(), x), magnitude = b.bitAnd(bits, 0x7fffffff);
    Value noise = PhiloxRows::half(b, words, high);
    Value rounded = arith::MinSIOp::create(b, b.addI(magnitude, noise), b.splat(integers(), 0x7f7fffff));
    if (isSecond) {
      Value least = b.select(isPositive(x), b.splat(integers(), 1 << 16), b.zero(integers()));
      rounded = arith::MaxSIOp::create(b, rounded, least);
    }
    rounded = b.bitOr(b.bitAnd(rounded, 0x7fff0000), b.bitAnd(bits, 0x80000000));
    Value narrow = arith::TruncIOp::create(b, b.vec(b.getI16Type(), rowStep), b.shiftRight(rounded, 16));
    return {b.bitcast(b.vec(momentType, rowStep), narrow), b.bitcast(floats(), rounded)};
  }
  // f16 has steps of 2^(e - 10), e being the exponent, at least -14.
  Value bits = b.bitcast(integers(), x);
  Value exponent = arith::MaxSIOp::create(b, b.bitAnd(bits, 0x7f800000), b.splat(integers(), (127 - 14) << 23));
  Value step = b.bitcast(floats(), b.subI(exponent, b.splat(integers(), 10 << 23)));
  Value steps = b.bitcast(floats(), b.subI(b.splat(integers(), (254 + 10) << 23), exponent));
  Value magnitude = b.bitcast(floats(), b.bitAnd(bits, 0x7fffffff));
  Value count =
      PhiloxRows::roundAtRandom(b, b.mulF(magnitude, steps), PhiloxRows::unit(b, PhiloxRows::half(b, words, high)));
  Value rounded = writeLesser(b, b.mulF(count, step), splat(65504.0f));
  if (isSecond)
    rounded = writeGreater(b, rounded, b.select(isPositive(x), splat(0x1p-24f), splat(0.0f)));
  Value sign = b.bitAnd(bits, 0x80000000);
  Value value = b.bitcast(floats(), b.bitOr(b.bitcast(integers(), rounded), sign));
  return {b.truncateFloat(value, momentType), value};
}
