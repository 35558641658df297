// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/KernelAbi.h"
#include "passes/gpu/StepMoments.h"
#include "passes/gpu/StepRandom.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

static constexpr int64_t columns = StepPiece::columns;
static_assert(abi::momentBlock == 32 * columns);

namespace {

/// Codes of v are the upper bits of a float between 2^-31 and 1.875: its exponent starts here.
constexpr int64_t leastExponent = 127 - 31;
constexpr int64_t mantissaBits = 3, droppedBits = 23 - mantissaBits;

} // namespace

std::pair<Value, Value> StepMoments::blockOf(const StepPiece &piece) {
  Value number = b.div(piece.first, abi::momentBlock);
  Value isThere = b.lessThan(b.mul(number, abi::momentBlock), piece.last);
  return {isThere, b.add(b.mul(b.wide(piece.row), blocksPerRow), b.wide(number))};
}

Value StepMoments::loadScale(Value scales, const StepPiece &piece) {
  auto [isThere, index] = blockOf(piece);
  return b.choose(isThere, [&, i = index] { return b.load(scales, i); }, [&] { return b.f32(0.0f); });
}

void StepMoments::storeScale(Value scale, Value scales, const StepPiece &piece) {
  auto [isThere, index] = blockOf(piece);
  Value isFirst = b.equal(b.rem(b.thread(), abi::momentBlock / columns), b.i32(0));
  b.when(b.both(isFirst, isThere), [&, i = index] { b.store(scale, scales, i); });
}

Value StepMoments::decodeSecond(Value code) {
  return b.asFloat(b.add(b.shiftLeft(code, droppedBits), leastExponent << 23));
}

Value StepMoments::decodeRoot(Value code, Value rootScale) { return b.mulF(b.sqrtF(decodeSecond(code)), rootScale); }

Value StepMoments::encodeSecond(Value second, Value inverseScale, Value word) {
  // As many random bits as are dropped.
  Value above = b.add(b.add(b.bits(b.mulF(second, inverseScale)), b.shiftRight(word, 32 - droppedBits)),
                      b.i32(-(leastExponent << 23)));
  return b.min(b.max(b.shiftRightSigned(above, droppedBits), b.i32(0)), b.i32(255));
}

Value StepMoments::greatest(ValueRange values) {
  Value most = b.f32(0.0f);
  for (Value value : values)
    most = b.maxF(most, b.absF(value));
  return b.reduceWarp(most, [&](Value l, Value r) { return b.maxF(l, r); });
}

StepMoments::Values StepMoments::storeLinear(ValueRange values, ValueRange words, bool high, Value codes, Value scales,
                                             const StepPiece &piece) {
  // No code is above 127, whatever is added to it.
  Value most = greatest(values);
  Value isZero = b.compareF(arith::CmpFPredicate::OLT, most, b.f32(0x1p-100f));
  Value scale = b.select(isZero, b.f32(1.0f), b.mulF(most, b.f32((1 + 0x1p-18f) / 127)));
  Value inverse = b.divF(b.f32(0x1p16f), scale);
  storeScale(scale, scales, piece);
  Values encoded, stored;
  for (int64_t i = 0; i < columns; ++i) {
    // In fixed point with as many bits behind the point as are random.
    Value fixed = b.add(b.toInt(b.mulF(values[i], inverse)), StepRandom::half(b, words[i], high));
    encoded.push_back(b.shiftRightSigned(fixed, 16));
    stored.push_back(b.mulF(b.toFloat(encoded.back()), scale));
  }
  memory.storeBits(encoded, codes, piece);
  return stored;
}

StepMoments::Values StepMoments::storedBlock(const StepPiece &piece) {
  const bool isAdam = rule == UpdateRule::Adam;
  Value scale = loadScale(isAdam ? at.mScales : at.vScales, piece);
  Values values = memory.loadBytes(isAdam ? at.m : at.v, piece, /*isSigned=*/true);
  for (Value &value : values)
    value = b.mulF(b.toFloat(value), scale);
  return values;
}

StepMoments::Values StepMoments::stepBlock(const StepPiece &piece, ValueRange words) {
  const bool isAdam = rule == UpdateRule::Adam;
  // What is not there has gradient and codes 0: no moment of it is above the rest.
  Values gradient = memory.loadFloats(dataType, at.gradient, piece);
  Values m = memory.loadBytes(at.m, piece, /*isSigned=*/true), v = memory.loadBytes(at.v, piece, /*isSigned=*/!isAdam);
  Value mScale = loadScale(at.mScales, piece), vScale = loadScale(at.vScales, piece);
  Value decay = b.mulF(numbers.beta1, mScale);
  // For adam m counts in units of what is new in it.
  Value rootScale, unit, decayEpsilon;
  if (isAdam) {
    rootScale = b.sqrtF(vScale);
    unit = b.divF(b.f32(1.0f), numbers.fresh1);
    decay = b.mulF(decay, unit);
    decayEpsilon = b.mulF(decay, numbers.epsilon);
  }
  for (int64_t i = 0; i < columns; ++i) {
    // In units of the scale.
    Value old = b.toFloat(m[i]);
    if (!isAdam) {
      m[i] = advance({old, Value()}, gradient[i], decay).m;
      v[i] = b.mulF(b.toFloat(v[i]), vScale);
      continue;
    }
    Value root = decodeRoot(v[i], rootScale);
    m[i] = b.fma(old, b.fma(root, decay, decayEpsilon), gradient[i]);
    v[i] = nextSecond(b.mulF(root, root), gradient[i]);
  }
  if (!isAdam) {
    Values stored = storeLinear(m, words, false, at.m, at.mScales, piece);
    for (int64_t i = 0; i < columns; ++i)
      v[i] = meanSign(v[i], stored[i]);
    return storeLinear(v, words, true, at.v, at.vScales, piece);
  }
  // A power of two, such that the greatest v is not above 1.875 of it; what is added carries into the exponent.
  Value bits = b.bitAnd(b.add(b.bits(greatest(v)), int64_t(1) << droppedBits), 0x7f800000);
  bits = b.min(b.max(bits, b.i32(int64_t(127 - 95) << 23)), b.i32(int64_t(253) << 23));
  Value newScale = b.asFloat(bits), inverse = b.asFloat(b.sub(b.i32(int64_t(254) << 23), bits));
  Value unitEpsilon = b.mulF(unit, numbers.epsilon);
  storeScale(newScale, at.vScales, piece);
  for (int64_t i = 0; i < columns; ++i) {
    v[i] = encodeSecond(v[i], inverse, words[i]);
    Value root = b.sqrtF(b.mulF(decodeSecond(v[i]), newScale));
    m[i] = b.divF(m[i], b.fma(root, unit, unitEpsilon));
  }
  memory.storeBits(v, at.v, piece);
  return storeLinear(m, words, false, at.m, at.mScales, piece);
}
