// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/KernelAbi.h"
#include "passes/cpu/GroupCode.h"
#include "passes/cpu/MomentStep.h"

using namespace mlir;
using namespace bq;

namespace {

/// Codes of v are the upper bits of a float between 2^-31 and 1.875: its exponent starts here.
constexpr int64_t leastExponent = 127 - 31;
constexpr int64_t mantissaBits = 3, droppedBits = 23 - mantissaBits;

} // namespace

MomentStep::Block MomentStep::loadBlock(Value scaleAt) {
  Block block{b.loadScalar(mScales, scaleAt), b.loadScalar(vScales, scaleAt), Value()};
  block.rootScale = math::SqrtOp::create(b, block.vScale);
  return block;
}

MomentStep::Pair MomentStep::loadCodes(Value at, Value count) {
  Value first = arith::ExtSIOp::create(b, integers(), memory.load(momentType, m, at, count));
  Value second = memory.load(momentType, v, at, count);
  if (rule == UpdateRule::SignMomentum)
    return {first, arith::ExtSIOp::create(b, integers(), second)};
  return {first, arith::ExtUIOp::create(b, integers(), second)};
}

Value MomentStep::decodeRoot(Value codes, Value rootScale) {
  // Two steps of the exponent are one of the root's: the lower four bits say the rest.
  Value entry = b.bitcast(integers(), LookupOp::create(b, floats(), roots, codes));
  Value root = b.bitcast(floats(), b.addI(entry, b.shiftLeft(b.shiftRight(codes, mantissaBits + 1), 23)));
  return b.mulF(root, splat(rootScale));
}

Value MomentStep::encodeSecond(Value second, Value inverseScale, Value words) {
  Value bits = b.bitcast(integers(), b.mulF(second, splat(inverseScale)));
  // Sixteen random bits of the twenty that are dropped, and half of the rest.
  constexpr int64_t unusedBits = droppedBits - 16;
  Value noise = b.bitAnd(b.shiftRight(words, 16 - unusedBits), ((int64_t(1) << droppedBits) - 1) & -(1 << unusedBits));
  Value above = b.addI(b.addI(bits, noise), b.splat(integers(), (1 << (unusedBits - 1)) - (leastExponent << 23)));
  Value code = arith::ShRSIOp::create(b, above, b.splat(integers(), droppedBits));
  return arith::MinSIOp::create(b, arith::MaxSIOp::create(b, code, b.zero(integers())), b.splat(integers(), 255));
}

Value MomentStep::encodeLinear(Value x, Value inverseScale, Value words, bool high) {
  // In fixed point with as many bits behind the point as are random.
  Value fixed = arith::FPToSIOp::create(b, integers(), b.mulF(x, splat(inverseScale)));
  Value noise = PhiloxRows::half(b, words, high);
  return arith::ShRSIOp::create(b, b.addI(fixed, noise), b.splat(integers(), 16));
}

/// The scale of a block whose greatest magnitude is this: no code is above 127, whatever is added to it.
Value MomentStep::linearScale(Value greatest) {
  Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, greatest, b.f32(0x1p-100f));
  return b.select(isZero, b.f32(1.0f), b.mulF(greatest, b.f32((1 + 0x1p-18f) / 127)));
}

void MomentStep::storeCodes(Value codes, Value buffer, Value at, Value count) {
  memory.store(arith::TruncIOp::create(b, b.vec(momentType, rowStep), codes), buffer, at, count);
}

Value MomentStep::greatestLane(Value lanes) {
  return vector::ReductionOp::create(b, vector::CombiningKind::MAXNUMF, lanes, arith::FastMathFlags::nnan);
}

void MomentStep::block(Value at, Value columns, Value scaleAt, Value words, Value column, bool isStored,
                       function_ref<void(Value i, Value count, Value direction)> use) {
  const Block old = loadBlock(scaleAt);
  auto decodeLinear = [&](Value codes, Value scale) { return b.mulF(b.toFloat(codes), splat(scale)); };
  const bool isAdam = rule == UpdateRule::Adam;
  if (isStored) {
    memory.forEachStep(columns, [&](Value i, Value count) {
      Pair codes = loadCodes(b.add(at, i), count);
      use(i, count, isAdam ? decodeLinear(codes.m, old.mScale) : decodeLinear(codes.v, old.vScale));
    });
    return;
  }
  auto wordsAt = [&](Value i) { return PhiloxRows::load(b, words, b.add(column, i)); };
  auto sizeOf = [&](Value x) -> Value { return math::AbsFOp::create(b, x); };

  // The new moments, whole. What follows the block in its last step comes of zeros, and is not above the rest.
  Value greatest = memory.forEachStep(columns, splat(0.0f), [&](Value i, Value count, Value most) {
    Value element = b.add(at, i);
    Pair codes = loadCodes(element, count), values;
    values.m = decodeLinear(codes.m, old.mScale);
    if (isAdam) {
      Value root = decodeRoot(codes.v, old.rootScale);
      values.m = b.mulF(values.m, b.addF(root, splat(options.epsilon)));
      values.v = b.mulF(root, root);
    }
    Pair next = advance(values, loadGradient(element, count));
    b.store(next.m, blockM, i);
    b.store(isAdam ? next.v : decodeLinear(codes.v, old.vScale), blockV, i);
    return writeGreater(b, isAdam ? next.v : sizeOf(next.m), most);
  });

  if (isAdam) {
    // A power of two, such that the greatest v is not above 1.875 of it; what is added carries into the exponent.
    Value bits = b.bitcast(b.getI32Type(), greatestLane(greatest));
    bits = arith::AndIOp::create(b, b.addI(bits, b.i32(int64_t(1) << droppedBits)), b.i32(0x7f800000));
    bits = arith::MaxSIOp::create(b, bits, b.i32(int64_t(1) << 23));
    bits = arith::MinSIOp::create(b, bits, b.i32(int64_t(253) << 23));
    Value vScale = b.bitcast(b.getF32Type(), bits);
    Value inverse = b.bitcast(b.getF32Type(), b.subI(b.i32(int64_t(254) << 23), bits));
    Value rootScale = math::SqrtOp::create(b, vScale);
    b.storeScalar(vScale, vScales, scaleAt);
    greatest = memory.forEachStep(columns, splat(0.0f), [&](Value i, Value count, Value most) {
      Value codes = encodeSecond(b.load(floats(), blockV, i), inverse, wordsAt(i));
      storeCodes(codes, v, b.add(at, i), count);
      Value direction = divide(b.load(floats(), blockM, i), decodeRoot(codes, rootScale));
      b.store(direction, blockM, i);
      return writeGreater(b, sizeOf(direction), most);
    });
  }
  auto storeLinear = [&](Value from, Value scales, Value to, bool high, function_ref<void(Value, Value, Value)> then) {
    Value scale = linearScale(greatestLane(greatest));
    Value inverse = b.divF(b.f32(0x1p16f), scale);
    b.storeScalar(scale, scales, scaleAt);
    memory.forEachStep(columns, [&](Value i, Value count) {
      Value codes = encodeLinear(b.load(floats(), from, i), inverse, wordsAt(i), high);
      storeCodes(codes, to, b.add(at, i), count);
      then(i, count, decodeLinear(codes, scale));
    });
  };
  if (isAdam)
    return storeLinear(blockM, mScales, m, false, use);
  storeLinear(blockM, mScales, m, false,
              [&](Value i, Value, Value stored) { b.store(meanSign(b.load(floats(), blockV, i), stored), blockV, i); });
  greatest = memory.forEachStep(columns, splat(0.0f), [&](Value i, Value, Value most) {
    return writeGreater(b, sizeOf(b.load(floats(), blockV, i)), most);
  });
  storeLinear(blockV, vScales, v, true, use);
}
