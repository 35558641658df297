// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/PackedStep.h"

#include "dialect/core/KernelAbi.h"
#include "passes/cpu/CanonicalCodes.h"
#include "passes/cpu/GroupCode.h"

#include <numeric>

using namespace mlir;
using namespace bq;

/// Residuals count in this part of a scale.
static constexpr float residualSteps = 256;
/// Columns that a tile has at least, so that the scales of its groups are computed side by side.
static constexpr int64_t leastTile = 1024;
static_assert(abi::momentBlock % philoxUnit == 0);

/// Whether steps end where groups end.
static bool hasStepsByGroup(WeightType weight) {
  const int64_t group = weight.getFormat().groupSize(weight.getK());
  return group % rowStep == 0 || group == weight.getK();
}

/// Whole groups, blocks of moments and vectors of random numbers; or the row.
static int64_t tileColumns(WeightType weight) {
  const int64_t k = weight.getK();
  if (!hasStepsByGroup(weight))
    return k;
  const int64_t unit = std::lcm(weight.getFormat().groupSize(k), abi::momentBlock);
  return std::min(k, unit * std::max<int64_t>(1, leastTile / unit));
}

static bool isRandom(MomentType moments) { return moments != MomentType::None && moments != MomentType::F32; }

/// Floats that the factors of a tile take, and its zero points.
static int64_t factorFloats(WeightType weight) {
  const int64_t tile = tileColumns(weight);
  const int64_t count = hasStepsByGroup(weight) ? weight.getFormat().groupCount(tile) : tile;
  return llvm::alignTo(count, rowStep);
}

int64_t PackedStep::scratchFloats(UpdateOp op) {
  const int64_t buffers = 1 + (op.getRounding().getValue() != Rounding::Nearest) + isRandom(op.getMomentType());
  return buffers * llvm::alignTo(tileColumns(op.getPackedType()), philoxUnit) + 2 * factorFloats(op.getPackedType());
}

PackedStep::PackedStep(KernelBuilder &b, RowMemory &memory, UpdateOp op, const StepOptions &options, Value codes,
                       Value scales, Value zeros, Value residual, Value scratch)
    : b(b), memory(memory), format(op.getPackedType().getFormat()), scaleType(op.getPackedType().getScale()),
      zeroType(op.getPackedType().getZero()), rounding(op.getRounding().getValue()),
      scaling(op.getScaling().getValue()), k(op.getPackedType().getK()), group(format.groupSize(k)),
      tile(tileColumns(op.getPackedType())), isByGroup(hasStepsByGroup(op.getPackedType())), options(options),
      codes(codes), scales(scales), zeros(zeros), residual(residual) {
  memory.prepare(b.getI8Type());
  int64_t next = 0;
  auto takeBuffer = [&](int64_t count) -> Value {
    auto type = MemRefType::get({count}, b.getF32Type(), StridedLayoutAttr::get(b.getContext(), next, {1}));
    Value buffer =
        memref::ReinterpretCastOp::create(b, type, scratch, next, ArrayRef<int64_t>{count}, ArrayRef<int64_t>{1});
    next += count;
    return buffer;
  };
  const int64_t padded = llvm::alignTo(tile, philoxUnit), factorCount = factorFloats(op.getPackedType());
  tileValues = takeBuffer(padded);
  if (rounding != Rounding::Nearest)
    tileWords = takeBuffer(padded);
  if (isRandom(op.getMomentType()))
    tileMomentWords = takeBuffer(padded);
  tileFactors = takeBuffer(factorCount);
  tileZeros = takeBuffer(factorCount);
}

Value PackedStep::splat(float value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), value)); }

Value PackedStep::loadScale(Value row, Value g) { return b.extendFloat(b.loadScalar(scales, groupAt(row, g))); }

Value PackedStep::loadZero(Value row, Value g) {
  if (zeroType == ZeroPointType::None)
    return b.f32(0.0f);
  Value zero = b.loadScalar(zeros, groupAt(row, g));
  return zeroType == ZeroPointType::F32 ? zero : arith::UIToFPOp::create(b, b.getF32Type(), zero).getResult();
}

void PackedStep::forEachTile(function_ref<void(Value, int64_t)> body) {
  const int64_t whole = k / tile * tile;
  b.loop(b.index(0), b.index(whole), tile, [&](Value first) { body(first, tile); });
  if (whole < k)
    body(b.index(whole), k - whole);
}

void PackedStep::forEachGroup(int64_t columns, function_ref<void(Value, Value, Value)> body) {
  const int64_t whole = columns / group * group;
  b.loop(b.index(0), b.index(whole), group, [&](Value begin) { body(b.div(begin, group), begin, b.index(group)); });
  if (whole < columns)
    body(b.index(whole / group), b.index(whole), b.index(columns - whole));
}

void PackedStep::keepFactors(Value row, Value first, int64_t columns,
                             function_ref<Value(Value, Value, Value)> factorOf) {
  Value firstGroup = b.div(first, group);
  forEachGroup(columns, [&](Value g, Value begin, Value length) {
    Value end = b.add(begin, length), at = b.add(firstGroup, g);
    Value of = factorOf(at, begin, end), zeroOf = format.hasZeroPoints() ? loadZero(row, at) : Value();
    auto keep = [&](Value place) {
      b.storeScalar(of, tileFactors, place);
      if (zeroOf)
        b.storeScalar(zeroOf, tileZeros, place);
    };
    if (isByGroup)
      return keep(g);
    b.loop(begin, end, 1, keep);
  });
}

Value PackedStep::perColumn(Value ofTile, Value i) {
  return isByGroup ? splat(b.loadScalar(ofTile, b.div(i, group))) : b.load(floats(), ofTile, i);
}

Value PackedStep::realLanes(Value count) {
  if (!count)
    return {};
  SmallVector<int32_t> lane(rowStep);
  std::iota(lane.begin(), lane.end(), 0);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, b.ints(lane), b.splat(integers(), k % rowStep));
}

void PackedStep::begin(Value row, Value first, int64_t columns) {
  if (format.kind != Format::Kind::Sign)
    keepFactors(row, first, columns, [&](Value g, Value, Value) { return b.divF(options.rate, loadScale(row, g)); });
}

PackedStep::Old PackedStep::load(Value row, Value column, Value count) {
  Old old;
  if (format.kind != Format::Kind::Sign) {
    Value bytes = count ? b.div(b.add(b.mul(count, format.bits), 7), 8) : Value();
    Value at = b.add(b.mul(row, format.rowBytes(k)), b.div(b.mul(column, format.bits), 8));
    old.codes = memory.load(b.getI8Type(), codes, at, bytes, 2 * format.bits);
  }
  if (rounding == Rounding::Residual)
    old.residual = memory.load(b.getI8Type(), residual, b.add(b.mul(row, k), column), count);
  return old;
}

void PackedStep::move(const Old &old, Value i, Value direction) {
  if (format.kind == Format::Kind::Sign)
    return b.store(direction, tileValues, i);
  Value rel = b.toFloat(writeUnpackCodes(b, old.codes, format.bits, format.kind == Format::Kind::Int));
  if (format.hasZeroPoints())
    rel = b.subF(rel, zeroAt(i));
  if (old.residual)
    rel = b.fma(b.toFloat(arith::ExtSIOp::create(b, integers(), old.residual)), splat(1 / residualSteps), rel);
  b.store(b.mulF(b.subF(rel, b.mulF(direction, factorAt(i))), splat(options.keep)), tileValues, i);
}

std::pair<Value, Value> PackedStep::range(Value first, Value last) {
  const bool isSymmetric = format.kind == Format::Kind::Int;
  Value whole = b.add(first, b.mul(b.div(b.sub(last, first), rowStep), rowStep));
  // Without zero points the least is the greatest of the other sign.
  auto widen = [&](ValueRange range, Value w) -> SmallVector<Value> {
    if (isSymmetric)
      return {writeGreater(b, math::AbsFOp::create(b, w), range[0])};
    return {writeGreater(b, w, range[0]), writeLesser(b, w, range[1])};
  };
  auto initial = [&](Value zero) { return SmallVector<Value>(isSymmetric ? 1 : 2, zero); };
  SmallVector<Value> lanes = b.loop(first, whole, rowStep, initial(splat(0.0f)), [&](Value i, ValueRange carried) {
    return widen(carried, b.load(floats(), tileValues, i));
  });
  SmallVector<Value> ends;
  for (auto [i, vector] : llvm::enumerate(lanes))
    ends.push_back(vector::ReductionOp::create(b, i ? vector::CombiningKind::MINNUMF : vector::CombiningKind::MAXNUMF,
                                               vector, arith::FastMathFlags::nnan));
  if (group % rowStep || k % rowStep)
    ends = b.loop(whole, last, 1, ends,
                  [&](Value i, ValueRange carried) { return widen(carried, b.loadScalar(tileValues, i)); });
  return {isSymmetric ? arith::NegFOp::create(b, ends[0]).getResult() : ends[1], ends[0]};
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

void PackedStep::encode(Value row, Value first, int64_t columns, function_ref<void(Value)> meanwhile) {
  if (format.kind != Format::Kind::Sign)
    keepFactors(row, first, columns, [&](Value g, Value from, Value to) { return regroup(row, g, from, to); });
  memory.forEachStep(b.index(columns), [&](Value i, Value count) {
    if (!count)
      meanwhile(i);
    writeCodes(row, b.add(first, i), i, count);
  });
}

Value PackedStep::codesOf(Value row, Value column, Value i, Value count) {
  Value value = b.load(floats(), tileValues, i);
  if (format.kind == Format::Kind::Sign) {
    Value isNegative = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, value, splat(0.0f));
    return b.select(isNegative, b.zero(integers()), b.splat(integers(), 1));
  }
  const auto least = static_cast<float>(format.leastValue()), most = static_cast<float>(format.greatestValue());
  auto clamp = [&](Value low, Value high) { value = writeLesser(b, writeGreater(b, value, low), high); };
  // Rounding to nearest is that of bq.quantize, which adds an integer zero point afterwards.
  const bool addsLate = zeroType == ZeroPointType::U8 && rounding == Rounding::Nearest;
  value = b.mulF(value, factorAt(i));
  if (format.hasZeroPoints() && !addsLate)
    value = b.addF(value, zeroAt(i));
  auto carry = [&] { return PhiloxRows::load(b, tileWords, i); };
  switch (rounding) {
  case Rounding::Nearest:
    if (!addsLate) {
      clamp(splat(least), splat(most));
      return b.roundToInt(value);
    }
    clamp(b.subF(splat(least), zeroAt(i)), b.subF(splat(most), zeroAt(i)));
    return b.addI(b.roundToInt(value), b.roundToInt(zeroAt(i)));
  case Rounding::Stochastic: {
    // In fixed point with as many bits behind the point as are random.
    clamp(splat(least), splat(most));
    Value fixed = b.addI(b.roundToInt(b.mulF(value, splat(0x1p16f))), carry());
    return arith::ShRSIOp::create(b, fixed, b.splat(integers(), 16));
  }
  case Rounding::Residual: {
    // Beside the nearest code: in fixed point the residual above its fraction, moved to where none is negative. A
    // residual of 128 is the next code's of -128.
    clamp(splat(least - 0.5f), splat(most + 0.5f - 1 / residualSteps));
    // With more bits than these the integer part does not fit beside the fraction.
    Value nearest = format.bits > 6 ? b.roundToInt(value) : Value();
    Value rest = nearest ? b.subF(value, b.toFloat(nearest)) : value;
    Value fixed = b.addI(b.roundToInt(b.fma(rest, splat(0x1p24f), splat(0x1p23f))), carry());
    Value left = arith::TruncIOp::create(b, b.vec(b.getI8Type(), rowStep), b.shiftRight(fixed, 16));
    left = arith::XOrIOp::create(b, left, b.splat(b.vec(b.getI8Type(), rowStep), 0x80));
    memory.store(left, residual, b.add(b.mul(row, k), column), count);
    Value code = arith::ShRSIOp::create(b, fixed, b.splat(integers(), 24));
    return nearest ? b.addI(nearest, code) : code;
  }
  }
  llvm_unreachable("all roundings are listed");
}

void PackedStep::writeCodes(Value row, Value column, Value i, Value count) {
  Value code = b.bitAnd(codesOf(row, column, i, count), (1 << format.bits) - 1);
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
