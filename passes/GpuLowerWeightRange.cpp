// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/CudaNoiseAbi.h"
#include "dialect/core/NoiseAbi.h"
#include "passes/Passes.h"
#include "passes/SoleOp.h"
#include "passes/gpu/StepPieces.h"

#include "mlir/IR/TypeUtilities.h"

#include <limits>

namespace bq {
#define GEN_PASS_DEF_GPULOWERWEIGHTRANGE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

constexpr int64_t threads = RowRound::columns / RowPiece::columns;
static_assert(abi::noiseChunk == RowRound::columns, "a block of threads does a chunk in one round");

/// Writes cuda::WeightRangeFn.
void writeRange(GpuBuilder &b, WeightRangeOp op, StringRef name) {
  RowKernel rows(b, abi::noiseChunk, abi::noiseChunk);
  Type f32 = b.getF32Type(), dataType = getElementTypeOrSelf(op.getInput().getType());
  func::FuncOp func = rows.begin(name, {b.floatPointer(dataType), b.pointer(f32), b.pointer(f32), b.getI64Type()});
  Value chunk = b.block(gpu::Dimension::X);
  Value left = b.sub(func.getArgument(3), b.mul(b.wide(chunk), abi::noiseChunk));
  Value length = arith::TruncIOp::create(b, b.getI32Type(), b.min(left, b.i64(abi::noiseChunk)));
  rows.forEachRound([&](const RowRound &round) {
    StepPiece piece(b, round, length, abi::noiseChunk);
    const float infinity = std::numeric_limits<float>::infinity();
    // Least, greatest, and a sum of differences of elements and themselves: 0, or NaN where one is not finite. Those of
    // a half of the pieces each.
    SmallVector<StepTrack> tracks = {StepTrack::inMemory(func.getArgument(0), /*isLoaded=*/true, /*isStored=*/false)};
    for (float initial : {infinity, -infinity, 0.0f})
      tracks.push_back(StepTrack(StepTrack::Words(2, b.f32(initial))));
    auto fold = [&](const StepHalf &half, MutableArrayRef<StepTrack::Words> fronts) {
      Value &low = fronts[1][0], &high = fronts[2][0], &poison = fronts[3][0];
      for (auto [i, value] : llvm::enumerate(floatsOf(b, dataType, fronts[0]))) {
        Value isThere = half.isThere(b, static_cast<int64_t>(i));
        low = b.minF(low, b.select(isThere, value, b.f32(infinity)));
        high = b.maxF(high, b.select(isThere, value, b.f32(-infinity)));
        poison = b.addF(poison, b.subF(value, value));
      }
    };
    SmallVector<StepTrack::Words> folded = forEachHalf(b, piece, tracks, fold);
    Value low = b.minF(folded[1][0], folded[1][1]), high = b.maxF(folded[2][0], folded[2][1]);
    Value poison = b.addF(folded[3][0], folded[3][1]);
    low = b.reduceBlock(low, threads, [&](Value l, Value r) { return b.minF(l, r); });
    high = b.reduceBlock(high, threads, [&](Value l, Value r) { return b.maxF(l, r); });
    poison = b.reduceBlock(poison, threads, [&](Value l, Value r) { return b.addF(l, r); });
    b.when(b.equal(b.thread(), b.i32(0)), [&] {
      b.store(b.addF(low, poison), func.getArgument(1), chunk);
      b.store(b.addF(high, poison), func.getArgument(2), chunk);
    });
  });
}

struct GpuLowerWeightRange : bq::impl::GpuLowerWeightRangeBase<GpuLowerWeightRange> {
  void runOnOperation() override {
    if (failed(lowerToOneFunction<WeightRangeOp, GpuBuilder>(getOperation(), writeRange)))
      signalPassFailure();
  }
};

} // namespace
