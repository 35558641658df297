// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/KernelAbi.h"
#include "passes/MomentCodes.h"
#include "passes/cpu/GroupCode.h"
#include "passes/cpu/MomentStep.h"

#include "llvm/ADT/bit.h"

using namespace mlir;
using namespace bq;

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

Value MomentStep::rootsFor(Value root) {
  // Two steps of a code's exponent are one of its root's. The lower four bits say the rest: what they add below the
  // root's exponent is taken off first, so that all of the code can be added.
  SmallVector<int32_t> below;
  for (int32_t code = 0; code < rowStep; ++code)
    below.push_back(code << (droppedMomentBits - 1));
  Value entries = b.bitcast(integers(), b.mulF(roots, splat(root)));
  return b.bitcast(floats(), b.subI(entries, b.ints(below)));
}

Value MomentStep::decodeRoot(Value codes, Value scaledRoots) {
  Value entry = b.bitcast(integers(), LookupOp::create(b, floats(), scaledRoots, codes));
  return b.bitcast(floats(), b.addI(entry, b.shiftLeft(codes, droppedMomentBits - 1)));
}

MomentStep::SecondScale MomentStep::secondScale(Value greatest) {
  // A power of two, such that the greatest v is not above 1.875 of it; what is added carries into the exponent.
  Value bits = b.bitcast(b.getI32Type(), greatest);
  bits = arith::AndIOp::create(b, b.addI(bits, b.i32(int64_t(1) << droppedMomentBits)), b.i32(0x7f800000));
  bits = arith::MaxSIOp::create(b, bits, b.i32(leastScaleExponent << 23));
  bits = arith::MinSIOp::create(b, bits, b.i32(greatestScaleExponent << 23));
  Value least = b.subI(bits, b.i32((127 - leastMomentExponent) << 23));
  Value first = arith::ShRUIOp::create(b, least, b.i32(droppedMomentBits));
  return {b.bitcast(b.getF32Type(), bits), b.broadcast(integers(), least),
          arith::TruncIOp::create(b, b.getI8Type(), first)};
}

Value MomentStep::roundSecond(Value second, const SecondScale &scale, Value words) {
  // As many random bits as are dropped.
  Value bits = b.addI(b.bitcast(integers(), second), b.shiftRight(words, 32 - droppedMomentBits));
  return b.shiftRight(arith::MaxSIOp::create(b, bits, scale.least), droppedMomentBits);
}

void MomentStep::clampSeconds(const Range &block, Value greatest) {
  const auto most = llvm::bit_cast<float>(static_cast<uint32_t>((greatestScaleExponent * 8 + 7) << droppedMomentBits));
  b.when(arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, greatest, b.f32(most)), [&] {
    memory.forEachStep(block.length, [&](Value column, Value) {
      Value i = b.add(block.begin, column);
      b.store(writeLesser(b, b.load(floats(), blockV, i), splat(most)), blockV, i);
    });
  });
}

Value MomentStep::encodeLinear(Value x, Value inverseScale, Value noise) {
  // A number in [0, 1), by way of 128 more, whose last bit stands for 2^-16.
  Value above = b.bitcast(floats(), b.bitOr(noise, b.splat(integers(), 0x43000000)));
  return math::FloorOp::create(b, b.fma(x, splat(inverseScale), b.subF(above, splat(128.0f))));
}

/// The scale of a block whose greatest magnitude is this: no code is above 127, whatever is added to it.
Value MomentStep::linearScale(Value greatest) {
  Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, greatest, b.f32(0x1p-100f));
  return b.select(isZero, b.f32(1.0f), b.mulF(greatest, b.f32((1 + 0x1p-18f) / 127)));
}

Value MomentStep::firstWords(const Span &span, Value begin) {
  static_assert(abi::momentBlock == philoxBlock);
  return PhiloxRows::load(b, span.words, b.div(b.add(span.first, begin), philoxBlock / rowStep));
}

/// Moments count in units of what is new in them.
Value MomentStep::firstUnit() { return b.divF(b.f32(1.0f), options.fresh1); }

/// Of what was in v: not 0, which its root is divided by.
Value MomentStep::secondDecay() { return b.divF(writeGreater(b, options.beta2, b.f32(leastBeta2)), options.fresh2); }

void MomentStep::forEachBlock(Value columns, function_ref<void(const Range &)> body) {
  b.loop(b.index(0), columns, abi::momentBlock, [&](Value begin) {
    Value whole = b.index(abi::momentBlock);
    body({begin, isWhole(columns, abi::momentBlock) ? whole : b.min(b.sub(columns, begin), whole)});
  });
}

bool MomentStep::isWhole(Value columns, int64_t part) {
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  return known && *known % part == 0;
}

void MomentStep::blocks(Value at, Value columns, Value scaleAt, Value words, bool isStored, const Use &use) {
  constexpr int64_t most = blocksAtOnce * abi::momentBlock;
  auto known = getConstantIntValue(getAsOpFoldResult(columns));
  if (known && *known <= most)
    return spanOfBlocks({at, columns, scaleAt, words, b.index(0)}, isStored, use);
  b.loop(b.index(0), columns, most, [&](Value first) {
    Value length = isWhole(columns, most) ? b.index(most) : b.min(b.sub(columns, first), b.index(most));
    spanOfBlocks({b.add(at, first), length, b.add(scaleAt, b.div(first, abi::momentBlock)), words, first}, isStored,
                 use);
  });
}

Value MomentStep::numberOf(Value begin) { return b.div(begin, abi::momentBlock); }

void MomentStep::keepGreatest(Value lanes, Value begin) {
  b.storeScalar(writeGreatestLane(b, lanes), blockGreatest, numberOf(begin));
}

Value MomentStep::greatestOf(Value begin) { return b.loadScalar(blockGreatest, numberOf(begin)); }

/// For the blocks of a span side by side, since roots and quotients take long.
void MomentStep::keepDecays(const Span &span) {
  Value unit = firstUnit(), vDecay = secondDecay(), rootDecay = math::SqrtOp::create(b, vDecay);
  forEachBlock(span.columns, [&](const Range &block) {
    const Block old = loadBlock(span.scaleOf(b, block.begin));
    Value decay = b.mulF(b.mulF(options.beta1, old.mScale), unit);
    // By the root of what is left of v.
    b.storeScalar(b.divF(decay, rootDecay), decays.ofLeft, numberOf(block.begin));
    b.storeScalar(b.mulF(decay, options.epsilon), decays.ofEpsilon, numberOf(block.begin));
    b.storeScalar(math::SqrtOp::create(b, b.mulF(old.vScale, vDecay)), decays.roots, numberOf(block.begin));
  });
}

void MomentStep::askAhead(const Span &span, Value i, int64_t quarter, int64_t count) {
  Value part = b.div(b.add(b.mul(span.columns, quarter), b.mul(i, count)), 4);
  b.prefetch(gradient, b.add(b.add(span.at, span.columns), part));
}

void MomentStep::advanceAdam(const Span &span) {
  keepDecays(span);
  // What follows a block in its last step comes of zeros, and is not above the rest.
  forEachBlock(span.columns, [&](const Range &block) {
    auto kept = [&](Value decay) { return b.loadScalar(decay, numberOf(block.begin)); };
    Value leftDecay = kept(decays.ofLeft), decayEpsilon = kept(decays.ofEpsilon),
          oldRoots = rootsFor(kept(decays.roots));
    auto step = [&](Value column, Value count, Value most) -> Value {
      Value i = b.add(block.begin, column), element = b.add(span.at, i);
      if (!count)
        askAhead(span, i, 0, 2);
      Pair codes = loadCodes(element, count);
      Value left = decodeRoot(codes.v, oldRoots), g = loadGradient(element, count);
      Value newM = b.fma(b.toFloat(codes.m), b.fma(left, splat(leftDecay), splat(decayEpsilon)), g);
      Value newV = b.fma(left, left, b.mulF(g, g));
      b.store(newM, blockM, i);
      b.store(newV, blockV, i);
      // None is negative: bits are in order.
      return b.bitcast(floats(), arith::MaxSIOp::create(b, b.bitcast(integers(), newV), b.bitcast(integers(), most)));
    };
    keepGreatest(memory.forEachStep(block.length, b.zero(floats()), step), block.begin);
  });
}

void MomentStep::advanceSigns(const Span &span) {
  forEachBlock(span.columns, [&](const Range &block) {
    const Block old = loadBlock(span.scaleOf(b, block.begin));
    Value decay = b.mulF(options.beta1, old.mScale);
    auto step = [&](Value column, Value count, Value most) {
      Value i = b.add(block.begin, column), element = b.add(span.at, i);
      Pair codes = loadCodes(element, count);
      Pair next = advance({b.toFloat(codes.m), Value()}, loadGradient(element, count), decay);
      b.store(next.m, blockM, i);
      b.store(b.mulF(b.toFloat(codes.v), splat(old.vScale)), blockV, i);
      return writeGreaterSize(b, next.m, most);
    };
    keepGreatest(memory.forEachStep(block.length, b.zero(floats()), step), block.begin);
  });
}

RowMemory::ByteSteps MomentStep::secondCodes(const Span &span, const Range &block,
                                             function_ref<void(Value)> meanwhile) {
  Value greatest = greatestOf(block.begin);
  clampSeconds(block, greatest);
  const SecondScale scale = secondScale(greatest);
  b.storeScalar(b.mulF(scale.value, options.fresh2), vScales, span.scaleOf(b, block.begin));
  Value unit = firstUnit(), unitEpsilon = b.mulF(unit, options.epsilon);
  unit = b.mulF(unit, math::SqrtOp::create(b, options.fresh2));
  auto step = [=](Value column, Value count, RowMemory::Carried &carried) -> Value {
    Value &most = carried[0], &random = carried[1];
    Value i = b.add(block.begin, column);
    if (!count) {
      meanwhile(b.add(span.first, i));
      askAhead(span, i, 2, 1);
    }
    Value stored = roundSecond(b.load(floats(), blockV, i), scale, random);
    random = PhiloxRows::turn(b, random);
    // A root is never 0. It is looked up, since the divider is busy with quotients.
    Value root = decodeRoot(stored, upperRoots);
    Value direction = b.divF(b.load(floats(), blockM, i), b.fma(root, splat(unit), splat(unitEpsilon)));
    b.store(direction, blockM, i);
    most = writeGreaterSize(b, direction, most);
    return stored;
  };
  return {v, b.add(span.at, block.begin), {b.zero(floats()), firstWords(span, block.begin)}, step, scale.first};
}

RowMemory::ByteSteps MomentStep::linearCodes(const Span &span, const Range &block, const Linear &moment,
                                             const Use &use) {
  Value scale = linearScale(greatestOf(block.begin)), inverse = b.divF(b.f32(1.0f), scale);
  b.storeScalar(scale, moment.scales, span.scaleOf(b, block.begin));
  use.begin(block.begin, block.length, scale);
  Value random = firstWords(span, block.begin);
  if (!moment.isSecond)
    random = PhiloxRows::half(b, random, /*high=*/false);
  auto step = [=, begin = block.begin](Value column, Value count, RowMemory::Carried &carried) -> Value {
    Value i = b.add(begin, column), &random = carried[0];
    Value noise = moment.isSecond ? PhiloxRows::half(b, random, /*high=*/true) : random;
    random = moment.isSecond ? PhiloxRows::turn(b, random) : PhiloxRows::turnHalves(b, random);
    if (!count && rule == UpdateRule::Adam)
      askAhead(span, i, 3, 1);
    Value codes = encodeLinear(b.load(floats(), moment.values, i), inverse, noise);
    use.step(i, count, codes);
    return arith::FPToSIOp::create(b, integers(), codes);
  };
  return {moment.codes, b.add(span.at, block.begin), {random}, step};
}

void MomentStep::spanOfBlocks(const Span &span, bool isStored, const Use &ofAll) {
  auto begin = [&](Value i, Value length, Value unit) { ofAll.begin(b.add(span.first, i), length, unit); };
  auto step = [&](Value i, Value count, Value direction) { ofAll.step(b.add(span.first, i), count, direction); };
  const Use use{begin, step, ofAll.meanwhile};
  if (isStored)
    return useStored(span, use);
  const Linear first{blockM, mScales, m, /*isSecond=*/false}, second{blockV, vScales, v, /*isSecond=*/true};
  auto storeLinear = [&](const Linear &moment, const Use &use) {
    forEachBlock(span.columns, [&](const Range &block) {
      RowMemory::ByteSteps codes = linearCodes(span, block, moment, use);
      memory.storeBytes(block.length, span.columns, codes);
    });
  };
  if (rule == UpdateRule::SignMomentum) {
    advanceSigns(span);
    auto average = [&](Value i, Value, Value stored) {
      b.store(meanSign(b.load(floats(), blockV, i), stored), blockV, i);
    };
    storeLinear(first, {[](Value, Value, Value) {}, average, ofAll.meanwhile});
    forEachBlock(span.columns, [&](const Range &block) {
      auto step = [&](Value column, Value, Value most) {
        return writeGreaterSize(b, b.load(floats(), blockV, b.add(block.begin, column)), most);
      };
      keepGreatest(memory.forEachStep(block.length, b.zero(floats()), step), block.begin);
    });
    return storeLinear(second, use);
  }
  advanceAdam(span);
  forEachBlock(span.columns, [&](const Range &block) {
    RowMemory::ByteSteps codes = secondCodes(span, block, use.meanwhile);
    memory.storeBytes(block.length, span.columns, codes);
    keepGreatest(codes.carried[0], block.begin);
  });
  storeLinear(first, use);
}

void MomentStep::useStored(const Span &span, const Use &use) {
  const bool isAdam = rule == UpdateRule::Adam;
  forEachBlock(span.columns, [&](const Range &block) {
    const Block old = loadBlock(span.scaleOf(b, block.begin));
    use.begin(block.begin, block.length, isAdam ? old.mScale : old.vScale);
    memory.forEachStep(block.length, [&](Value column, Value count) {
      Value i = b.add(block.begin, column);
      Pair codes = loadCodes(b.add(span.at, i), count);
      use.step(i, count, b.toFloat(isAdam ? codes.m : codes.v));
    });
  });
}
