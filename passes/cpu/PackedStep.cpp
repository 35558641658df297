// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/PackedStep.h"

#include "passes/cpu/CanonicalCodes.h"
#include "passes/cpu/GroupCode.h"

#include <numeric>

using namespace mlir;
using namespace bq;

/// Residuals count in this part of a scale.
static constexpr float residualSteps = 256;

static bool hasStretchesByGroup(WeightType weight) {
  const int64_t group = weight.getFormat().groupSize(weight.getK());
  return group % rowStep == 0 || group == weight.getK();
}

static bool isRandom(MomentType moments) { return moments != MomentType::None && moments != MomentType::F32; }

int64_t PackedStep::scratchFloats(UpdateOp op) {
  const int64_t buffers = 1 + (op.getRounding().getValue() != Rounding::Nearest) + isRandom(op.getMomentType()) +
                          (hasStretchesByGroup(op.getPackedType()) ? 0 : 2);
  return buffers * llvm::alignTo(op.getPackedType().getK(), philoxUnit);
}

PackedStep::PackedStep(KernelBuilder &b, RowMemory &memory, UpdateOp op, const StepOptions &options, Value codes,
                       Value scales, Value zeros, Value residual, Value scratch)
    : b(b), memory(memory), format(op.getPackedType().getFormat()), scaleType(op.getPackedType().getScale()),
      zeroType(op.getPackedType().getZero()), rounding(op.getRounding().getValue()),
      scaling(op.getScaling().getValue()), k(op.getPackedType().getK()), group(format.groupSize(k)),
      isByGroup(hasStretchesByGroup(op.getPackedType())), options(options), codes(codes), scales(scales), zeros(zeros),
      residual(residual) {
  memory.prepare(b.getI8Type());
  const int64_t padded = llvm::alignTo(k, philoxUnit);
  int64_t next = 0;
  auto takeBuffer = [&]() -> Value {
    const int64_t offset = padded * next++;
    auto type = MemRefType::get({padded}, b.getF32Type(), StridedLayoutAttr::get(b.getContext(), offset, {1}));
    return memref::ReinterpretCastOp::create(b, type, scratch, offset, ArrayRef<int64_t>{padded}, ArrayRef<int64_t>{1});
  };
  rowValues = takeBuffer();
  if (rounding != Rounding::Nearest)
    rowWords = takeBuffer();
  if (isRandom(op.getMomentType()))
    rowMomentWords = takeBuffer();
  if (!isByGroup) {
    rowFactors = takeBuffer();
    rowZeros = takeBuffer();
  }
}

Value PackedStep::splat(float value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), value)); }

Value PackedStep::loadScale(Value row, Value g) { return b.extendFloat(b.loadScalar(scales, groupAt(row, g))); }

Value PackedStep::loadZero(Value row, Value g) {
  if (zeroType == ZeroPointType::None)
    return b.f32(0.0f);
  Value zero = b.loadScalar(zeros, groupAt(row, g));
  return zeroType == ZeroPointType::F32 ? zero : arith::UIToFPOp::create(b, b.getF32Type(), zero).getResult();
}

void PackedStep::forEachStretch(function_ref<void(Value, Value)> body) {
  if (!isByGroup)
    return body(b.index(0), b.index(k));
  const int64_t whole = k / group * group;
  b.loop(b.index(0), b.index(whole), group, [&](Value first) { body(first, b.index(group)); });
  if (whole < k)
    body(b.index(whole), b.index(k - whole));
}

void PackedStep::keepFactors(Value row, Value first, function_ref<Value(Value, Value, Value)> factorOf) {
  if (isByGroup) {
    Value g = b.div(first, group);
    factor = splat(factorOf(g, first, b.min(b.add(first, group), b.index(k))));
    zero = splat(loadZero(row, g));
    return;
  }
  b.loop(b.index(0), b.index(format.groupCount(k)), 1, [&](Value g) {
    Value begin = b.mul(g, group), end = b.min(b.add(begin, group), b.index(k));
    Value of = factorOf(g, begin, end), zeroOf = loadZero(row, g);
    b.loop(begin, end, 1, [&](Value column) {
      b.storeScalar(of, rowFactors, column);
      b.storeScalar(zeroOf, rowZeros, column);
    });
  });
}

Value PackedStep::factorAt(Value column) { return isByGroup ? factor : b.load(floats(), rowFactors, column); }
Value PackedStep::zeroAt(Value column) { return isByGroup ? zero : b.load(floats(), rowZeros, column); }

Value PackedStep::realLanes(Value count) {
  if (!count)
    return {};
  SmallVector<int32_t> lane(rowStep);
  std::iota(lane.begin(), lane.end(), 0);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, b.ints(lane), b.splat(integers(), k % rowStep));
}

void PackedStep::step(Value row, Value first, Value columns, function_ref<Value(Value, Value)> directionAt) {
  const bool isSign = format.kind == Format::Kind::Sign;
  if (!isSign)
    keepFactors(row, first, [&](Value g, Value, Value) { return b.divF(options.rate, loadScale(row, g)); });
  Value rowBegin = b.mul(row, format.rowBytes(k)), rowFirst = b.mul(row, k);
  memory.forEachStep(columns, [&](Value i, Value count) {
    Value column = b.add(first, i);
    // Loaded before anything is stored: behind a store to the same place in another page a load waits.
    Value rel, left;
    if (!isSign) {
      Value bytes = count ? b.div(b.add(b.mul(count, format.bits), 7), 8) : Value();
      Value loaded = memory.load(b.getI8Type(), codes, b.add(rowBegin, b.div(b.mul(column, format.bits), 8)), bytes,
                                 2 * format.bits);
      rel = writeUnpackCodes(b, loaded, format.bits);
    }
    if (rounding == Rounding::Residual)
      left = memory.load(b.getI8Type(), residual, b.add(rowFirst, column), count);
    Value direction = directionAt(column, count);
    if (isSign)
      return b.store(direction, rowValues, column);
    if (format.kind == Format::Kind::Int) {
      Value up = b.shiftLeft(rel, 32 - format.bits);
      rel = arith::ShRSIOp::create(b, up, b.splat(integers(), 32 - format.bits));
    }
    rel = b.toFloat(rel);
    if (format.hasZeroPoints())
      rel = b.subF(rel, zeroAt(column));
    if (left)
      rel = b.fma(b.toFloat(arith::ExtSIOp::create(b, integers(), left)), splat(1 / residualSteps), rel);
    Value value = b.mulF(b.subF(rel, b.mulF(direction, factorAt(column))), splat(options.keep));
    b.store(value, rowValues, column);
  });
}

std::pair<Value, Value> PackedStep::range(Value first, Value last) {
  Value whole = b.add(first, b.mul(b.div(b.sub(last, first), rowStep), rowStep));
  auto widen = [&](ValueRange range, Value w) {
    return SmallVector<Value>{writeLesser(b, w, range[0]), writeGreater(b, w, range[1])};
  };
  SmallVector<Value> lanes =
      b.loop(first, whole, rowStep, {splat(0.0f), splat(0.0f)},
             [&](Value column, ValueRange carried) { return widen(carried, b.load(floats(), rowValues, column)); });
  Value low = vector::ReductionOp::create(b, vector::CombiningKind::MINNUMF, lanes[0], arith::FastMathFlags::nnan);
  Value high = vector::ReductionOp::create(b, vector::CombiningKind::MAXNUMF, lanes[1], arith::FastMathFlags::nnan);
  SmallVector<Value> both = b.loop(whole, last, 1, {low, high}, [&](Value column, ValueRange carried) {
    return widen(carried, b.loadScalar(rowValues, column));
  });
  return {both[0], both[1]};
}

Value PackedStep::wantedScale(Value row) {
  auto [low, high] = range(b.index(0), b.index(k));
  Value size = writeGreater(b, high, arith::NegFOp::create(b, low));
  return b.mulF(b.divF(size, b.f32(scaleDivisor(format))), loadScale(row, b.index(0)));
}

Value PackedStep::regroup(Value row, Value g, Value first, Value last) {
  Value old = loadScale(row, g);
  if (scaling == ScaleUpdate::Keep)
    return b.f32(1.0f);
  if (scaling == ScaleUpdate::Tensor) {
    b.storeScalar(b.truncateFloat(options.scale, scaleType), scales, groupAt(row, g));
    return b.divF(old, options.scale);
  }
  auto [low, high] = range(first, last);
  Value magnitude = writeGreater(b, high, arith::NegFOp::create(b, low));
  Value size = format.kind == Format::Kind::UInt ? b.subF(high, low) : magnitude;
  // Divided first: a group whose range fills its codes keeps its scale exactly.
  Value wanted = b.mulF(b.divF(size, b.f32(scaleDivisor(format))), old);
  Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, magnitude, b.f32(0.0f));
  Value stored = writeStoredScale(b, wanted, isZero, scaleType);
  b.storeScalar(stored, scales, groupAt(row, g));
  Value factor = b.divF(old, b.extendFloat(stored));
  if (format.hasZeroPoints()) {
    Value zero = b.mulF(arith::NegFOp::create(b, low), factor);
    if (zeroType == ZeroPointType::U8) {
      zero = writeRound(b, writeLesser(b, zero, b.f32(static_cast<float>(format.greatestValue()))));
      b.storeScalar(arith::FPToUIOp::create(b, b.getI8Type(), zero), zeros, groupAt(row, g));
    } else {
      b.storeScalar(zero, zeros, groupAt(row, g));
    }
  }
  return factor;
}

void PackedStep::encode(Value row, Value first, Value columns) {
  if (format.kind != Format::Kind::Sign)
    keepFactors(row, first, [&](Value g, Value from, Value to) { return regroup(row, g, from, to); });
  memory.forEachStep(columns, [&](Value i, Value count) { writeCodes(row, b.add(first, i), count); });
}

void PackedStep::writeCodes(Value row, Value column, Value count) {
  Value least = splat(static_cast<float>(format.leastValue())),
        most = splat(static_cast<float>(format.greatestValue()));
  Value value = b.load(floats(), rowValues, column), code;
  auto clamp = [&](Value x, Value low, Value high) { return writeLesser(b, writeGreater(b, x, low), high); };
  // Rounding to nearest is that of bq.quantize, which adds an integer zero point afterwards.
  const bool addsLate = zeroType == ZeroPointType::U8 && rounding == Rounding::Nearest;
  if (format.kind == Format::Kind::Sign) {
    Value isNegative = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, value, splat(0.0f));
    code = b.select(isNegative, b.zero(integers()), b.splat(integers(), 1));
  } else {
    value = b.mulF(value, factorAt(column));
    if (format.hasZeroPoints() && !addsLate)
      value = b.addF(value, zeroAt(column));
  }
  Value unit = rowWords ? PhiloxRows::unit(b, PhiloxRows::load(b, rowWords, column)) : Value();
  switch (rounding) {
  case Rounding::Nearest:
    if (code)
      break;
    if (addsLate) {
      Value zero = zeroAt(column);
      code = writeRound(b, clamp(value, b.subF(least, zero), b.subF(most, zero)));
      code = arith::FPToSIOp::create(b, integers(), b.addF(code, zero));
    } else {
      code = arith::FPToSIOp::create(b, integers(), writeRound(b, clamp(value, least, most)));
    }
    break;
  case Rounding::Stochastic:
    code = arith::FPToSIOp::create(b, integers(), clamp(PhiloxRows::roundAtRandom(b, value, unit), least, most));
    break;
  case Rounding::Residual: {
    // Code and residual are one number of eight more bits.
    Value steps = clamp(b.mulF(value, splat(residualSteps)), splat((format.leastValue() - 1) * residualSteps),
                        splat((format.greatestValue() + 1) * residualSteps));
    Value fixed = arith::FPToSIOp::create(b, integers(), PhiloxRows::roundAtRandom(b, steps, unit));
    Value nearest = arith::ShRSIOp::create(b, b.addI(fixed, b.splat(integers(), 128)), b.splat(integers(), 8));
    auto within = [&](Value x, int64_t low, int64_t high) -> Value {
      Value raised = arith::MaxSIOp::create(b, x, b.splat(integers(), low));
      return arith::MinSIOp::create(b, raised, b.splat(integers(), high));
    };
    code = within(nearest, format.leastValue(), format.greatestValue());
    Value left = within(b.subI(fixed, b.shiftLeft(code, 8)), -128, 127);
    memory.store(arith::TruncIOp::create(b, b.vec(b.getI8Type(), rowStep), left), residual,
                 b.add(b.mul(row, k), column), count);
    break;
  }
  }
  code = b.bitAnd(code, (1 << format.bits) - 1);
  // The bits that pad a row are zero.
  if (Value isReal = realLanes(count))
    code = b.select(isReal, code, b.zero(integers()));
  Value bytes = count ? b.div(b.add(b.mul(count, format.bits), 7), 8) : Value();
  Value at = b.add(b.mul(row, format.rowBytes(k)), b.div(b.mul(column, format.bits), 8));
  Value packed = writePackCodes(b, code, format.bits);
  if (!count)
    return b.store(packed, codes, at);
  // As many lanes as a step that is cut short is kept in.
  SmallVector<int64_t> order;
  for (int64_t i = 0; i < rowStep; ++i)
    order.push_back(i % (2 * format.bits));
  memory.store(vector::ShuffleOp::create(b, packed, packed, order), codes, at, bytes);
}
