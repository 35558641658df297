// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StepMoments.h"

#include "dialect/core/KernelAbi.h"
#include "passes/gpu/StepRandom.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace bq;

static constexpr int64_t columns = StepPiece::columns;

StepMoments::StepMoments(GpuBuilder &b, UpdateOp op, const StepNumbers &numbers, const MomentMemory &memory)
    : b(b), memory(b), rule(op.getRule().getValue()), moments(op.getMomentType()),
      dataType(getElementTypeOrSelf(op.getGradient().getType())), numbers(numbers), at(memory) {
  if (moments != MomentType::None)
    momentType = getElementTypeOrSelf(op.getState().front().getType());
  WeightType packed = op.getPackedType();
  blocksPerRow = llvm::divideCeil(packed ? packed.getK() : abi::denseUpdateRow, abi::momentBlock);
}

Value StepMoments::isPositive(Value x) { return b.compareF(arith::CmpFPredicate::OGT, x, b.f32(0.0f)); }

StepMoments::Pair StepMoments::advance(const Pair &old, Value g, Value decay) {
  Value m = b.fma(decay, old.m, b.mulF(numbers.fresh1, g));
  if (rule == UpdateRule::SignMomentum)
    return {m, Value()};
  return {m, nextSecond(old.v, g)};
}

Value StepMoments::nextSecond(Value v, Value g) {
  return b.fma(numbers.beta2, v, b.mulF(numbers.fresh2, b.mulF(g, g)));
}

/// beta2 v + (1 - beta2) rate sign(m)
Value StepMoments::meanSign(Value old, Value stored) {
  Value size = b.mulF(numbers.fresh2, numbers.rate), none = b.f32(0.0f);
  Value isNegative = b.compareF(arith::CmpFPredicate::OLT, stored, none);
  Value change = b.select(isPositive(stored), size, b.select(isNegative, b.negF(size), none));
  return b.fma(numbers.beta2, old, change);
}

/// m / (root + epsilon), and 0 where all are 0.
Value StepMoments::divide(Value first, Value root) {
  return b.divF(first, b.maxF(b.addF(root, numbers.epsilon), b.f32(0x1p-126f)));
}

Value StepMoments::directionOf(const Pair &stored) {
  return rule == UpdateRule::SignMomentum ? stored.v : divide(stored.m, b.sqrtF(stored.v));
}

void StepMoments::keep(Values &values, ValueRange words, bool isSecond, const StepPiece &piece) {
  Value buffer = isSecond ? at.v : at.m;
  if (!isRandom())
    return memory.storeFloats(momentType, values, buffer, piece);
  memory.storeBits(roundTo16(values, words, isSecond), buffer, piece);
}

StepMoments::Values StepMoments::step(const StepPiece &piece, ValueRange words) {
  if (moments == MomentType::None)
    return memory.loadFloats(dataType, at.gradient, piece);
  if (moments == MomentType::Block8)
    return stepBlock(piece, words);
  Values gradient = memory.loadFloats(dataType, at.gradient, piece);
  Values m = memory.loadFloats(momentType, at.m, piece), v = memory.loadFloats(momentType, at.v, piece);
  for (int64_t i = 0; i < columns; ++i) {
    Pair next = advance({m[i], v[i]}, gradient[i], numbers.beta1);
    m[i] = next.m;
    if (next.v)
      v[i] = next.v;
  }
  keep(m, words, false, piece);
  if (rule == UpdateRule::SignMomentum)
    for (int64_t i = 0; i < columns; ++i)
      v[i] = meanSign(v[i], m[i]);
  keep(v, words, true, piece);
  Values directions;
  for (int64_t i = 0; i < columns; ++i)
    directions.push_back(directionOf({m[i], v[i]}));
  return directions;
}

StepMoments::Values StepMoments::stored(const StepPiece &piece) {
  if (moments == MomentType::None)
    return memory.loadFloats(dataType, at.gradient, piece);
  if (moments == MomentType::Block8)
    return storedBlock(piece);
  Values m = memory.loadFloats(momentType, at.m, piece), v = memory.loadFloats(momentType, at.v, piece), directions;
  for (int64_t i = 0; i < columns; ++i)
    directions.push_back(directionOf({m[i], v[i]}));
  return directions;
}

StepMoments::Values StepMoments::roundTo16(Values &values, ValueRange words, bool isSecond) {
  const bool keepsPositive = isSecond && rule == UpdateRule::Adam;
  Values bits;
  for (int64_t i = 0; i < columns; ++i) {
    Value half = StepRandom::half(b, words[i], isSecond);
    if (momentType.isBF16()) {
      values[i] = roundToBF16(values[i], half, keepsPositive);
      bits.push_back(b.shiftRight(b.bits(values[i]), 16));
    } else {
      values[i] = roundToF16(values[i], half, keepsPositive);
      bits.push_back(gpu::RoundOp::create(b, gpu::Half::F16, values[i]));
    }
  }
  return bits;
}

Value StepMoments::roundToBF16(Value x, Value half, bool keepsPositive) {
  // What is added to the lower half carries into the upper with the right probability.
  Value bits = b.bits(x);
  Value rounded = b.min(b.add(b.bitAnd(bits, 0x7fffffff), half), b.i32(0x7f7fffff));
  if (keepsPositive)
    rounded = b.max(rounded, b.select(isPositive(x), b.i32(1 << 16), b.i32(0)));
  return b.asFloat(b.bitOr(b.bitAnd(rounded, 0x7fff0000), b.bitAnd(bits, 0x80000000)));
}

Value StepMoments::roundToF16(Value x, Value half, bool keepsPositive) {
  // Steps are 2^(e - 10), e being the exponent, at least -14.
  Value bits = b.bits(x);
  Value exponent = b.max(b.bitAnd(bits, 0x7f800000), b.i32((127 - 14) << 23));
  Value step = b.asFloat(b.sub(exponent, 10 << 23));
  Value steps = b.asFloat(b.sub(b.i32(int64_t(254 + 10) << 23), exponent));
  Value magnitude = b.asFloat(b.bitAnd(bits, 0x7fffffff));
  Value count = StepRandom::roundAtRandom(b, b.mulF(magnitude, steps), StepRandom::unit(b, half));
  Value rounded = b.minF(b.mulF(count, step), b.f32(65504.0f));
  if (keepsPositive)
    rounded = b.maxF(rounded, b.select(isPositive(x), b.f32(0x1p-24f), b.f32(0.0f)));
  return b.asFloat(b.bitOr(b.bits(rounded), b.bitAnd(bits, 0x80000000)));
}
