// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Half.h"
#include "passes/cpu/GroupCode.h"
#include "passes/cpu/PackedStep.h"

using namespace mlir;
using namespace bq;

Value PackedStep::loadScale(Value row, Value g) { return b.extendFloat(b.loadScalar(scales, groupAt(row, g))); }

Value PackedStep::loadZero(Value row, Value g) {
  if (zeroType == ZeroPointType::None)
    return b.f32(0.0f);
  Value zero = b.loadScalar(zeros, groupAt(row, g));
  return zeroType == ZeroPointType::F32 ? zero : arith::UIToFPOp::create(b, b.getF32Type(), zero).getResult();
}

void PackedStep::forEachGroup(int64_t columns, function_ref<void(Value, Value, Value)> body) {
  const int64_t whole = columns / group * group;
  b.loop(b.index(0), b.index(whole), group, [&](Value begin) { body(b.div(begin, group), begin, b.index(group)); });
  if (whole < columns)
    body(b.index(whole / group), b.index(whole), b.index(columns - whole));
}

void PackedStep::keepFactors(const OfGroups &kept, Value row, Value first, int64_t columns,
                             function_ref<Value(Value, Value, Value)> factorOf) {
  Value firstGroup = b.div(first, group);
  forEachGroup(columns, [&](Value g, Value begin, Value length) {
    Value end = b.add(begin, length), at = b.add(firstGroup, g);
    Value of = factorOf(at, begin, end), zeroOf = format.hasZeroPoints() ? loadZero(row, at) : Value();
    auto keep = [&](Value place) {
      b.storeScalar(of, kept.factors, place);
      if (zeroOf)
        b.storeScalar(zeroOf, kept.zeros, place);
    };
    if (isByGroup)
      return keep(g);
    b.loop(begin, end, 1, keep);
  });
}

void PackedStep::begin(Value row, Value first, int64_t columns) {
  if (format.kind != Format::Kind::Sign)
    keepFactors(oldGroups, row, first, columns,
                [&](Value g, Value, Value) { return b.divF(b.mulF(options.rate, options.keep), loadScale(row, g)); });
}

Value PackedStep::greatestSize(Value first, Value last) {
  Value whole = b.add(first, b.mul(b.div(b.sub(last, first), rowStep), rowStep));
  auto widen = [&](Value i, Value most) { return writeGreaterSize(b, b.load(floats(), tileValues, i), most); };
  Value lanes = b.zero(floats());
  if (group <= 16 * rowStep && group % rowStep == 0 && k % group == 0)
    for (int64_t i = 0; i < group; i += rowStep)
      lanes = widen(b.add(first, i), lanes);
  else
    lanes = b.loop(first, whole, rowStep, {lanes},
                   [&](Value i, ValueRange most) { return SmallVector<Value>{widen(i, most[0])}; })[0];
  Value most = writeGreatestLane(b, lanes);
  if (group % rowStep == 0 && k % rowStep == 0)
    return most;
  return b.loop(whole, last, 1, {most}, [&](Value i, ValueRange most) {
    Value size = math::AbsFOp::create(b, b.loadScalar(tileValues, i));
    return SmallVector<Value>{writeGreater(b, size, most[0])};
  })[0];
}

std::pair<Value, Value> PackedStep::range(Value first, Value last) {
  if (format.kind == Format::Kind::Int) {
    // Without zero points the least is the greatest of the other sign.
    Value most = greatestSize(first, last);
    return {arith::NegFOp::create(b, most), most};
  }
  Value whole = b.add(first, b.mul(b.div(b.sub(last, first), rowStep), rowStep));
  auto widen = [&](ValueRange range, Value w) -> SmallVector<Value> {
    return {writeGreater(b, w, range[0]), writeLesser(b, w, range[1])};
  };
  SmallVector<Value> lanes =
      b.loop(first, whole, rowStep, {splat(0.0f), splat(0.0f)},
             [&](Value i, ValueRange carried) { return widen(carried, b.load(floats(), tileValues, i)); });
  SmallVector<Value> ends;
  for (auto [i, vector] : llvm::enumerate(lanes))
    ends.push_back(vector::ReductionOp::create(b, i ? vector::CombiningKind::MINNUMF : vector::CombiningKind::MAXNUMF,
                                               vector, arith::FastMathFlags::nnan));
  if (group % rowStep || k % rowStep)
    ends = b.loop(whole, last, 1, ends,
                  [&](Value i, ValueRange carried) { return widen(carried, b.loadScalar(tileValues, i)); });
  return {ends[1], ends[0]};
}

Value PackedStep::wantedScale(Value row) {
  auto [low, high] = range(b.index(0), b.index(k));
  Value size = writeGreater(b, high, arith::NegFOp::create(b, low));
  return b.mulF(b.divF(size, b.f32(scaleDivisor(format))), loadScale(row, b.index(0)));
}

void PackedStep::clampValues(Value first, Value last, Value factor) {
  const float below = rounding == Rounding::Residual ? 0.5f : 0.0f, above = below ? below - 1 / residualSteps : 0.0f;
  auto valueOf = [&](float code) { return b.divF(b.f32(code), factor); };
  Value least = valueOf(static_cast<float>(format.leastValue()) - below),
        most = valueOf(static_cast<float>(format.greatestValue()) + above);
  b.loop(first, last, 1, [&](Value i) {
    Value value = b.loadScalar(tileValues, i);
    b.storeScalar(writeLesser(b, writeGreater(b, value, least), most), tileValues, i);
  });
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
  if (fillsCodes())
    b.when(arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, wanted, b.f32(maxFinite(toElementType(scaleType)))),
           [&] { clampValues(first, last, factor); });
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

void PackedStep::rescale(Value row, Value first, int64_t columns) {
  if (format.kind != Format::Kind::Sign)
    keepFactors(newGroups, row, first, columns, [&](Value g, Value from, Value to) {
      Value factor = regroup(row, g, from, to);
      return roundedPart() == 1 ? factor : b.mulF(factor, b.f32(roundedPart()));
    });
}
