// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/CanonicalCodes.h"
#include "passes/cpu/GroupCode.h"
#include "passes/cpu/PackedStep.h"

#include "llvm/ADT/bit.h"

#include <numeric>

using namespace mlir;
using namespace bq;

Value PackedStep::realLanes(Value count) {
  if (!count)
    return {};
  SmallVector<int32_t> lane(rowStep);
  std::iota(lane.begin(), lane.end(), 0);
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, b.ints(lane), b.splat(integers(), k % rowStep));
}

float PackedStep::roundedPart() const {
  if (!isRoundedByAddition() || rounding == Rounding::Nearest)
    return 1;
  return rounding == Rounding::Stochastic ? 0x1p16f : 0x1p24f;
}

PackedStep::Encoded PackedStep::encoded(Value i) {
  Value value = b.load(floats(), tileValues, i);
  if (format.kind == Format::Kind::Sign) {
    Value isNegative = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, value, splat(0.0f));
    return {{b.select(isNegative, b.zero(integers()), b.splat(integers(), 1))}, {}};
  }
  Value factor = perColumn(newGroups.factors, i);
  if (isRoundedByAddition())
    return encodedByAddition(value, factor, i);
  // Rounding to nearest is that of bq.quantize, which adds an integer zero point afterwards.
  if (zeroType == ZeroPointType::U8 && rounding == Rounding::Nearest) {
    Value zero = perColumn(newGroups.zeros, i);
    Value low = b.subF(splat(static_cast<float>(format.leastValue())), zero);
    Value high = b.subF(splat(static_cast<float>(format.greatestValue())), zero);
    value = writeLesser(b, writeGreater(b, b.mulF(value, factor), low), high);
    return {{b.addI(b.roundToInt(value), b.roundToInt(zero))}, {}};
  }
  value = b.mulF(value, factor);
  if (format.hasZeroPoints())
    value = b.addF(value, perColumn(newGroups.zeros, i));
  return encodedInRange(value, i);
}

PackedStep::Encoded PackedStep::encodedByAddition(Value value, Value factor, Value i) {
  // A scale of less than 32 bits may be rounded down, which a residual has room for.
  if (rounding == Rounding::Residual)
    return residualOf(b, b.roundToInt(b.fma(value, factor, splat(0x1p23f))), carries(i));
  // Beside this number there is no room for a fraction: the sum is rounded, and an integer in its lower bits.
  constexpr float whole = 0x1.8p23f;
  Value rounded = b.bitcast(integers(), b.fma(value, factor, splat(whole)));
  if (rounding == Rounding::Nearest)
    return {{rounded}, {}};
  const auto greatest = llvm::bit_cast<uint32_t>(whole + static_cast<float>(format.greatestValue()) * 0x1p16f);
  return {{b.addI(rounded, carries(i)), 2, greatest >> 16}, {}};
}

PackedStep::Encoded PackedStep::encodedInRange(Value value, Value i) {
  const int64_t least = format.leastValue();
  const auto most = static_cast<float>(format.greatestValue());
  // What is above `high`, a positive number, is taken down before it is made an integer, as bits of a float, which are
  // in order there; what is below is taken up afterwards. CPUs give the least integer for what is less.
  auto noMore = [&](float high) {
    Value bits =
        arith::MinSIOp::create(b, b.bitcast(integers(), value), b.splat(integers(), llvm::bit_cast<int32_t>(high)));
    return b.bitcast(floats(), bits);
  };
  auto noLess = [&](Value x, int64_t low) -> Value { return arith::MaxSIOp::create(b, x, b.splat(integers(), low)); };
  switch (rounding) {
  case Rounding::Nearest:
    return {{noLess(b.roundToInt(noMore(most)), least)}, {}};
  case Rounding::Stochastic: {
    // In fixed point with as many bits behind the point as are random.
    Value fixed = b.roundToInt(b.mulF(noMore(most), splat(0x1p16f)));
    return {{b.addI(noLess(fixed, least * (1 << 16)), carries(i)), 2}, {}};
  }
  case Rounding::Residual: {
    value = noMore(most + 0.5f - 1 / residualSteps);
    if (hasRoomForFraction()) {
      Value fixed = b.roundToInt(b.fma(value, splat(0x1p24f), splat(0x1p23f)));
      return residualOf(b, noLess(fixed, least * (1 << 24)), carries(i));
    }
    value = writeGreater(b, value, splat(static_cast<float>(least) - 0.5f));
    Value nearest = b.roundToInt(value);
    Value left = b.roundToInt(b.fma(b.subF(value, b.toFloat(nearest)), splat(0x1p24f), splat(0x1p23f)));
    const Encoded rest = residualOf(b, left, carries(i));
    return {{b.addI(nearest, arith::ShRSIOp::create(b, rest.codes.lanes, b.splat(integers(), 24)))}, rest.residuals};
  }
  }
  llvm_unreachable("all roundings are listed");
}

PackedStep::Encoded PackedStep::residualOf(KernelBuilder &b, Value fixed, Value random) {
  Value lanes = b.addI(fixed, random);
  return {{lanes, 3}, {lanes, 2}};
}

void PackedStep::storeResiduals(ArrayRef<Value> steps, const Byte &like, Value row, Value column, Value count) {
  Value bytes = memory.bytesOf(steps, like.number);
  bytes = arith::XOrIOp::create(b, bytes, b.splat(cast<VectorType>(bytes.getType()), 0x80));
  memory.store(bytes, residual, b.add(b.mul(row, k), column), count);
}

/// Integers taken down to a positive number, or as they are where it is 0.
static Value atMost(KernelBuilder &b, Value x, int64_t most) {
  return most ? arith::MinSIOp::create(b, x, b.splat(cast<VectorType>(x.getType()), most)).getResult() : x;
}

int64_t PackedStep::columnsAtOnce() const { return (8 % format.bits == 0 ? memory.stepsAtOnce() : 1) * rowStep; }

void PackedStep::encodeAtOnce(Value row, Value column, Value i) {
  if (columnsAtOnce() == rowStep)
    return encode(row, column, i, Value());
  SmallVector<Value> codeLanes, residualLanes;
  Encoded last;
  for (int64_t offset = 0; offset < columnsAtOnce(); offset += rowStep) {
    last = encoded(b.add(i, offset));
    codeLanes.push_back(last.codes.lanes);
    residualLanes.push_back(last.residuals.lanes);
  }
  Value bytes = atMost(b, memory.bytesOf(codeLanes, last.codes.number), last.codes.most & 0xff);
  bytes = b.bitAnd(bytes, (1 << format.bits) - 1);
  b.store(writePackCodes(b, bytes, format.bits), codes, byteAt(row, column));
  if (last.residuals.lanes)
    storeResiduals(residualLanes, last.residuals, row, column, Value());
}

void PackedStep::encodeTile(Value row, Value first, int64_t columns) {
  const int64_t span = columnsAtOnce(), whole = columns / span * span;
  b.loop(b.index(0), b.index(whole), span, [&](Value i) { encodeAtOnce(row, b.add(first, i), i); });
  memory.forEachStep(b.index(columns - whole), [&](Value i, Value count) {
    i = b.add(i, whole);
    encode(row, b.add(first, i), i, count);
  });
}

Value PackedStep::byteAt(Value row, Value column) {
  return b.add(b.mul(row, format.rowBytes(k)), b.div(b.mul(column, format.bits), 8));
}

void PackedStep::encode(Value row, Value column, Value i, Value count) {
  const Encoded step = encoded(i);
  if (step.residuals.lanes)
    storeResiduals(step.residuals.lanes, step.residuals, row, column, count);
  const Byte &byte = step.codes;
  Value code = byte.number ? b.shiftRight(byte.lanes, 8 * byte.number) : byte.lanes;
  code = b.bitAnd(atMost(b, code, byte.most), (1 << format.bits) - 1);
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
