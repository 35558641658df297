// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/KernelAbi.h"
#include "passes/MomentCodes.h"
#include "passes/gpu/StepMoments.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

static constexpr int64_t columns = StepPiece::columns;
static_assert(abi::momentBlock == 32 * columns);

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
  return b.asFloat(b.add(b.shiftLeft(code, droppedMomentBits), leastMomentExponent << 23));
}

Value StepMoments::decodeRoot(Value code, Value rootScale) { return b.mulF(b.sqrtF(decodeSecond(code)), rootScale); }

Value StepMoments::encodeSecond(Value second, Value inverseScale, Value word) {
  // As many random bits as are dropped.
  Value above = b.add(b.add(b.bits(b.mulF(second, inverseScale)), b.shiftRight(word, 32 - droppedMomentBits)),
                      b.i32(-(leastMomentExponent << 23)));
  return b.min(b.max(b.shiftRightSigned(above, droppedMomentBits), b.i32(0)), b.i32(255));
}

Value StepMoments::greatest(ValueRange values) {
  Value most = b.f32(0.0f);
  for (Value value : values)
    most = b.maxF(most, b.absF(value));
  return b.reduceWarp(most, [&](Value l, Value r) { return b.maxF(l, r); });
}

StepMoments::Values StepMoments::storeLinear(const Values &values, bool high, Value codes, Value scales,
                                             const StepPiece &piece) {
  // No code is above 127, whatever is added to it.
  Value most = greatest(values);
  Value isZero = b.compareF(arith::CmpFPredicate::OLT, most, b.f32(0x1p-100f));
  Value scale = b.select(isZero, b.f32(1.0f), b.mulF(most, b.f32((1 + 0x1p-18f) / 127)));
  Value inverse = b.divF(b.f32(1.0f), scale);
  storeScale(scale, scales, piece);
  directionUnit = scale;
  auto encode = [&](const StepHalf &half, MutableArrayRef<Values> fronts) {
    Values encoded;
    for (auto [value, word] : llvm::zip(fronts[1], random.moments(half.number))) {
      // A number in [0, 1), by way of 128 more, whose last bit stands for 2^-16.
      Value above = b.asFloat(b.bitOr(StepRandom::half(b, word, high), b.i32(0x43000000)));
      value = b.floorF(b.fma(value, inverse, b.subF(above, b.f32(128.0f))));
      encoded.push_back(b.toInt(value));
    }
    fronts[0] = wordsOfBits(b, encoded, 8);
  };
  return forEachHalf(b, piece, {StepTrack::inMemory(codes, /*isLoaded=*/false, /*isStored=*/true), StepTrack(values)},
                     encode)[1];
}

StepMoments::Values StepMoments::storedBlock(const StepPiece &piece) {
  const bool isAdam = rule == UpdateRule::Adam;
  directionUnit = loadScale(isAdam ? at.mScales : at.vScales, piece);
  auto decode = [&](const StepHalf &, MutableArrayRef<Values> fronts) {
    fronts[1] = bytesOf(b, fronts[0], /*isSigned=*/true);
    for (Value &value : fronts[1])
      value = b.toFloat(value);
  };
  return forEachHalf(b, piece,
                     {StepTrack::inMemory(isAdam ? at.m : at.v, /*isLoaded=*/true, /*isStored=*/false),
                      StepTrack(Values(columns, b.f32(0.0f)))},
                     decode)[1];
}

StepMoments::Values StepMoments::stepBlock(const StepPiece &piece) {
  const bool isAdam = rule == UpdateRule::Adam;
  // What is not there has gradient and codes 0: no moment of it is above the rest.
  SmallVector<StepTrack> loaded;
  for (Value pointer : {at.gradient, at.m, at.v})
    loaded.push_back(StepTrack::inMemory(pointer, /*isLoaded=*/true, /*isStored=*/false));
  loaded.resize(5, StepTrack(Values(columns, b.f32(0.0f))));
  Value mScale = loadScale(at.mScales, piece), vScale = loadScale(at.vScales, piece);
  Value decay = b.mulF(numbers.beta1, mScale);
  // For adam moments count in units of what is new in them.
  Value rootScale, unit, decayEpsilon;
  if (isAdam) {
    Value secondDecay = b.divF(b.maxF(numbers.beta2, b.f32(leastBeta2)), numbers.fresh2);
    rootScale = b.sqrtF(b.mulF(vScale, secondDecay));
    unit = b.divF(b.f32(1.0f), numbers.fresh1);
    decay = b.mulF(decay, unit);
    decayEpsilon = b.mulF(decay, numbers.epsilon);
    decay = b.divF(decay, b.sqrtF(secondDecay));
  }
  SmallVector<Values> stepped = forEachHalf(b, piece, loaded, [&](const StepHalf &, MutableArrayRef<Values> fronts) {
    Values gradient = floatsOf(b, dataType, fronts[0]), m = bytesOf(b, fronts[1], /*isSigned=*/true),
           v = bytesOf(b, fronts[2], /*isSigned=*/!isAdam);
    for (int64_t i = 0; i < StepHalf::columns; ++i) {
      // In units of the scale.
      Value old = b.toFloat(m[i]);
      if (!isAdam) {
        fronts[3][i] = advance({old, Value()}, gradient[i], decay).m;
        fronts[4][i] = b.mulF(b.toFloat(v[i]), vScale);
        continue;
      }
      Value left = decodeRoot(v[i], rootScale);
      fronts[3][i] = b.fma(old, b.fma(left, decay, decayEpsilon), gradient[i]);
      fronts[4][i] = b.fma(left, left, b.mulF(gradient[i], gradient[i]));
    }
  });
  Values m = stepped[3], v = stepped[4];
  if (!isAdam) {
    Values stored = storeLinear(m, false, at.m, at.mScales, piece);
    for (int64_t i = 0; i < columns; ++i)
      v[i] = meanSign(v[i], stored[i]);
    return storeLinear(v, true, at.v, at.vScales, piece);
  }
  // A power of two, such that the greatest v is not above 1.875 of it; what is added carries into the exponent.
  Value bits = b.bitAnd(b.add(b.bits(greatest(v)), int64_t(1) << droppedMomentBits), 0x7f800000);
  bits = b.min(b.max(bits, b.i32(leastScaleExponent << 23)), b.i32(greatestScaleExponent << 23));
  Value newScale = b.asFloat(bits), inverse = b.asFloat(b.sub(b.i32(int64_t(254) << 23), bits));
  Value unitEpsilon = b.mulF(unit, numbers.epsilon);
  unit = b.mulF(unit, b.sqrtF(numbers.fresh2));
  storeScale(b.mulF(newScale, numbers.fresh2), at.vScales, piece);
  auto encode = [&](const StepHalf &half, MutableArrayRef<Values> fronts) {
    Values codes;
    for (auto [m, v, word] : llvm::zip(fronts[1], fronts[2], random.moments(half.number))) {
      codes.push_back(encodeSecond(v, inverse, word));
      Value root = b.sqrtF(b.mulF(decodeSecond(codes.back()), newScale));
      m = b.divF(m, b.fma(root, unit, unitEpsilon));
    }
    fronts[0] = wordsOfBits(b, codes, 8);
  };
  m = forEachHalf(b, piece,
                  {StepTrack::inMemory(at.v, /*isLoaded=*/false, /*isStored=*/true), StepTrack(m), StepTrack(v)},
                  encode)[1];
  return storeLinear(m, false, at.m, at.mScales, piece);
}
