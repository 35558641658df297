// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/SoleOp.h"

#include "dialect/core/KernelAbi.h"

#include "mlir/IR/TypeUtilities.h"

namespace bq {
#define GEN_PASS_DEF_LOWERMAGNITUDESUMS
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Rows that meet the columns' sums together: their sums are made first, from one read of the columns' factors, and
/// then each column is read and written once for all of them.
constexpr int64_t rowTile = 4;

/// Writes abi::MagnitudeSumsFn.
class MagnitudeChunks {
public:
  MagnitudeChunks(KernelBuilder &b, MagnitudeSumsOp op, StringRef name)
      : b(b), dataType(getElementTypeOrSelf(op.getInput().getType())),
        k(cast<RankedTensorType>(op.getInput().getType()).getDimSize(1)), isSquare(op.getSquare()),
        isDivided(op.getDivide()) {
    Type index = b.getIndexType(), f32 = b.getF32Type();
    SmallVector<Type> arguments(6, b.pointer(f32));
    arguments[0] = b.pointer(dataType);
    arguments.append({f32, index, index, index, index});
    func::FuncOp func = makeFunction(b, name, arguments);
    Value far = b.index(std::numeric_limits<int32_t>::max());
    auto list = [&](unsigned i) { return b.view(func.getArgument(i), {ShapedType::kDynamic}, far); };
    input = b.view(func.getArgument(0), {ShapedType::kDynamic, k}, far, func.getArgument(7));
    rowFactors = list(1);
    columnFactors = b.view(func.getArgument(2), {k});
    rowSums = list(3);
    nextFactors = list(4);
    partials = b.view(func.getArgument(5), {ShapedType::kDynamic, k}, far);
    floor = func.getArgument(6);
    rows = func.getArgument(8);
    begin = func.getArgument(9);
    end = func.getArgument(10);
  }

  void write() {
    b.loop(begin, end, 1, [&](Value chunk) {
      eachStep([&](Value column, bool isWhole) { storePartial(like(0.0f, isWhole), chunk, column, isWhole); });
      Value first = b.mul(chunk, abi::magnitudeChunk);
      Value last = b.min(b.add(first, abi::magnitudeChunk), rows);
      Value whole = b.add(first, b.mul(b.div(b.sub(last, first), rowTile), rowTile));
      b.loop(first, whole, rowTile, [&](Value row) { writeTile(rowTile, chunk, row); });
      b.loop(whole, last, 1, [&](Value row) { writeTile(1, chunk, row); });
    });
  }

private:
  int64_t wholeColumns() const { return k / b.lanes * b.lanes; }
  Value like(float value, bool isVector) { return isVector ? b.splat(value) : b.f32(value); }

  /// The columns in vectors, then those that are left one by one.
  void eachStep(function_ref<void(Value column, bool isWhole)> body) {
    b.loop(b.index(0), b.index(wholeColumns()), b.lanes, [&](Value column) { body(column, true); });
    b.loop(b.index(wholeColumns()), b.index(k), 1, [&](Value column) { body(column, false); });
  }

  Value magnitude(Value row, Value column, bool isWhole) {
    Value value = isWhole ? b.load(b.vec(dataType, b.lanes), input, {row, column}) : b.loadScalar(input, {row, column});
    value = b.extendFloat(value);
    return isSquare ? b.mulF(value, value) : Value(math::AbsFOp::create(b, value));
  }
  Value columnFactor(Value column, bool isWhole) {
    return isWhole ? b.load(b.f32s(), columnFactors, column) : b.loadScalar(columnFactors, column);
  }
  Value loadPartial(Value chunk, Value column, bool isWhole) {
    return isWhole ? b.load(b.f32s(), partials, {chunk, column}) : b.loadScalar(partials, {chunk, column});
  }
  void storePartial(Value value, Value chunk, Value column, bool isWhole) {
    if (isWhole)
      b.store(value, partials, {chunk, column});
    else
      b.storeScalar(value, partials, {chunk, column});
  }

  void writeTile(int64_t height, Value chunk, Value row) {
    auto add = [&](Value column, ValueRange sums, bool isWhole) {
      Value factor = columnFactor(column, isWhole);
      SmallVector<Value> next;
      for (int64_t i = 0; i < height; ++i)
        next.push_back(b.fma(magnitude(b.add(row, i), column, isWhole), factor, sums[i]));
      return next;
    };
    SmallVector<Value> sums =
        b.loop(b.index(0), b.index(wholeColumns()), b.lanes, SmallVector<Value>(height, b.splat(0.0f)),
               [&](Value column, ValueRange carried) { return add(column, carried, true); });
    for (Value &sum : sums)
      sum = vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
    sums = b.loop(b.index(wholeColumns()), b.index(k), 1, sums,
                  [&](Value column, ValueRange carried) { return add(column, carried, false); });

    SmallVector<Value> next, spread;
    for (int64_t i = 0; i < height; ++i) {
      Value at = b.add(row, i), factor = b.loadScalar(rowFactors, at), sum = b.mulF(factor, sums[i]);
      b.storeScalar(sum, rowSums, at);
      next.push_back(isDivided ? b.divF(factor, arith::MaximumFOp::create(b, sum, floor)) : b.mulF(factor, sum));
      b.storeScalar(next.back(), nextFactors, at);
      spread.push_back(b.broadcast(next.back()));
    }
    eachStep([&](Value column, bool isWhole) {
      Value sum = loadPartial(chunk, column, isWhole);
      for (int64_t i = 0; i < height; ++i)
        sum = b.fma(magnitude(b.add(row, i), column, isWhole), isWhole ? spread[i] : next[i], sum);
      storePartial(sum, chunk, column, isWhole);
    });
  }

  KernelBuilder &b;
  Type dataType;
  int64_t k;
  bool isSquare, isDivided;
  Value input, rowFactors, columnFactors, rowSums, nextFactors, partials, floor, rows, begin, end;
};

struct LowerMagnitudeSums : bq::impl::LowerMagnitudeSumsBase<LowerMagnitudeSums> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target))
      return signalPassFailure();
    auto write = [](KernelBuilder &b, MagnitudeSumsOp op, StringRef name) { MagnitudeChunks(b, op, name).write(); };
    if (failed(lowerToOneFunction<MagnitudeSumsOp, KernelBuilder>(getOperation(), write, *target, target->lanes())))
      signalPassFailure();
  }
};

} // namespace
