// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StepMoments.h"

#include "dialect/core/KernelAbi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace bq;

StepMoments::StepMoments(GpuBuilder &b, UpdateOp op, const StepNumbers &numbers, const MomentMemory &memory,
                         StepRandom &random, bool isStepped)
    : b(b), rule(op.getRule().getValue()), moments(op.getMomentType()),
      dataType(getElementTypeOrSelf(op.getGradient().getType())), numbers(numbers), at(memory), random(random),
      isStepped(isStepped) {
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
  return {m, b.fma(numbers.beta2, old.v, b.mulF(numbers.fresh2, b.mulF(g, g)))};
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

StepMoments::Values StepMoments::stored(Values &values, const StepHalf &half, bool isSecond) {
  if (!isRandom())
    return wordsOfFloats(b, momentType, values);
  return wordsOfBits(b, roundTo16(values, random.moments(half.number), isSecond), 16);
}

SmallVector<StepTrack> StepMoments::tracks(const StepPiece &piece) {
  if (moments == MomentType::Block8)
    return {StepTrack(isStepped ? storedBlock(piece) : stepBlock(piece))};
  SmallVector<StepTrack> tracks;
  if (!isStepped || moments == MomentType::None)
    tracks.push_back(StepTrack::inMemory(at.gradient, /*isLoaded=*/true, /*isStored=*/false));
  if (moments != MomentType::None)
    for (Value moment : {at.m, at.v})
      tracks.push_back(StepTrack::inMemory(moment, /*isLoaded=*/true, /*isStored=*/!isStepped));
  return tracks;
}

StepMoments::Values StepMoments::directions(const StepHalf &half, MutableArrayRef<Values> fronts) {
  if (moments == MomentType::Block8)
    return fronts[0];
  if (moments == MomentType::None)
    return floatsOf(b, dataType, fronts[0]);
  Values &mFront = *(fronts.end() - 2), &vFront = fronts.back();
  Values m = floatsOf(b, momentType, mFront), v = floatsOf(b, momentType, vFront), directions;
  if (!isStepped) {
    Values gradient = floatsOf(b, dataType, fronts[0]);
    for (int64_t i = 0; i < StepHalf::columns; ++i) {
      Pair next = advance({m[i], v[i]}, gradient[i], numbers.beta1);
      m[i] = next.m;
      if (next.v)
        v[i] = next.v;
    }
    mFront = stored(m, half, false);
    if (rule == UpdateRule::SignMomentum)
      for (int64_t i = 0; i < StepHalf::columns; ++i)
        v[i] = meanSign(v[i], m[i]);
    vFront = stored(v, half, true);
  }
  for (int64_t i = 0; i < StepHalf::columns; ++i)
    directions.push_back(directionOf({m[i], v[i]}));
  return directions;
}

StepMoments::Values StepMoments::roundTo16(Values &values, ValueRange words, bool isSecond) {
  const bool keepsPositive = isSecond && rule == UpdateRule::Adam;
  Values bits;
  for (auto [value, word] : llvm::zip(values, words)) {
    Value half = StepRandom::half(b, word, isSecond);
    if (momentType.isBF16()) {
      value = roundToBF16(value, half, keepsPositive);
      bits.push_back(b.shiftRight(b.bits(value), 16));
    } else {
      value = roundToF16(value, half, keepsPositive);
      bits.push_back(gpu::RoundOp::create(b, gpu::Half::F16, value));
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
