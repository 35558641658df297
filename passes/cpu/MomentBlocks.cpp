// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/KernelAbi.h"
#include "passes/cpu/GroupCode.h"
#include "passes/cpu/MomentStep.h"

#include "llvm/ADT/bit.h"

#include <cstddef>

using namespace mlir;
using namespace bq;

namespace {

/// Codes of v are the upper bits of a float between 2^-31 and 1.875: its exponent starts here.
constexpr int64_t leastExponent = 127 - 31;
/// Of a scale.
constexpr int64_t greatestExponent = 253;
constexpr int64_t mantissaBits = 3, droppedBits = 23 - mantissaBits;

} // namespace

MomentStep::Block MomentStep::loadBlock(Value scaleAt) {
  return {b.loadScalar(mScales, scaleAt), b.loadScalar(vScales, scaleAt)};
}

MomentStep::Pair MomentStep::loadCodes(Value at, Value count) {
  Value first = arith::ExtSIOp::create(b, integers(), memory.load(momentType, m, at, count));
  Value second = memory.load(momentType, v, at, count);
  if (rule == UpdateRule::SignMomentum)
    return {first, arith::ExtSIOp::create(b, integers(), second)};
  return {first, arith::ExtUIOp::create(b, integers(), second)};
}

Value MomentStep::rootsFor(Value scale, Value factor) {
  // Two steps of a code's exponent are one of its root's. The lower four bits say the rest: what they add below the
  // root's exponent is taken off first, so that all of the code can be added.
  SmallVector<int32_t> below;
  for (int32_t code = 0; code < rowStep; ++code)
    below.push_back(code << (droppedBits - 1));
  Value entries = b.bitcast(integers(), b.mulF(roots, splat(b.mulF(math::SqrtOp::create(b, scale), factor))));
  return b.bitcast(floats(), b.subI(entries, b.ints(below)));
}

Value MomentStep::decodeRoot(Value codes, Value scaledRoots) {
  Value entry = b.bitcast(integers(), LookupOp::create(b, floats(), scaledRoots, codes));
  return b.bitcast(floats(), b.addI(entry, b.shiftLeft(codes, droppedBits - 1)));
}

MomentStep::SecondScale MomentStep::secondScale(Value greatest) {
  // A power of two, such that the greatest v is not above 1.875 of it; what is added carries into the exponent.
  Value bits = b.bitcast(b.getI32Type(), greatest);
  bits = arith::AndIOp::create(b, b.addI(bits, b.i32(int64_t(1) << droppedBits)), b.i32(0x7f800000));
  bits = arith::MaxSIOp::create(b, bits, b.i32(int64_t(127 - 95) << 23));
  bits = arith::MinSIOp::create(b, bits, b.i32(int64_t(greatestExponent) << 23));
  Value least = b.subI(bits, b.i32(int64_t(127 - leastExponent) << 23));
  Value first = arith::ShRUIOp::create(b, least, b.i32(droppedBits));
  auto everywhere = [&](Value scalar) { return b.broadcast(integers(), scalar); };
  return {b.bitcast(b.getF32Type(), bits), everywhere(least), everywhere(first)};
}

Value MomentStep::roundSecond(Value second, const SecondScale &scale, Value words) {
  // As many random bits as are dropped.
  Value bits = b.addI(b.bitcast(integers(), second), b.shiftRight(words, 32 - droppedBits));
  return b.shiftRight(arith::MaxSIOp::create(b, bits, scale.least), droppedBits);
}

void MomentStep::clampSeconds(Value begin, Value length, Value greatest) {
  const auto most = llvm::bit_cast<float>(static_cast<uint32_t>((greatestExponent * 8 + 7) << droppedBits));
  b.when(arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, greatest, b.f32(most)), [&] {
    memory.forEachStep(length, [&](Value step, Value) {
      Value i = b.add(begin, step);
      b.store(writeLesser(b, b.load(floats(), blockV, i), splat(most)), blockV, i);
    });
  });
}

Value MomentStep::encodeLinear(Value x, Value inverseScale, Value noise) {
  // In fixed point with as many bits behind the point as are random.
  Value fixed = arith::FPToSIOp::create(b, integers(), b.mulF(x, splat(inverseScale)));
  return arith::ShRSIOp::create(b, b.addI(fixed, noise), b.splat(integers(), 16));
}

/// The scale of a block whose greatest magnitude is this: no code is above 127, whatever is added to it.
Value MomentStep::linearScale(Value greatest) {
  Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, greatest, b.f32(0x1p-100f));
  return b.select(isZero, b.f32(1.0f), b.mulF(greatest, b.f32((1 + 0x1p-18f) / 127)));
}

Value MomentStep::firstWords(Value words, Value column) {
  static_assert(abi::momentBlock == philoxBlock);
  return PhiloxRows::load(b, words, b.div(column, philoxBlock / rowStep));
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
                        function_ref<void(Value i, Value count, Value direction)> use,
                        function_ref<void(Value i)> meanwhile) {
  constexpr int64_t span = blocksAtOnce * abi::momentBlock;
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  if (known && *known <= span)
    return spanOfBlocks(at, columns, scaleAt, words, b.index(0), isStored, use, meanwhile);
  const bool isWhole = known && *known % span == 0;
  b.loop(b.index(0), columns, span, [&](Value first) {
    Value length = isWhole ? b.index(span) : b.min(b.sub(columns, first), b.index(span));
    spanOfBlocks(b.add(at, first), length, b.add(scaleAt, b.div(first, abi::momentBlock)), words, first, isStored, use,
                 meanwhile);
  });
}

Value MomentStep::greaterSize(Value x, Value most) {
  // Of numbers without signs the bits are in order.
  return arith::MaxSIOp::create(b, b.bitAnd(b.bitcast(integers(), x), 0x7fffffff), most);
}

void MomentStep::keepGreatest(Value lanes, Value index) {
  Value most = vector::ReductionOp::create(b, vector::CombiningKind::MAXSI, lanes);
  b.storeScalar(b.bitcast(b.getF32Type(), most), blockGreatest, index);
}

void MomentStep::stepAdamBlocks(Value at, Value columns, Value scaleAt, Value words, Value first,
                                function_ref<void(Value)> meanwhile) {
  // m counts in units of what is new in it.
  Value unit = b.divF(b.f32(1.0f), options.fresh1), unitEpsilon = b.mulF(unit, options.epsilon);
  // Old roots are those of beta2 v; for a beta2 of 0 what is left of v is lost in rounding.
  Value beta2Root = writeGreater(b, math::SqrtOp::create(b, options.beta2), b.f32(0x1p-60f));
  Value perRoot = b.divF(b.f32(1.0f), beta2Root);
  // The new moments, whole. What follows a block in its last step comes of zeros, and is not above the rest.
  forEachBlock(columns, [&](Value begin, Value length, Value index) {
    const Block old = loadBlock(b.add(scaleAt, index));
    Value decay = b.mulF(b.mulF(options.beta1, old.mScale), unit), decayEpsilon = b.mulF(decay, options.epsilon);
    Value rootDecay = b.mulF(decay, perRoot), oldRoots = rootsFor(old.vScale, beta2Root);
    Value greatest = memory.forEachStep(length, b.zero(integers()), [&](Value step, Value count, Value most) -> Value {
      Value i = b.add(begin, step), element = b.add(at, i);
      Pair codes = loadCodes(element, count);
      Value root = decodeRoot(codes.v, oldRoots), g = loadGradient(element, count);
      Value newM = b.fma(b.toFloat(codes.m), b.fma(root, splat(rootDecay), splat(decayEpsilon)), g);
      // From memory where they are used: registers are few here.
      Value fresh2 = options.load(b, floats(), offsetof(abi::UpdateOptions, fresh2));
      Value newV = b.fma(root, root, b.mulF(fresh2, b.mulF(g, g)));
      b.store(newM, blockM, i);
      b.store(newV, blockV, i);
      return arith::MaxSIOp::create(b, b.bitcast(integers(), newV), most);
    });
    keepGreatest(greatest, index);
  });
  // Their codes of v, and the directions.
  forEachBlock(columns, [&](Value begin, Value length, Value index) {
    Value greatestSecond = b.loadScalar(blockGreatest, index);
    clampSeconds(begin, length, greatestSecond);
    const SecondScale scale = secondScale(greatestSecond);
    b.storeScalar(scale.value, vScales, b.add(scaleAt, index));
    const Value initial[] = {b.zero(integers()), firstWords(words, b.add(first, begin))};
    auto step = [&](Value column, Value count, RowMemory::Carried &carried) {
      Value &most = carried[0], &random = carried[1];
      Value i = b.add(begin, column);
      if (!count) {
        meanwhile(i);
        memory.prefetch(gradient, b.add(b.add(at, i), columns));
      }
      Value stored = roundSecond(b.load(floats(), blockV, i), scale, random);
      random = PhiloxRows::turn(b, random);
      // A root is never 0. It is looked up, since the divider is busy with quotients.
      Value root = decodeRoot(stored, upperRoots);
      Value direction = b.divF(b.load(floats(), blockM, i), b.fma(root, splat(unit), splat(unitEpsilon)));
      b.store(direction, blockM, i);
      most = greaterSize(direction, most);
      return b.subI(stored, scale.first);
    };
    keepGreatest(memory.storeBytes(length, v, b.add(at, begin), columns, initial, step)[0], index);
  });
}

void MomentStep::spanOfBlocks(Value at, Value columns, Value scaleAt, Value words, Value first, bool isStored,
                              function_ref<void(Value i, Value count, Value direction)> use,
                              function_ref<void(Value i)> meanwhile) {
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
  if (isAdam) {
    stepAdamBlocks(at, columns, scaleAt, words, first, [&](Value i) { meanwhile(b.add(first, i)); });
  } else {
    forEachBlock(columns, [&](Value begin, Value length, Value index) {
      const Block old = loadBlock(b.add(scaleAt, index));
      Value decay = b.mulF(options.beta1, old.mScale);
      Value greatest = memory.forEachStep(length, b.zero(integers()), [&](Value step, Value count, Value most) {
        Value i = b.add(begin, step), element = b.add(at, i);
        Pair codes = loadCodes(element, count);
        Pair next = advance({b.toFloat(codes.m), Value()}, loadGradient(element, count), decay);
        b.store(next.m, blockM, i);
        b.store(decodeLinear(codes.v, old.vScale), blockV, i);
        return greaterSize(next.m, most);
      });
      keepGreatest(greatest, index);
    });
  }
  auto storeLinear = [&](Value from, Value scales, Value to, bool high, function_ref<void(Value, Value, Value)> then) {
    forEachBlock(columns, [&](Value begin, Value length, Value index) {
      Value scale = linearScale(b.loadScalar(blockGreatest, index));
      Value inverse = b.divF(b.f32(0x1p16f), scale);
      b.storeScalar(scale, scales, b.add(scaleAt, index));
      Value random = firstWords(words, b.add(first, begin));
      if (!high)
        random = PhiloxRows::half(b, random, high);
      memory.storeBytes(length, to, b.add(at, begin), columns, random,
                        [&](Value column, Value count, RowMemory::Carried &carried) {
                          Value i = b.add(begin, column);
                          Value noise = high ? PhiloxRows::half(b, carried[0], high) : carried[0];
                          Value codes = encodeLinear(b.load(floats(), from, i), inverse, noise);
                          carried[0] = high ? PhiloxRows::turn(b, carried[0]) : PhiloxRows::turnHalves(b, carried[0]);
                          then(i, count, decodeLinear(codes, scale));
                          return codes;
                        });
    });
  };
  auto useAt = [&](Value i, Value count, Value direction) { use(b.add(first, i), count, direction); };
  if (isAdam)
    return storeLinear(blockM, mScales, m, false, useAt);
  storeLinear(blockM, mScales, m, false,
              [&](Value i, Value, Value stored) { b.store(meanSign(b.load(floats(), blockV, i), stored), blockV, i); });
  forEachBlock(columns, [&](Value begin, Value length, Value index) {
    Value greatest = memory.forEachStep(length, b.zero(integers()), [&](Value step, Value, Value most) {
      return greaterSize(b.load(floats(), blockV, b.add(begin, step)), most);
    });
    keepGreatest(greatest, index);
  });
  storeLinear(blockV, vScales, v, true, useAt);
}
