// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/PackedStep.h"

#include "dialect/core/KernelAbi.h"
#include "passes/cpu/CanonicalCodes.h"
#include "passes/cpu/GroupCode.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace bq;

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

/// Floats that the carries of a tile take.
static int64_t carryCount(Rounding rounding, int64_t columns) {
  return rounding == Rounding::Nearest ? 0 : columns / philoxBlock * rowStep;
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
  return columns + carryCount(op.getRounding().getValue(), columns) + momentWordCount(op.getMomentType(), columns) +
         4 * factorFloats(op.getPackedType());
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
  if (const int64_t count = carryCount(rounding, padded)) {
    tileCarries = takeBuffer(count);
    turns = memory.onStack(b.getF32Type(), rowStep);
    b.store(PhiloxRows::turnsOfCarries(b), turns, b.index(0));
  }
  if (const int64_t count = momentWordCount(op.getMomentType(), padded))
    tileMomentWords = takeBuffer(count);
  // What they are takes fewer instructions where a register is looked up in.
  if (format.kind == Format::Kind::Int && format.bits <= 4 && b.target.has(CpuTarget::AVX512)) {
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
  Value value = format.kind == Format::Kind::Int ? signedValue(old) : unsignedValue(old, i);
  if (old.residual) {
    Value steps = b.toFloat(arith::ExtSIOp::create(b, integers(), old.residual));
    value = b.fma(steps, splat(b.mulF(options.keep, b.f32(1 / residualSteps))), value);
  }
  Value rate = perColumn(oldGroups.factors, i);
  if (directionUnit)
    rate = b.mulF(rate, splat(directionUnit));
  b.store(b.fma(arith::NegFOp::create(b, direction), rate, value), tileValues, i);
}

void PackedStep::countIn(Value unit, Value first, Value length) {
  if (format.kind == Format::Kind::Sign)
    return;
  if (!isByGroup || abi::momentBlock % group) {
    directionUnit = unit;
    return;
  }
  b.loop(b.div(first, group), b.div(b.add(b.add(first, length), group - 1), group), 1,
         [&](Value g) { b.storeScalar(b.mulF(b.loadScalar(oldGroups.factors, g), unit), oldGroups.factors, g); });
}

Value PackedStep::signedValue(const Old &old) {
  if (codeValues)
    return writeLookUpCodes(b, old.codes, format.bits, codeValues);
  return b.mulF(b.toFloat(writeUnpackHigh(b, old.codes, format.bits)),
                splat(b.mulF(options.keep, b.f32(std::ldexp(1.0f, static_cast<int>(format.bits) - 32)))));
}

Value PackedStep::unsignedValue(const Old &old, Value i) {
  Value rel = b.subF(b.toFloat(writeUnpackCodes(b, old.codes, format.bits)), perColumn(oldGroups.zeros, i));
  return b.mulF(rel, splat(options.keep));
}
