// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/PackedStep.h"

#include "dialect/core/KernelAbi.h"
#include "passes/cpu/CanonicalCodes.h"
#include "passes/cpu/GroupCode.h"

#include "llvm/ADT/bit.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace bq;

/// Residuals count in this part of a scale.
static constexpr float residualSteps = 256;
/// Columns that a tile has at least, so that the scales of its groups are computed side by side.
static constexpr int64_t leastTile = 1024;
static_assert(abi::momentBlock % philoxBlock == 0);

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

/// Floats that the random words of the moments of a tile take.
static int64_t momentWordCount(MomentType moments, int64_t columns) {
  switch (moments) {
  case MomentType::None:
  case MomentType::F32:
    return 0;
  case MomentType::Block8:
    return columns / philoxBlock * rowStep;
  case MomentType::F16:
  case MomentType::BF16:
    return columns;
  }
  llvm_unreachable("all types are listed");
}

/// Floats that the factors of a tile take, and its zero points.
static int64_t factorFloats(WeightType weight) {
  const int64_t tile = tileColumns(weight);
  const int64_t count = hasStepsByGroup(weight) ? weight.getFormat().groupCount(tile) : tile;
  return llvm::alignTo(count, rowStep);
}

int64_t PackedStep::scratchFloats(UpdateOp op) {
  const int64_t columns = llvm::alignTo(tileColumns(op.getPackedType()), philoxUnit);
  const int64_t buffers = 1 + (op.getRounding().getValue() != Rounding::Nearest);
  return buffers * columns + momentWordCount(op.getMomentType(), columns) + 4 * factorFloats(op.getPackedType());
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
  if (const int64_t count = momentWordCount(op.getMomentType(), padded))
    tileMomentWords = takeBuffer(count);
  // What they are without residuals takes fewer instructions where a register is looked up in.
  if (format.kind == Format::Kind::Int && format.bits <= 4 && rounding != Rounding::Residual &&
      b.target.has(CpuTarget::AVX512)) {
    SmallVector<float> values;
    const int half = 1 << (format.bits - 1);
    for (int code = 0; code < rowStep; ++code)
      values.push_back(static_cast<float>((code + half) % (2 * half) - half));
    Value table = arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), ArrayRef<float>(values)));
    codeValues = b.mulF(table, splat(options.keep));
  }
  for (OfGroups *kept : {&oldGroups, &newGroups})
    *kept = {takeBuffer(factorCount), takeBuffer(factorCount)};
}

Value PackedStep::splat(float value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), value)); }

void PackedStep::forEachTile(function_ref<void(Value, int64_t)> body) {
  const int64_t whole = k / tile * tile;
  b.loop(b.index(0), b.index(whole), tile, [&](Value first) { body(first, tile); });
  if (whole < k)
    body(b.index(whole), k - whole);
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

PackedStep::Old PackedStep::load(Value row, Value column, Value count) {
  Old old;
  if (format.kind != Format::Kind::Sign) {
    Value bytes = count ? b.div(b.add(b.mul(count, format.bits), 7), 8) : Value();
    old.codes = memory.load(b.getI8Type(), codes, byteAt(row, column), bytes, 2 * format.bits);
  }
  if (rounding == Rounding::Residual)
    old.residual = memory.load(b.getI8Type(), residual, b.add(b.mul(row, k), column), count);
  return old;
}

void PackedStep::prefetch(Value row, Value first, int64_t columns) {
  constexpr int64_t line = 64;
  auto ask = [&](Value buffer, Value at, int64_t bytes) {
    b.loop(b.index(0), b.index(bytes), line, [&](Value i) { b.prefetch(buffer, b.add(at, i)); });
  };
  if (format.kind != Format::Kind::Sign)
    ask(codes, byteAt(row, first), columns * format.bits / 8);
  if (rounding == Rounding::Residual)
    ask(residual, b.add(b.mul(row, k), first), columns);
}

void PackedStep::move(const Old &old, Value i, Value direction) {
  if (format.kind == Format::Kind::Sign)
    return b.store(direction, tileValues, i);
  Value rel = format.kind == Format::Kind::Int ? signedValue(old) : unsignedValue(old, i);
  b.store(b.fma(arith::NegFOp::create(b, direction), perColumn(oldGroups.factors, i), rel), tileValues, i);
}

Value PackedStep::signedValue(const Old &old) {
  if (codeValues)
    return writeLookUpCodes(b, old.codes, format.bits, codeValues);
  Value codes = writeUnpackHigh(b, old.codes, format.bits);
  if (!old.residual)
    return b.mulF(b.toFloat(codes),
                  splat(b.mulF(options.keep, b.f32(std::ldexp(1.0f, static_cast<int>(format.bits) - 32)))));
  // In units of the residual.
  Value above = arith::ShRSIOp::create(b, codes, b.splat(integers(), 32 - format.bits - 8));
  Value steps = b.addI(above, arith::ExtSIOp::create(b, integers(), old.residual));
  return b.mulF(b.toFloat(steps), splat(b.mulF(options.keep, b.f32(1 / residualSteps))));
}

Value PackedStep::unsignedValue(const Old &old, Value i) {
  Value rel = b.subF(b.toFloat(writeUnpackCodes(b, old.codes, format.bits)), perColumn(oldGroups.zeros, i));
  if (old.residual)
    rel = b.fma(b.toFloat(arith::ExtSIOp::create(b, integers(), old.residual)), splat(1 / residualSteps), rel);
  return b.mulF(rel, splat(options.keep));
}

Value PackedStep::codesOf(Value row, Value column, Value i, Value count) {
  Value value = b.load(floats(), tileValues, i);
  if (format.kind == Format::Kind::Sign) {
    Value isNegative = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, value, splat(0.0f));
    return b.select(isNegative, b.zero(integers()), b.splat(integers(), 1));
  }
  const auto least = static_cast<float>(format.leastValue()), most = static_cast<float>(format.greatestValue());
  // Rounding to nearest is that of bq.quantize, which adds an integer zero point afterwards.
  if (zeroType == ZeroPointType::U8 && rounding == Rounding::Nearest) {
    Value zero = perColumn(newGroups.zeros, i), low = b.subF(splat(least), zero), high = b.subF(splat(most), zero);
    value = writeLesser(b, writeGreater(b, b.mulF(value, perColumn(newGroups.factors, i)), low), high);
    return b.addI(b.roundToInt(value), b.roundToInt(zero));
  }
  value = b.mulF(value, perColumn(newGroups.factors, i));
  if (format.hasZeroPoints())
    value = b.addF(value, perColumn(newGroups.zeros, i));
  // What is above `high`, a positive number, is taken down before it is made an integer, as bits of a float, which are
  // in order there; what is below is taken up afterwards. CPUs give the least integer for what is less.
  auto noMore = [&](Value x, float high) {
    Value bits =
        arith::MinSIOp::create(b, b.bitcast(integers(), x), b.splat(integers(), llvm::bit_cast<int32_t>(high)));
    return b.bitcast(floats(), bits);
  };
  auto noLess = [&](Value x, int64_t low) -> Value { return arith::MaxSIOp::create(b, x, b.splat(integers(), low)); };
  auto carry = [&] { return PhiloxRows::load(b, tileWords, i); };
  switch (rounding) {
  case Rounding::Nearest:
    return noLess(b.roundToInt(noMore(value, most)), format.leastValue());
  case Rounding::Stochastic: {
    // In fixed point with as many bits behind the point as are random.
    Value fixed = b.roundToInt(b.mulF(noMore(value, most), splat(0x1p16f)));
    fixed = b.addI(noLess(fixed, format.leastValue() * (1 << 16)), carry());
    return arith::ShRSIOp::create(b, fixed, b.splat(integers(), 16));
  }
  case Rounding::Residual: {
    // Beside the nearest code: in fixed point the residual above its fraction, moved to where none is negative. A
    // residual of 128 is the next code's of -128.
    value = noMore(value, most + 0.5f - 1 / residualSteps);
    // With more bits than these the integer part does not fit beside the fraction.
    const bool isApart = format.bits > 6;
    Value nearest, fixed;
    if (isApart) {
      value = writeGreater(b, value, splat(least - 0.5f));
      nearest = b.roundToInt(value);
      fixed = b.roundToInt(b.fma(b.subF(value, b.toFloat(nearest)), splat(0x1p24f), splat(0x1p23f)));
    } else {
      fixed = noLess(b.roundToInt(b.fma(value, splat(0x1p24f), splat(0x1p23f))), format.leastValue() * (1 << 24));
    }
    fixed = b.addI(fixed, carry());
    Value left = arith::TruncIOp::create(b, b.vec(b.getI8Type(), rowStep), b.shiftRight(fixed, 16));
    left = arith::XOrIOp::create(b, left, b.splat(b.vec(b.getI8Type(), rowStep), 0x80));
    memory.store(left, residual, b.add(b.mul(row, k), column), count);
    Value code = arith::ShRSIOp::create(b, fixed, b.splat(integers(), 24));
    return isApart ? b.addI(nearest, code) : code;
  }
  }
  llvm_unreachable("all roundings are listed");
}

void PackedStep::encodeTile(Value row, Value first, int64_t columns) {
  const int64_t atOnce = 8 % format.bits == 0 ? memory.stepsAtOnce() : 1, span = atOnce * rowStep;
  const int64_t whole = atOnce > 1 ? columns / span * span : 0;
  b.loop(b.index(0), b.index(whole), span, [&](Value i) {
    SmallVector<Value> steps;
    for (int64_t offset = 0; offset < span; offset += rowStep)
      steps.push_back(codesOf(row, b.add(b.add(first, i), offset), b.add(i, offset), Value()));
    Value bytes = b.bitAnd(memory.lowBytes(steps), (1 << format.bits) - 1);
    b.store(writePackCodes(b, bytes, format.bits), codes, byteAt(row, b.add(first, i)));
  });
  memory.forEachStep(b.index(columns - whole), [&](Value i, Value count) {
    i = b.add(i, whole);
    encode(row, b.add(first, i), i, count);
  });
}

Value PackedStep::byteAt(Value row, Value column) {
  return b.add(b.mul(row, format.rowBytes(k)), b.div(b.mul(column, format.bits), 8));
}

void PackedStep::encode(Value row, Value column, Value i, Value count) {
  Value code = b.bitAnd(codesOf(row, column, i, count), (1 << format.bits) - 1);
  // The bits that pad a row are zero.
  if (Value isReal = realLanes(count))
    code = b.select(isReal, code, b.zero(integers()));
  Value bytes = count ? b.div(b.add(b.mul(count, format.bits), 7), 8) : Value();
  Value at = byteAt(row, column);
  Value packed = writePackCodes(b, code, format.bits);
  if (!count)
    return b.store(packed, codes, at);
  // As many lanes as a step that is cut short is kept in.
  SmallVector<int64_t> order;
  for (int64_t i = 0; i < rowStep; ++i)
    order.push_back(i % (2 * format.bits));
  memory.store(vector::ShuffleOp::create(b, packed, packed, order), codes, at, bytes);
}
