// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StepCodes.h"

#include "dialect/core/Half.h"
#include "passes/gpu/PieceCodes.h"
#include "passes/gpu/StepRandom.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

static constexpr int64_t columns = StepPiece::columns;
/// Residuals count in this part of a scale.
static constexpr float residualSteps = 256;

StepCodes::StepCodes(GpuBuilder &b, UpdateOp op, RowKernel &rows, const StepNumbers &numbers,
                     const WeightMemory &memory)
    : b(b), memory(b), rows(rows), format(op.getPackedType().getFormat()), scaleType(op.getPackedType().getScale()),
      zeroType(op.getPackedType().getZero()), rounding(op.getRounding().getValue()),
      scaling(op.getScaling().getValue()), k(op.getPackedType().getK()), numbers(numbers), at(memory) {}

Value StepCodes::placeOf(const RowGroup &group) {
  return b.add(b.mul(b.wide(group.row), format.groupCount(k)), b.wide(group.number));
}

Value StepCodes::loadZero(Value place) {
  Value zero = b.load(at.zeros, place);
  return zeroType == ZeroPointType::F32 ? zero : b.toFloat(zero);
}

void StepCodes::loadGroups() {
  if (format.kind == Format::Kind::Sign)
    return;
  auto make = [&] { return b.shared(b.getF32Type(), rows.groupsPerBlock()); };
  rates = make();
  if (scaling != ScaleUpdate::Keep)
    factors = make();
  if (format.hasZeroPoints()) {
    zeros = make();
    newZeros = scaling == ScaleUpdate::Keep ? zeros : make();
  }
  rows.forEachGroupByThread([&](const RowGroup &group) {
    Value place = placeOf(group);
    Value kept = b.mulF(numbers.rate, numbers.keep);
    b.store(b.divF(kept, b.loadFloat(scaleType, at.scales, place)), rates, group.inBlock);
    if (zeros)
      b.store(loadZero(place), zeros, group.inBlock);
  });
}

StepCodes::Values StepCodes::ofGroups(Value array, const StepPiece &piece) {
  // What is not there has a group of the block all the same.
  auto load = [&](Value column) {
    return b.load(array, b.min(rows.groupInBlock(column), b.i32(rows.groupsPerBlock() - 1)));
  };
  if (RowKernel::keepsPieces(k, format.groupSize(k)))
    return Values(columns, load(piece.first));
  Values values;
  for (int64_t i = 0; i < columns; ++i)
    values.push_back(load(b.add(piece.first, i)));
  return values;
}

/// The piece as PieceCodes.h has it, with `count` columns there.
static RowPiece rowPiece(GpuBuilder &b, const StepPiece &piece, int64_t count) {
  return {piece.row, b.div(piece.first, columns), piece.first, count};
}

StepCodes::Values StepCodes::loadCodes(const StepPiece &piece) {
  const int64_t rest = k % columns;
  auto load = [&](int64_t count) {
    Values bytes = loadCodeBytes(b, at.codes, piece.row, rowPiece(b, piece, count), format, k);
    bytes.resize(format.bits, b.i32(0));
    return bytes;
  };
  auto loadRest = [&] {
    auto none = [&] { return Values(format.bits, b.i32(0)); };
    return rest ? b.chooseAll(piece.isThere(b, 0), [&] { return load(rest); }, none) : none();
  };
  Values bytes = b.chooseAll(piece.isWhole, [&] { return load(columns); }, loadRest);
  Values codes = unpackCodes(b, bytes, columns, format);
  if (format.kind == Format::Kind::Int)
    for (Value &code : codes)
      code = b.shiftRightSigned(b.shiftLeft(code, 32 - format.bits), 32 - format.bits);
  return codes;
}

void StepCodes::storeCodes(const StepPiece &piece, ValueRange codes) {
  const int64_t rest = k % columns;
  auto store = [&](int64_t count) {
    bq::storeCodes(b, codes.take_front(count), at.codes, rowPiece(b, piece, count), format, k);
  };
  auto storeRest = [&] { b.when(piece.isThere(b, 0), [&] { store(rest); }); };
  if (rest)
    b.when(piece.isWhole, [&] { store(columns); }, storeRest);
  else
    b.when(piece.isWhole, [&] { store(columns); });
}

StepCodes::Values StepCodes::values(const StepPiece &piece, ValueRange directions) {
  if (format.kind == Format::Kind::Sign)
    return Values(directions);
  Values codes = loadCodes(piece), rate = ofGroups(rates, piece), zero, left, values;
  if (zeros)
    zero = ofGroups(zeros, piece);
  if (rounding == Rounding::Residual)
    left = memory.loadBytes(at.residual, piece, /*isSigned=*/true);
  for (int64_t i = 0; i < columns; ++i) {
    Value rel = b.toFloat(codes[i]);
    if (zeros)
      rel = b.subF(rel, zero[i]);
    if (!left.empty())
      rel = b.fma(b.toFloat(left[i]), b.f32(1 / residualSteps), rel);
    values.push_back(b.fma(b.negF(directions[i]), rate[i], b.mulF(rel, numbers.keep)));
  }
  return values;
}

//===----------------------------------------------------------------------===//
// Scales
//===----------------------------------------------------------------------===//

/// Least and greatest of a group, and 0.
std::pair<Value, Value> StepCodes::range(const RowGroup &group, function_ref<Value(Value)> load) {
  Value none = b.f32(0.0f);
  SmallVector<Value> range = rows.fold(
      group, {none, none}, [&](Value column) { return SmallVector<Value>(2, load(column)); },
      [&](size_t index, Value l, Value r) { return index == 0 ? b.minF(l, r) : b.maxF(l, r); });
  return {range[0], range[1]};
}

Value StepCodes::storedScale(GpuBuilder &b, Value wanted, Value isZero, Type scaleType) {
  const ElementType type = toElementType(scaleType);
  Value clamped = b.minF(b.maxF(wanted, b.f32(minNormal(type))), b.f32(maxFinite(type)));
  return b.roundTo(scaleType, b.select(isZero, b.f32(1.0f), clamped));
}

void StepCodes::wantScale(const RowGroup &group, function_ref<Value(Value)> load, function_ref<void(Value)> store) {
  auto [low, high] = range(group, load);
  rows.once([&, low = low, high = high] {
    Value size = b.maxF(high, b.negF(low)), divisor = b.f32(static_cast<float>(format.greatestValue()));
    store(b.mulF(b.divF(size, divisor), b.loadFloat(scaleType, at.scales, placeOf(group))));
  });
}

void StepCodes::regroup(const RowGroup &group, function_ref<Value(Value)> load) {
  auto [least, most] = range(group, load);
  rows.once([&, low = least, high = most] {
    Value place = placeOf(group), old = b.loadFloat(scaleType, at.scales, place);
    Value magnitude = b.maxF(high, b.negF(low));
    Value size = format.kind == Format::Kind::UInt ? b.subF(high, low) : magnitude;
    // Divided first: a group whose range fills its codes keeps its scale exactly.
    Value wanted = b.mulF(b.divF(size, b.f32(static_cast<float>(format.greatestValue()))), old);
    Value isZero = b.compareF(arith::CmpFPredicate::OEQ, magnitude, b.f32(0.0f));
    Value scale = storedScale(b, wanted, isZero, scaleType);
    b.storeFloat(scaleType, scale, at.scales, place);
    Value factor = b.divF(old, scale);
    b.store(factor, factors, group.inBlock);
    if (!zeros)
      return;
    Value zero = b.mulF(b.negF(low), factor);
    if (zeroType == ZeroPointType::U8) {
      zero = b.roundEven(b.minF(zero, b.f32(static_cast<float>(format.greatestValue()))));
      b.store(b.toInt(zero), at.zeros, place);
    } else {
      b.store(zero, at.zeros, place);
    }
    b.store(zero, newZeros, group.inBlock);
  });
}

void StepCodes::setScale(Value scale) {
  rows.forEachGroupByThread([&](const RowGroup &group) {
    Value place = placeOf(group);
    b.store(b.divF(b.loadFloat(scaleType, at.scales, place), scale), factors, group.inBlock);
    b.storeFloat(scaleType, scale, at.scales, place);
  });
}

//===----------------------------------------------------------------------===//
// Codes
//===----------------------------------------------------------------------===//

/// The code of a value in units of the new scale, without zero point where that is an integer that is added late.
Value StepCodes::encode(Value value, Value zero, Value word, Value &residual) {
  Value least = b.f32(static_cast<float>(format.leastValue())),
        most = b.f32(static_cast<float>(format.greatestValue()));
  auto clamp = [&](Value x, Value low, Value high) { return b.minF(b.maxF(x, low), high); };
  // Rounding to nearest is that of bq.quantize, which adds an integer zero point afterwards.
  if (rounding == Rounding::Nearest) {
    if (zeroType == ZeroPointType::U8)
      return b.toInt(b.addF(b.roundEven(clamp(value, b.subF(least, zero), b.subF(most, zero))), zero));
    return b.toInt(b.roundEven(clamp(zero ? b.addF(value, zero) : value, least, most)));
  }
  if (zero)
    value = b.addF(value, zero);
  Value unit = StepRandom::unit(b, word);
  if (rounding == Rounding::Stochastic)
    return b.toInt(clamp(StepRandom::roundAtRandom(b, value, unit), least, most));
  // Code and residual are one number of eight more bits.
  Value steps = clamp(b.mulF(value, b.f32(residualSteps)), b.f32((format.leastValue() - 1) * residualSteps),
                      b.f32((format.greatestValue() + 1) * residualSteps));
  Value fixed = b.toInt(StepRandom::roundAtRandom(b, steps, unit));
  auto within = [&](Value x, int64_t low, int64_t high) { return b.min(b.max(x, b.i32(low)), b.i32(high)); };
  Value code = within(b.shiftRightSigned(b.add(fixed, 128), 8), format.leastValue(), format.greatestValue());
  residual = within(b.sub(fixed, b.shiftLeft(code, 8)), -128, 127);
  return code;
}

void StepCodes::store(const StepPiece &piece, ValueRange values, ValueRange words) {
  Values codes, residuals;
  if (format.kind == Format::Kind::Sign) {
    for (Value value : values)
      codes.push_back(b.select(b.compareF(arith::CmpFPredicate::OGT, value, b.f32(0.0f)), b.i32(0), b.i32(1)));
    return storeCodes(piece, codes);
  }
  Values factor, zero;
  if (factors)
    factor = ofGroups(factors, piece);
  if (newZeros)
    zero = ofGroups(newZeros, piece);
  for (int64_t i = 0; i < columns; ++i) {
    Value scaled = factors ? b.mulF(values[i], factor[i]) : values[i], residual;
    Value code = encode(scaled, newZeros ? zero[i] : Value(), words.empty() ? Value() : words[i], residual);
    codes.push_back(b.bitAnd(code, (1 << format.bits) - 1));
    if (residual)
      residuals.push_back(residual);
  }
  if (rounding == Rounding::Residual)
    memory.storeBits(residuals, at.residual, piece);
  storeCodes(piece, codes);
}
