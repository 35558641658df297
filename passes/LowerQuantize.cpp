// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/SoleOp.h"
#include "passes/cpu/CanonicalCodes.h"
#include "passes/cpu/GroupCode.h"

#include "mlir/IR/TypeUtilities.h"

#include <numeric>

namespace bq {
#define GEN_PASS_DEF_LOWERQUANTIZE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Writes abi::QuantizeFn. Codes are made in steps of sixteen from the start of a row, which are whole bytes; a step
/// that the row's end or a group's cuts is gathered first.
class QuantizeRows {
public:
  QuantizeRows(KernelBuilder &b, Type dataType, WeightType weight, StringRef name)
      : b(b), dataType(dataType), scaleType(weight.getScale()), format(weight.getFormat()), k(weight.getK()),
        group(format.groupSize(k)), greatest((1 << format.bits) - 1) {
    Type index = b.getIndexType(), i8 = b.getI8Type();
    func::FuncOp func = makeFunction(
        b, name, {b.pointer(dataType), b.pointer(i8), b.pointer(scaleType), b.pointer(i8), index, index, index});
    Value far = b.index(std::numeric_limits<int32_t>::max());
    input = b.view(func.getArgument(0), {ShapedType::kDynamic, k}, far, func.getArgument(4));
    codes = b.view(func.getArgument(1), {ShapedType::kDynamic, format.rowBytes(k)}, far);
    scales = b.view(func.getArgument(2), {ShapedType::kDynamic, format.groupCount(k)}, far);
    zeros = b.view(func.getArgument(3), {ShapedType::kDynamic, format.groupCount(k)}, far);
    begin = func.getArgument(5);
    end = func.getArgument(6);
    auto buffer = [&](Type element) -> Value {
      return memref::AllocaOp::create(b, MemRefType::get({codesPerStep}, element), b.getI64IntegerAttr(64));
    };
    stepWeights = buffer(b.getF32Type());
    stepScales = buffer(b.getF32Type());
    stepZeros = buffer(b.getF32Type());
    stepBytes = buffer(i8);
  }

  void write() {
    b.loop(begin, end, 1, [&](Value row) {
      if (format.kind != Format::Kind::Sign)
        b.loop(b.index(0), b.index(format.groupCount(k)), 1, [&](Value g) { writeGroupScale(row, g); });
      const int64_t whole = k / codesPerStep * codesPerStep;
      const bool isEven = group % codesPerStep == 0 || group == k;
      b.loop(b.index(0), b.index(whole), codesPerStep, [&](Value column) {
        Value bytes = isEven ? writeStep(load(row, column), scalesAt(row, column), zerosAt(row, column))
                             : writeGatheredStep(row, column, codesPerStep);
        b.store(bytes, codes, {row, byteOf(column)});
      });
      if (whole < k) {
        b.store(writeGatheredStep(row, b.index(whole), k - whole), stepBytes, b.index(0));
        Value first = byteOf(b.index(whole));
        b.loop(b.index(0), b.sub(b.index(format.rowBytes(k)), first), 1,
               [&](Value i) { b.storeScalar(b.loadScalar(stepBytes, i), codes, {row, b.add(first, i)}); });
      }
    });
  }

private:
  VectorType floats() { return b.vec(b.getF32Type(), codesPerStep); }
  VectorType integers() { return b.vec(b.getI32Type(), codesPerStep); }
  Value splat(float value) { return arith::ConstantOp::create(b, DenseElementsAttr::get(floats(), value)); }

  Value byteOf(Value column) { return b.div(b.mul(column, format.bits), 8); }
  Value load(Value row, Value column) {
    return b.extendFloat(b.load(b.vec(dataType, codesPerStep), input, {row, column}));
  }
  Value scalarAt(Value buffer, Value row, Value column) { return b.loadScalar(buffer, {row, b.div(column, group)}); }
  Value scalesAt(Value row, Value column) {
    if (format.kind == Format::Kind::Sign)
      return splat(1.0f);
    return b.broadcast(floats(), b.extendFloat(scalarAt(scales, row, column)));
  }
  Value zeroAt(Value row, Value column) {
    return arith::UIToFPOp::create(b, b.getF32Type(), scalarAt(zeros, row, column));
  }
  Value zerosAt(Value row, Value column) {
    return format.hasZeroPoints() ? b.broadcast(floats(), zeroAt(row, column)) : Value();
  }

  Value lesser(Value l, Value r) { return writeLesser(b, l, r); }
  Value greater(Value l, Value r) { return writeGreater(b, l, r); }
  Value round(Value x) { return writeRound(b, x); }

  /// Range of the group, then its scale and zero point as they are stored.
  void writeGroupScale(Value row, Value g) {
    Value first = b.mul(g, group), last = b.min(b.add(first, group), b.index(k));
    Value whole = b.add(first, b.mul(b.div(b.sub(last, first), codesPerStep), codesPerStep));
    auto widen = [&](ValueRange range, Value w) {
      return SmallVector<Value>{lesser(w, range[0]), greater(w, range[1])};
    };
    SmallVector<Value> lanes = b.loop(first, whole, codesPerStep, {splat(0.0f), splat(0.0f)},
                                      [&](Value column, ValueRange range) { return widen(range, load(row, column)); });
    Value low = vector::ReductionOp::create(b, vector::CombiningKind::MINNUMF, lanes[0], arith::FastMathFlags::nnan);
    Value high = vector::ReductionOp::create(b, vector::CombiningKind::MAXNUMF, lanes[1], arith::FastMathFlags::nnan);
    SmallVector<Value> range = b.loop(whole, last, 1, {low, high}, [&](Value column, ValueRange range) {
      return widen(range, b.extendFloat(b.loadScalar(input, {row, column})));
    });
    low = range[0], high = range[1];

    Value magnitude = greater(high, arith::NegFOp::create(b, low));
    Value size = format.kind == Format::Kind::UInt ? b.subF(high, low) : magnitude;
    Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, magnitude, b.f32(0.0f));
    Value stored = writeStoredScale(b, b.divF(size, b.f32(scaleDivisor(format))), isZero, scaleType);
    b.storeScalar(stored, scales, {row, g});
    if (format.hasZeroPoints()) {
      Value offset = b.divF(arith::NegFOp::create(b, low), b.extendFloat(stored));
      Value zero = round(lesser(offset, b.f32(static_cast<float>(greatest))));
      b.storeScalar(arith::FPToUIOp::create(b, b.getI8Type(), zero), zeros, {row, g});
    }
  }

  /// Bytes of a step whose first `count` columns from `column` on belong to the row.
  Value writeGatheredStep(Value row, Value column, int64_t count) {
    b.loop(b.index(0), b.index(count), 1, [&](Value i) {
      Value at = b.add(column, i);
      b.storeScalar(b.extendFloat(b.loadScalar(input, {row, at})), stepWeights, i);
      if (format.kind != Format::Kind::Sign)
        b.storeScalar(b.extendFloat(scalarAt(scales, row, at)), stepScales, i);
      if (format.hasZeroPoints())
        b.storeScalar(zeroAt(row, at), stepZeros, i);
    });
    Value isReal;
    SmallVector<int32_t> lane(codesPerStep);
    std::iota(lane.begin(), lane.end(), 0);
    if (count < codesPerStep)
      isReal = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, b.ints(lane), b.splat(integers(), count));
    auto take = [&](Value buffer, float otherwise) {
      Value values = b.load(floats(), buffer, b.index(0));
      return isReal ? b.select(isReal, values, splat(otherwise)) : values;
    };
    return writeStep(take(stepWeights, 0.0f), take(stepScales, 1.0f),
                     format.hasZeroPoints() ? take(stepZeros, 0.0f) : Value(), isReal);
  }

  /// Bytes of sixteen codes; those that are not real are zero.
  Value writeStep(Value weights, Value scale, Value zero, Value isReal = {}) {
    Value made = writeCodes(weights, scale, zero);
    if (isReal)
      made = b.select(isReal, made, b.zero(integers()));
    return writePackCodes(b, made, format.bits);
  }

  Value writeCodes(Value weights, Value scale, Value zero) {
    switch (format.kind) {
    case Format::Kind::Sign:
      return arith::ExtUIOp::create(b, integers(),
                                    arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, weights, splat(0.0f)));
    case Format::Kind::Int: {
      const float limit = static_cast<float>((greatest + 1) / 2);
      Value code = lesser(greater(b.divF(weights, scale), splat(-limit)), splat(limit - 1));
      return b.bitAnd(arith::FPToSIOp::create(b, integers(), round(code)), greatest);
    }
    case Format::Kind::UInt: {
      // Clamped before it is rounded, which is the same with bounds that are integers.
      Value low = arith::NegFOp::create(b, zero), high = b.subF(splat(static_cast<float>(greatest)), zero);
      Value code = lesser(greater(b.divF(weights, scale), low), high);
      return arith::FPToSIOp::create(b, integers(), b.addF(round(code), zero));
    }
    default: {
      Value value = lesser(greater(b.divF(weights, scale), splat(-scaleDivisor(format))), splat(scaleDivisor(format)));
      const float *table = format.kind == Format::Kind::NF4 ? nf4Table : fp4Table;
      auto distanceTo = [&](int64_t entry) -> Value {
        return math::AbsFOp::create(b, b.subF(value, splat(table[entry])));
      };
      Value best = b.zero(integers()), distance = distanceTo(0);
      for (int64_t entry = 1; entry < 16; ++entry) {
        Value other = distanceTo(entry);
        Value isNearer = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, other, distance);
        best = b.select(isNearer, b.splat(integers(), entry), best);
        distance = b.select(isNearer, other, distance);
      }
      return best;
    }
    }
  }

  KernelBuilder &b;
  Type dataType, scaleType;
  Format format;
  int64_t k, group;
  int64_t greatest; ///< The greatest code.
  Value input, codes, scales, zeros, begin, end;
  Value stepWeights, stepScales, stepZeros, stepBytes; ///< One step, gathered.
};

struct LowerQuantize : bq::impl::LowerQuantizeBase<LowerQuantize> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target))
      return signalPassFailure();
    auto write = [](KernelBuilder &b, QuantizeOp op, StringRef name) {
      QuantizeRows(b, getElementTypeOrSelf(op.getInput().getType()), op.getWeight().getType(), name).write();
    };
    if (failed(lowerToOneFunction<QuantizeOp, KernelBuilder>(getOperation(), write, *target, target->lanes())))
      signalPassFailure();
  }
};

} // namespace
