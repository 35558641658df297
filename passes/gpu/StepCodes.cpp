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
    : b(b), rows(rows), format(op.getPackedType().getFormat()), scaleType(op.getPackedType().getScale()),
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

StepCodes::Values StepCodes::ofGroups(Value array, const StepHalf &half) {
  // What is not there has a group of the block all the same.
  auto load = [&](Value column) {
    return b.load(array, b.min(rows.groupInBlock(column), b.i32(rows.groupsPerBlock() - 1)));
  };
  if (RowKernel::keepsPieces(k, format.groupSize(k)))
    return Values(StepHalf::columns, load(half.first));
  Values values;
  for (int64_t i = 0; i < StepHalf::columns; ++i)
    values.push_back(load(b.add(half.first, i)));
  return values;
}

SmallVector<StepTrack> StepCodes::tracks(const StepPiece &piece, bool isLoaded, bool isStored) {
  const bool hasCodes = isLoaded && format.kind != Format::Kind::Sign;
  SmallVector<StepTrack> tracks = {StepTrack(hasCodes ? loadCodes(piece) : Values(2, b.i32(0)))};
  if (rounding == Rounding::Residual)
    tracks.push_back(StepTrack::inMemory(at.residual, isLoaded, isStored));
  return tracks;
}

StepCodes::Values StepCodes::values(const StepHalf &half, ValueRange directions, Value unit, ArrayRef<Values> fronts) {
  if (format.kind == Format::Kind::Sign)
    return Values(directions);
  Values rate = ofGroups(rates, half), zero, left, values;
  Value leftScale;
  if (zeros)
    zero = ofGroups(zeros, half);
  if (rounding == Rounding::Residual) {
    left = bytesOf(b, fronts[1], /*isSigned=*/true);
    leftScale = b.mulF(numbers.keep, b.f32(1 / residualSteps));
  }
  const int64_t bits = format.bits;
  for (int64_t i = 0; i < StepHalf::columns; ++i) {
    Value code = format.kind == Format::Kind::Int
                     ? b.shiftRightSigned(b.shiftLeft(fronts[0][0], 32 - bits * (i + 1)), 32 - bits)
                     : b.bitAnd(b.shiftRight(fronts[0][0], bits * i), (1 << bits) - 1);
    Value rel = b.toFloat(code);
    if (zeros)
      rel = b.subF(rel, zero[i]);
    rel = b.mulF(rel, numbers.keep);
    if (!left.empty())
      rel = b.fma(b.toFloat(left[i]), leftScale, rel);
    values.push_back(b.fma(b.negF(directions[i]), unit ? b.mulF(rate[i], unit) : rate[i], rel));
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

/// `all` and `part` together, of which the former may be null.
static Value orOf(GpuBuilder &b, Value all, Value part) { return all ? b.bitOr(all, part) : part; }

void StepCodes::encode(const StepHalf &half, ValueRange values, ValueRange words, MutableArrayRef<Values> fronts) {
  Values residuals, factor, zero;
  Value all;
  auto append = [&](int64_t i, Value code) { all = orOf(b, all, b.shiftLeft(code, format.bits * i)); };
  if (format.kind == Format::Kind::Sign) {
    for (auto [i, value] : llvm::enumerate(values))
      append(i, b.select(b.compareF(arith::CmpFPredicate::OGT, value, b.f32(0.0f)), b.i32(0), b.i32(1)));
    fronts[0] = {all};
    return;
  }
  if (factors)
    factor = ofGroups(factors, half);
  if (newZeros)
    zero = ofGroups(newZeros, half);
  // Codes that fill a scale of their own are rounded as one with the product, as on CPUs.
  const bool roundsProduct =
      rounding == Rounding::Nearest && format.kind == Format::Kind::Int && scaling == ScaleUpdate::Group;
  auto product = [&](Value value, Value by) -> Value {
    if (!roundsProduct)
      return b.mulF(value, by);
    // Beside this number there is no room for a fraction.
    Value whole = b.f32(0x1.8p23f);
    return b.subF(b.fma(value, by, whole), whole);
  };
  for (int64_t i = 0; i < StepHalf::columns; ++i) {
    Value scaled = factors ? product(values[i], factor[i]) : values[i], residual;
    Value code = encode(scaled, newZeros ? zero[i] : Value(), words.empty() ? Value() : words[i], residual);
    append(i, b.bitAnd(code, (1 << format.bits) - 1));
    if (residual)
      residuals.push_back(residual);
  }
  fronts[0] = {all};
  if (rounding == Rounding::Residual)
    fronts[1] = wordsOfBits(b, residuals, 8);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// The piece as PieceCodes.h has it, with `count` columns there.
static RowPiece rowPiece(GpuBuilder &b, const StepPiece &piece, int64_t count) {
  return {piece.row, b.div(piece.first, columns), piece.first, count};
}

/// Calls `body` for each half that has bits of byte `i` of a piece, with the place of that byte in the half's word.
static void forEachHalfOfByte(const Format &format, int64_t i, function_ref<void(int64_t half, int64_t place)> body) {
  const int64_t halfBits = StepHalf::columns * format.bits;
  for (int64_t half : {0, 1})
    if (const int64_t place = 8 * i - halfBits * half; place > -8 && place < halfBits)
      body(half, place);
}

StepCodes::Values StepCodes::loadCodes(const StepPiece &piece) {
  const int64_t rest = k % columns;
  auto none = [&] { return Values(2, b.i32(0)); };
  auto load = [&](int64_t count) {
    Values words(2);
    for (auto [i, byte] : llvm::enumerate(loadCodeBytes(b, at.codes, piece.row, rowPiece(b, piece, count), format, k)))
      forEachHalfOfByte(format, i, [&, byte = byte](int64_t half, int64_t place) {
        words[half] = orOf(b, words[half], b.shift(byte, -place));
      });
    if (!words[1])
      words[1] = b.i32(0);
    return words;
  };
  auto loadRest = [&] { return rest ? b.chooseAll(piece.isThere(b), [&] { return load(rest); }, none) : none(); };
  return b.chooseAll(piece.isWhole, [&] { return load(columns); }, loadRest);
}

void StepCodes::storeCodes(const StepPiece &piece, ValueRange words) {
  const int64_t rest = k % columns;
  auto store = [&](int64_t count) {
    Values bytes;
    for (int64_t i = 0; i < format.rowBytes(count); ++i) {
      Value byte;
      forEachHalfOfByte(format, i,
                        [&](int64_t half, int64_t place) { byte = orOf(b, byte, b.shift(words[half], place)); });
      // Behind the last code are zeros.
      if (const int64_t used = count * format.bits - 8 * i; used < 8)
        byte = b.bitAnd(byte, (1 << used) - 1);
      bytes.push_back(byte);
    }
    storeCodeBytes(b, bytes, at.codes, rowPiece(b, piece, count), format, k);
  };
  auto storeRest = [&] { b.when(piece.isThere(b), [&] { store(rest); }); };
  if (rest)
    b.when(piece.isWhole, [&] { store(columns); }, storeRest);
  else
    b.when(piece.isWhole, [&] { store(columns); });
}
