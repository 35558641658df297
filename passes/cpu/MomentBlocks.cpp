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
  if (rule == UpdateRule::Adam)
    block.roots = rootsFor(block.vScale);
  return block;
}

MomentStep::Pair MomentStep::loadCodes(Value at, Value count) {
  Value first = arith::ExtSIOp::create(b, integers(), memory.load(momentType, m, at, count));
  Value second = memory.load(momentType, v, at, count);
  if (rule == UpdateRule::SignMomentum)
    return {first, arith::ExtSIOp::create(b, integers(), second)};
  return {first, arith::ExtUIOp::create(b, integers(), second)};
}

Value MomentStep::rootsFor(Value scale) { return b.mulF(roots, splat(math::SqrtOp::create(b, scale))); }

Value MomentStep::decodeRoot(Value codes, Value scaledRoots) {
  // Two steps of the exponent are one of the root's: the lower four bits say the rest.
  Value entry = b.bitcast(integers(), LookupOp::create(b, floats(), scaledRoots, codes));
  return b.bitcast(floats(), b.addI(entry, b.shiftLeft(b.shiftRight(codes, mantissaBits + 1), 23)));
}

Value MomentStep::encodeSecond(Value second, Value inverseScale, Value words) {
  Value bits = b.bitcast(integers(), b.mulF(second, splat(inverseScale)));
  // Sixteen random bits of the twenty that are dropped, and half of the rest.
  constexpr int64_t unusedBits = droppedBits - 16;
  Value noise = b.bitAnd(b.shiftRight(words, 16 - unusedBits), ((int64_t(1) << droppedBits) - 1) & -(1 << unusedBits));
  Value above = b.addI(bits, b.bitOr(noise, b.splat(integers(), 1 << (unusedBits - 1))));
  Value code = b.subI(b.shiftRight(above, droppedBits), b.splat(integers(), leastExponent << mantissaBits));
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

void MomentStep::prefetchBlocks(Value at) {
  for (Value buffer : {gradient, m, v})
    memref::PrefetchOp::create(b, buffer, at, /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
}

void MomentStep::forEachBlock(Value columns, function_ref<void(Value, Value, Value)> body) {
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  const bool isWhole = known && *known % abi::momentBlock == 0;
  b.loop(b.index(0), columns, abi::momentBlock, [&](Value begin) {
    Value whole = b.index(abi::momentBlock);
    body(begin, isWhole ? whole : b.min(b.sub(columns, begin), whole), b.div(begin, abi::momentBlock));
  });
}

void MomentStep::blocks(Value at, Value columns, Value scaleAt, Value words, bool isStored,
                        function_ref<void(Value i, Value count, Value direction)> use) {
  constexpr int64_t span = blocksAtOnce * abi::momentBlock;
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  if (known && *known <= span)
    return spanOfBlocks(at, columns, scaleAt, words, b.index(0), isStored, use);
  const bool isWhole = known && *known % span == 0;
  b.loop(b.index(0), columns, span, [&](Value first) {
    Value length = isWhole ? b.index(span) : b.min(b.sub(columns, first), b.index(span));
    spanOfBlocks(b.add(at, first), length, b.add(scaleAt, b.div(first, abi::momentBlock)), words, first, isStored, use);
  });
}

void MomentStep::spanOfBlocks(Value at, Value columns, Value scaleAt, Value words, Value first, bool isStored,
                              function_ref<void(Value i, Value count, Value direction)> use) {
  auto decodeLinear = [&](Value codes, Value scale) { return b.mulF(b.toFloat(codes), splat(scale)); };
  const bool isAdam = rule == UpdateRule::Adam;
  if (isStored)
    return forEachBlock(columns, [&](Value begin, Value length, Value index) {
      const Block old = loadBlock(b.add(scaleAt, index));
      memory.forEachStep(length, [&](Value i, Value count) {
        Pair codes = loadCodes(b.add(b.add(at, begin), i), count);
        use(b.add(b.add(first, begin), i), count,
            isAdam ? decodeLinear(codes.m, old.mScale) : decodeLinear(codes.v, old.vScale));
      });
    });
  auto wordsAt = [&](Value i) { return PhiloxRows::load(b, words, b.add(first, i)); };
  auto sizeOf = [&](Value x) -> Value { return math::AbsFOp::create(b, x); };
  auto keepGreatest = [&](Value lanes, Value index) {
    Value most = vector::ReductionOp::create(b, vector::CombiningKind::MAXNUMF, lanes, arith::FastMathFlags::nnan);
    b.storeScalar(most, blockGreatest, index);
  };

  // The new moments, whole. What follows a block in its last step comes of zeros, and is not above the rest.
  forEachBlock(columns, [&](Value begin, Value length, Value index) {
    const Block old = loadBlock(b.add(scaleAt, index));
    Value decay = b.mulF(options.beta1, old.mScale);
    Value greatest = memory.forEachStep(length, splat(0.0f), [&](Value step, Value count, Value most) {
      Value i = b.add(begin, step), element = b.add(at, i);
      Pair codes = loadCodes(element, count), values;
      values.m = b.toFloat(codes.m);
      if (isAdam) {
        Value root = decodeRoot(codes.v, old.roots);
        values.m = b.mulF(values.m, b.addF(root, splat(options.epsilon)));
        values.v = b.mulF(root, root);
      }
      Pair next = advance(values, loadGradient(element, count), decay);
      b.store(next.m, blockM, i);
      b.store(isAdam ? next.v : decodeLinear(codes.v, old.vScale), blockV, i);
      return writeGreater(b, isAdam ? next.v : sizeOf(next.m), most);
    });
    keepGreatest(greatest, index);
  });

  if (isAdam)
    forEachBlock(columns, [&](Value begin, Value length, Value index) {
      // A power of two, such that the greatest v is not above 1.875 of it; what is added carries into the exponent.
      Value bits = b.bitcast(b.getI32Type(), b.loadScalar(blockGreatest, index));
      bits = arith::AndIOp::create(b, b.addI(bits, b.i32(int64_t(1) << droppedBits)), b.i32(0x7f800000));
      bits = arith::MaxSIOp::create(b, bits, b.i32(int64_t(1) << 23));
      bits = arith::MinSIOp::create(b, bits, b.i32(int64_t(253) << 23));
      Value vScale = b.bitcast(b.getF32Type(), bits);
      Value inverse = b.bitcast(b.getF32Type(), b.subI(b.i32(int64_t(254) << 23), bits));
      Value newRoots = rootsFor(vScale);
      b.storeScalar(vScale, vScales, b.add(scaleAt, index));
      Value greatest = memory.forEachStep(length, splat(0.0f), [&](Value step, Value count, Value most) {
        Value i = b.add(begin, step);
        Value codes = encodeSecond(b.load(floats(), blockV, i), inverse, wordsAt(i));
        storeCodes(codes, v, b.add(at, i), count);
        // A root is never 0.
        Value root = b.addF(decodeRoot(codes, newRoots), splat(options.epsilon));
        Value direction = b.divF(b.load(floats(), blockM, i), root);
        b.store(direction, blockM, i);
        return writeGreater(b, sizeOf(direction), most);
      });
      keepGreatest(greatest, index);
    });
  auto storeLinear = [&](Value from, Value scales, Value to, bool high, function_ref<void(Value, Value, Value)> then) {
    forEachBlock(columns, [&](Value begin, Value length, Value index) {
      Value scale = linearScale(b.loadScalar(blockGreatest, index));
      Value inverse = b.divF(b.f32(0x1p16f), scale);
      b.storeScalar(scale, scales, b.add(scaleAt, index));
      memory.forEachStep(length, [&](Value step, Value count) {
        Value i = b.add(begin, step);
        Value codes = encodeLinear(b.load(floats(), from, i), inverse, wordsAt(i), high);
        storeCodes(codes, to, b.add(at, i), count);
        then(i, count, decodeLinear(codes, scale));
      });
    });
  };
  auto useAt = [&](Value i, Value count, Value direction) { use(b.add(first, i), count, direction); };
  if (isAdam)
    return storeLinear(blockM, mScales, m, false, useAt);
  storeLinear(blockM, mScales, m, false,
              [&](Value i, Value, Value stored) { b.store(meanSign(b.load(floats(), blockV, i), stored), blockV, i); });
  forEachBlock(columns, [&](Value begin, Value length, Value index) {
    Value greatest = memory.forEachStep(length, splat(0.0f), [&](Value step, Value, Value most) {
      return writeGreater(b, sizeOf(b.load(floats(), blockV, b.add(begin, step))), most);
    });
    keepGreatest(greatest, index);
  });
  storeLinear(blockV, vScales, v, true, useAt);
}
