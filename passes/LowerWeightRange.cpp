// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/NoiseAbi.h"
#include "passes/Passes.h"
#include "passes/Schedules.h"
#include "passes/SoleOp.h"
#include "passes/cpu/GroupCode.h"
#include "passes/cpu/RowMemory.h"

#include "mlir/IR/TypeUtilities.h"

namespace bq {
#define GEN_PASS_DEF_LOWERWEIGHTRANGE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

/// Elements from one of which something is asked for ahead: the addresses of small pages take a CPU longer to find than
/// to read them.
constexpr int64_t prefetched = 4 * abi::noiseChunk;

/// Writes abi::WeightRangeFn.
void writeRanges(KernelBuilder &b, WeightRangeOp op, StringRef name) {
  Type f32 = b.getF32Type(), index = b.getIndexType(), dataType = getElementTypeOrSelf(op.getInput().getType());
  func::FuncOp func = makeFunction(b, name, {b.pointer(dataType), b.pointer(f32), b.pointer(f32), index, index, index});
  Value far = b.index(std::numeric_limits<int64_t>::max());
  auto flat = [&](unsigned argument) { return b.view(func.getArgument(argument), {ShapedType::kDynamic}, far); };
  Value input = flat(0), lows = flat(1), highs = flat(2), count = func.getArgument(3);
  VectorType floats = b.vec(f32, rowStep);

  // Least, greatest, and a sum of differences of elements and themselves: 0, or NaN where one is not finite.
  auto take = [&](Value x, ValueRange range) {
    return SmallVector<Value>{writeLesser(b, x, range[0]), writeGreater(b, x, range[1]),
                              b.addF(range[2], b.subF(x, x))};
  };
  b.loop(func.getArgument(4), func.getArgument(5), 1, [&](Value chunk) {
    Value first = b.mul(chunk, abi::noiseChunk);
    b.prefetch(input, b.add(first, prefetched));
    Value last = b.min(b.add(first, abi::noiseChunk), count), length = b.sub(last, first);
    Value whole = b.add(first, b.mul(b.div(length, rowStep), rowStep));
    Value start = b.extendFloat(b.loadScalar(input, first)), lanes = b.broadcast(floats, start);
    SmallVector<Value> wide =
        b.loop(first, whole, rowStep, {lanes, lanes, b.zero(floats)}, [&](Value i, ValueRange range) {
          return take(b.extendFloat(b.load(b.vec(dataType, rowStep), input, i)), range);
        });
    auto reduce = [&](vector::CombiningKind kind, Value vector) -> Value {
      return vector::ReductionOp::create(b, kind, vector, arith::FastMathFlags::nnan);
    };
    SmallVector<Value> one = {reduce(vector::CombiningKind::MINNUMF, wide[0]),
                              reduce(vector::CombiningKind::MAXNUMF, wide[1]),
                              vector::ReductionOp::create(b, vector::CombiningKind::ADD, wide[2])};
    one = b.loop(whole, last, 1, one,
                 [&](Value i, ValueRange range) { return take(b.extendFloat(b.loadScalar(input, i)), range); });
    b.storeScalar(b.addF(one[0], one[2]), lows, chunk);
    b.storeScalar(b.addF(one[1], one[2]), highs, chunk);
  });
}

struct LowerWeightRange : bq::impl::LowerWeightRangeBase<LowerWeightRange> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<CpuTarget> target = targetOf(getOperation(), cpu);
    if (failed(target) ||
        failed(lowerToOneFunction<WeightRangeOp, KernelBuilder>(getOperation(), writeRanges, *target, target->lanes())))
      signalPassFailure();
  }
};

} // namespace
